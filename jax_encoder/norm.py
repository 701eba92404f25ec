"""Layer norm (Ba et al. 2016, https://arxiv.org/abs/1607.06450) and RMS norm (Zhang & Sennrich 2019,
https://arxiv.org/abs/1910.07467)."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jax_encoder.config import EncoderConfig
from jax_encoder.precision import at_least_float32


class Norm(nnx.Module):
    """Normalises the last axis, `width` wide, then scales it and, if the config says so, adds a bias."""

    def __init__(self, config: EncoderConfig, *, width: int, param_dtype: DTypeLike):
        self.kind, self.eps = config.norm_kind, config.norm_eps
        self.scale = nnx.Param(jnp.ones((width,), param_dtype))
        self.bias = nnx.Param(jnp.zeros((width,), param_dtype)) if config.norm_bias else None

    def __call__(self, x_BTD: Float[Array, "*axes D"]) -> Float[Array, "*axes D"]:
        """Returns x in its own dtype; the statistics are taken in at least float32."""
        wide_BTD = x_BTD.astype(at_least_float32(x_BTD.dtype))
        if self.kind == "layer":
            # The mean of squares less the square of the mean is faster and loses all digits at a large mean.
            wide_BTD = wide_BTD - wide_BTD.mean(axis=-1, keepdims=True)
        power_BT1 = jnp.square(wide_BTD).mean(axis=-1, keepdims=True)
        normed_BTD = wide_BTD / jnp.sqrt(power_BT1 + self.eps)
        normed_BTD = normed_BTD * jnp.broadcast_to(self.scale[...].astype(normed_BTD.dtype), normed_BTD.shape)
        if self.bias is not None:
            normed_BTD = normed_BTD + jnp.broadcast_to(self.bias[...].astype(normed_BTD.dtype), normed_BTD.shape)
        return normed_BTD.astype(x_BTD.dtype)
