"""Relative positions as a bias to the attention scores: Raffel et al. (2020), section 2.1,
https://arxiv.org/abs/1910.10683; in an encoder, MPNet (Song et al. 2020, https://arxiv.org/abs/2004.09297). Without
parameters: Press et al. (2022), section 3, https://arxiv.org/abs/2108.12409.

Axes: N num_heads, T query position, S key position.
"""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jax_encoder.config import EncoderConfig


class RelativeBias(nnx.Module):
    """A table with one number per head for every range of distances in columns, shared by all layers."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, dtype: DTypeLike, param_dtype: DTypeLike):
        init = nnx.initializers.truncated_normal(stddev=config.init_std, lower=-2.0, upper=2.0)
        self.table = nnx.Param(init(rngs.params(), (config.relative_buckets, config.num_heads), param_dtype))
        self.max_distance, self.dtype = config.relative_max_distance, dtype

    def __call__(self, num_positions: int) -> Float[Array, "N T T"]:
        """Returns what to add to the scores of `num_positions` columns."""
        columns_T = np.arange(num_positions)
        buckets_TS = buckets(columns_T[None, :] - columns_T[:, None], self.table.shape[0], self.max_distance)
        return jnp.moveaxis(self.table[...].astype(self.dtype)[buckets_TS], 2, 0)


def buckets(distances_TS: Int[np.ndarray, "T S"], count: int, max_distance: int) -> Int[np.ndarray, "T S"]:
    """Numbers ranges of distances: single ones while they are short, ever longer ones up to `max_distance`.

    Args:
        distances_TS: column of the key less column of the query.
        count: how many ranges; the first half is for keys at or before the query, the second for keys after it.
        max_distance: from here on, all share the last of their half.
    """
    half, single = count // 2, count // 4
    far_TS = np.abs(distances_TS)
    # Equal steps on a logarithmic scale. Distances are compared with where the steps start, a little lower so that a
    # start which is a whole number holds it: then no logarithm need be exact.
    steps = np.arange(1, half - single) / (half - single)
    starts = single * (max_distance / single) ** steps * (1 - 1e-9)
    ranged_TS = single + np.searchsorted(starts, far_TS, side="right")
    return np.where(far_TS < single, far_TS, ranged_TS) + half * (distances_TS > 0)


def linear_bias(num_heads: int, num_positions: int, dtype: DTypeLike) -> Float[Array, "N T T"]:
    """What a distance in columns takes from the scores, the same for both directions."""
    columns_T = jnp.arange(num_positions, dtype=dtype)
    distances_TS = jnp.abs(columns_T[None, :] - columns_T[:, None])
    return jnp.asarray(-slopes(num_heads), dtype)[:, None, None] * distances_TS[None]


def slopes(num_heads: int) -> Float[np.ndarray, " N"]:
    """How steep each head's bias is: a geometric sequence that ends at 2^-8 for 2^n heads.

    Other numbers of heads have the sequence of the power of two below, then every second of the power above, from the
    steepest on, as the authors' code has it.
    """
    below = 1 << (num_heads.bit_length() - 1)
    steps_N = np.concatenate([np.arange(1, below + 1) / below, (2 * np.arange(num_heads - below) + 1) / (2 * below)])
    return 2.0 ** (-8 * steps_N)
