"""Dropout whose masks are a pure function of a key: Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html.

No module holds random state. Whoever has the key of a step can draw the masks again, which is how a training run is
repeated in another framework with the same ones.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jax_encoder.config import EncoderConfig

# Bits drawn per value. A rate is met to within 2^-17, and half as many bits are drawn as for a float32 uniform.
_BITS = jnp.uint16


class LayerKeeps(NamedTuple):
    """What one layer keeps, True = kept. None where the rate is 0 or dropout is off."""

    weights: Bool[Array, "B N T S"] | None
    attention_output: Bool[Array, "B T D"] | None
    mlp_output: Bool[Array, "B T D"] | None


NO_DROPOUT = LayerKeeps(None, None, None)


def keep(key: Key[Array, ""], rate: float, shape: tuple[int, ...]) -> Bool[Array, "..."] | None:
    """Draws which values stay, each with probability 1 - rate; None if all do."""
    if rate == 0:
        return None
    threshold = round(rate * (jnp.iinfo(_BITS).max + 1))
    return jax.random.bits(key, shape, _BITS) >= jnp.asarray(threshold, _BITS)


def embedding_keep(
    key: Key[Array, ""] | None, config: EncoderConfig, shape_BT: tuple[int, int]
) -> Bool[Array, "B T E"] | None:
    """The mask of the embeddings for one step's key."""
    if key is None:
        return None
    return keep(jax.random.fold_in(key, config.num_layers), config.embedding_dropout, (*shape_BT, config.table_width))


def layer_keeps(
    key: Key[Array, ""] | None, layer: int | Array, config: EncoderConfig, shape_BT: tuple[int, int]
) -> LayerKeeps:
    """The masks of one layer for one step's key; `layer` may be traced, so that layers can be scanned."""
    if key is None:
        return NO_DROPOUT
    weights_key, attention_key, mlp_key = jax.random.split(jax.random.fold_in(key, layer), 3)
    (B, T), shape_BTD = shape_BT, (*shape_BT, config.embed_dim)
    return LayerKeeps(
        weights=keep(weights_key, config.attention_dropout, (B, config.num_heads, T, T)),
        attention_output=keep(attention_key, config.residual_dropout, shape_BTD),
        mlp_output=keep(mlp_key, config.residual_dropout, shape_BTD),
    )


def apply(x: Float[Array, "*shape"], kept: Bool[Array, "*shape"] | None, rate: float) -> Float[Array, "*shape"]:
    """Zeroes what is not kept and divides the rest by the probability of being kept."""
    return x if kept is None else jnp.where(kept, x / (1 - rate), 0)
