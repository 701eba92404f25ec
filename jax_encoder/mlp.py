"""The position-wise MLP, dense (Vaswani et al. 2017, section 3.3) or gated (Shazeer 2020, https://arxiv.org/abs/2002.05202).

Axes: B batch, T position, D embed_dim, F mlp_dim.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jax_encoder import products
from jax_encoder.config import Activation, EncoderConfig
from jax_encoder.precision import at_least_float32


@jax.custom_vjp
def gelu_exact(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x times the probability that a normal number is below it: Hendrycks & Gimpel (2016), https://arxiv.org/abs/1606.08415.

    That of JAX keeps three arrays of this size for its derivative, where the argument is enough.
    """
    wide = x.astype(at_least_float32(x.dtype))
    return (wide * _normal_below(wide)).astype(x.dtype)


def _normal_below(wide: Float[Array, "..."]) -> Float[Array, "..."]:
    return 0.5 * (1 + jax.lax.erf(wide * 0.5**0.5))


def _gelu_forward(x: Array) -> tuple[Array, Array]:
    return gelu_exact(x), x


def _gelu_backward(x: Array, cotangent: Array) -> tuple[Array]:
    wide = x.astype(at_least_float32(x.dtype))
    density = jnp.exp(-0.5 * jnp.square(wide)) * (2 * math.pi) ** -0.5
    return (((_normal_below(wide) + wide * density) * cotangent.astype(wide.dtype)).astype(x.dtype),)


gelu_exact.defvjp(_gelu_forward, _gelu_backward)

# GELU's form is written out: JAX's default is the tanh approximation, torch's and BERT's the exact one.
ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {
    "gelu_exact": gelu_exact,
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
}


def linear_options(config: EncoderConfig) -> dict[str, Any]:
    """How projections with a bias start and multiply, every default written out."""
    return {
        "use_bias": True,
        "dot_general": products.linear,
        "kernel_init": nnx.initializers.truncated_normal(stddev=config.init_std, lower=-2.0, upper=2.0),
        "bias_init": nnx.initializers.zeros_init(),
    }


class MLPTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; `up` and `product` are None when dense."""

    pre_activation: Float[Array, "B T F"]
    up: Float[Array, "B T F"] | None
    post_activation: Float[Array, "B T F"]
    product: Float[Array, "B T F"] | None
    output: Float[Array, "B T D"]


class MLP(nnx.Module):
    """Widens every position, bends it, and narrows it again: down(act(up(x))), gated down(act(gate(x)) * up(x))."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, dtype: DTypeLike, param_dtype: DTypeLike):
        D, F = config.embed_dim, config.mlp_dim
        options = linear_options(config) | {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        wide = partial(nnx.Linear, D, F, **options | {"use_bias": config.mlp_bias})
        self.gate = wide() if config.mlp_kind == "gated" else None
        self.up = wide()
        self.down = nnx.Linear(F, D, **options | {"use_bias": config.mlp_down_bias})
        self.activation = config.activation

    def __call__(self, x_BTD: Float[Array, "B T D"]) -> tuple[Float[Array, "B T D"], MLPTaps]:
        """Returns the update to add to the residual stream, and the taps."""
        activate = ACTIVATIONS[self.activation]
        up_BTF = self.up(x_BTD)
        if self.gate is None:
            post_BTF = activate(up_BTF)
            output_BTD = self.down(post_BTF)
            return output_BTD, MLPTaps(up_BTF, None, post_BTF, None, output_BTD)
        gate_BTF = self.gate(x_BTD)
        post_BTF = activate(gate_BTF)
        product_BTF = post_BTF * up_BTF
        output_BTD = self.down(product_BTF)
        return output_BTD, MLPTaps(gate_BTF, up_BTF, post_BTF, product_BTF, output_BTD)
