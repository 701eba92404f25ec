"""Rotary positions: Su et al. (2021), section 3.4.2, https://arxiv.org/abs/2104.09864.

Channel i turns together with channel i + H/2, as in GPT-NeoX and every checkpoint that descends from it; the
paper's own figure pairs neighbours.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jax_encoder.precision import at_least_float32


def inverse_frequencies(theta: float, head_dim: int) -> Float[np.ndarray, " h"]:
    """Radians per position of each of the head_dim / 2 pairs, in float64."""
    return np.power(float(theta), -np.arange(0, head_dim, 2) / head_dim)


def angles(
    positions_BT: Int[Array, "B T"], frequencies_h: Float[Array, " h"], dtype: DTypeLike
) -> Float[Array, "B 1 T h"]:
    """How far each pair turns at each position, the same for all heads; at least float32."""
    wide = at_least_float32(dtype)
    return positions_BT.astype(wide)[:, None, :, None] * frequencies_h.astype(wide)[None, None, None, :]


def rotate(x_BNTH: Float[Array, "B heads T H"], angles_B1Th: Float[Array, "B 1 T h"]) -> Float[Array, "B heads T H"]:
    """Turns every pair of channels (i, i + H/2) by its angle."""
    cos_B1Th, sin_B1Th = jnp.cos(angles_B1Th), jnp.sin(angles_B1Th)
    low_BNTh, high_BNTh = jnp.split(x_BNTH.astype(angles_B1Th.dtype), 2, axis=-1)
    turned = (low_BNTh * cos_B1Th - high_BNTh * sin_B1Th, high_BNTh * cos_B1Th + low_BNTh * sin_B1Th)
    return jnp.concatenate(turned, axis=-1).astype(x_BNTH.dtype)
