"""Dropout whose masks are a pure function of a key: Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html.

No module holds random state. Whoever has the key of a step can draw the masks again, which is how a training run is
repeated in another framework with the same ones, and how the backward pass comes by them: no mask is ever stored.

A value stays or goes by 32 bits, a hash of its place's key and its own number. The hash is `lowbias32` of
https://github.com/skeeto/hash-prospector, which bijects 32 bits by two products and three shifts, applied twice: one
half of the key is added before, the other mixed in between. Its published bias is 0.1076, among its kind the least that
a search over constants has found. Written out on the numbers of an array it is part of the loop that reads the mask.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, UInt32

from jax_encoder.config import EncoderConfig

_WORDS = 2**32
# Entries that one key numbers.
_NUMBERS = 2**32


class Drop(NamedTuple):
    """What one place drops: a key of its own, and the share, above 0."""

    key: Key[Array, ""]
    rate: float


class LayerDrops(NamedTuple):
    """What one layer drops. None where the rate is 0 or dropout is off."""

    weights: Drop | None
    attention_output: Drop | None
    mlp_output: Drop | None


NO_DROPOUT = LayerDrops(None, None, None)


def place(key: Key[Array, ""], rate: float) -> Drop | None:
    """What a place with this key and rate drops; None if nothing."""
    return Drop(key, rate) if rate else None


def embedding_drop(key: Key[Array, ""] | None, config: EncoderConfig) -> Drop | None:
    """What is dropped of the embeddings, for one step's key."""
    return None if key is None else place(jax.random.fold_in(key, config.num_layers), config.embedding_dropout)


def layer_drops(key: Key[Array, ""] | None, layer: int | Array, config: EncoderConfig) -> LayerDrops:
    """What one layer drops, for one step's key; `layer` may be traced, so that layers can be scanned."""
    if key is None:
        return NO_DROPOUT
    weights_key, attention_key, mlp_key = jax.random.split(jax.random.fold_in(key, layer), 3)
    return LayerDrops(
        weights=place(weights_key, config.attention_dropout),
        attention_output=place(attention_key, config.residual_dropout),
        mlp_output=place(mlp_key, config.residual_dropout),
    )


def apply(x: Float[Array, "*shape"], drop: Drop | None) -> Float[Array, "*shape"]:
    """Zeroes what is dropped and divides the rest by the probability of being kept."""
    return x if drop is None else _dropped(x, drop.key, drop.rate)


def keep(key: Key[Array, ""], rate: float, shape: tuple[int, ...]) -> Bool[Array, "..."]:
    """Draws which values stay, each with probability 1 - rate, met to within 2^-33."""
    threshold = min(round(rate * _WORDS), _WORDS - 1)
    return _bits(key, shape) >= jnp.asarray(threshold, jnp.uint32)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _dropped(x: Float[Array, "*shape"], key: Key[Array, ""], rate: float) -> Float[Array, "*shape"]:
    return jnp.where(keep(key, rate, x.shape), x / (1 - rate), 0)


def _forward(x: Array, key: Array, rate: float) -> tuple[Array, Array]:
    return _dropped(x, key, rate), key


def _backward(rate: float, key: Array, cotangent: Array) -> tuple[Array, None]:
    # The derivative of a linear map is itself: all that has to be kept for it is the key.
    return _dropped(cotangent, key, rate), None


_dropped.defvjp(_forward, _backward)


def _bits(key: Key[Array, ""], shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Random words for a key, one for each entry of an array.

    Entries are numbered by 32 bits over as many trailing axes as these can number; every index of the axes before has a
    key of its own.
    """
    leading = next(axis for axis in range(len(shape) + 1) if math.prod(shape[axis:]) <= _NUMBERS)
    rows = shape[:leading]
    if leading:
        numbers = jnp.arange(math.prod(rows), dtype=jnp.uint32)
        words = jax.vmap(lambda row: _halves(jax.random.fold_in(key, row)))(numbers)
        first, second = (word.reshape(*rows, *(1,) * (len(shape) - leading)) for word in words)
    else:
        first, second = (half.reshape((1,) * len(shape)) for half in _halves(key))
    return _hashed(_counted(first, shape, leading), second)


def _halves(key: Key[Array, ""]) -> tuple[UInt32[Array, ""], UInt32[Array, ""]]:
    """64 bits for a key of whatever kind."""
    first, second = jax.random.bits(key, (2,), jnp.uint32)
    return first, second


def _counted(start: UInt32[Array, "..."], shape: tuple[int, ...], leading: int) -> UInt32[Array, "..."]:
    """Numbers the entries within the trailing axes, from the first half of a key on.

    Axis by axis, so that an array over devices needs nothing of another; and each sum begins with the key's half, or a
    loop over layers would have the numbers made before it, and read from memory in every layer.
    """
    for axis in range(leading, len(shape)):
        stride = math.prod(shape[axis + 1 :]) % _WORDS  # one that is no 32 bits is that of an axis with one index
        along = jnp.arange(shape[axis], dtype=jnp.uint32) * jnp.asarray(stride, jnp.uint32)
        start = start + along.reshape(*(1,) * axis, -1, *(1,) * (len(shape) - axis - 1))
    return start


def _hashed(numbers: UInt32[Array, "..."], second: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """The word of a number that the first half of a key was added to."""
    return _mixed(_mixed(numbers) ^ second)


def _mixed(x: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """lowbias32, [16 21f0aaad 15 d35a2d97 15]."""
    x = (x ^ (x >> 16)) * jnp.asarray(0x21F0AAAD, jnp.uint32)
    x = (x ^ (x >> 15)) * jnp.asarray(0xD35A2D97, jnp.uint32)
    return x ^ (x >> 15)
