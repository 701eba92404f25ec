"""Where rounding is decided."""

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike


def at_least_float32(dtype: DTypeLike) -> np.dtype:
    """The dtype of norms, softmax, angles and losses: float32 for narrower ones; float64 stays, for parity."""
    return np.promote_types(jnp.dtype(dtype), np.float32)
