"""What sentence-transformers puts behind an encoder, one module after the other, each reading and writing named values.

Axes: B rows, T columns, K texts of one row, D width of a value.
Reference: `sentence_transformers/*/modules/`, version 6.2.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jax_encoder import masks
from jax_encoder.precision import at_least_float32

TOKENS, SENTENCE = "token_embeddings", "sentence_embedding"
# As torch.nn.functional.normalize; a vector of zeros stays one.
_LEAST_LENGTH = 1e-12
_NORM_EPS = 1e-5  # torch.nn.LayerNorm's
Features = dict[str, Array]
Class = TypeVar("Class")

# torch's names of activations, as its modules compute them by default.
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "Identity": lambda x: x,
    "Tanh": jnp.tanh,
    "ReLU": jax.nn.relu,
    "ReLU6": jax.nn.relu6,
    "LeakyReLU": partial(jax.nn.leaky_relu, negative_slope=0.01),
    "ELU": jax.nn.elu,
    "SELU": jax.nn.selu,
    "CELU": jax.nn.celu,
    "GELU": partial(jax.nn.gelu, approximate=False),
    "SiLU": jax.nn.silu,
    "Mish": jax.nn.mish,
    "Sigmoid": jax.nn.sigmoid,
    "LogSigmoid": jax.nn.log_sigmoid,
    "Softplus": jax.nn.softplus,
    "Softsign": jax.nn.soft_sign,
    "Hardtanh": jax.nn.hard_tanh,
    "Hardsigmoid": jax.nn.hard_sigmoid,
    "Hardswish": jax.nn.hard_swish,
}


class Rows(NamedTuple):
    """Where texts lie in rows, and what the encoder made of them.

    Attributes:
        segments: number each row's texts 1, 2, ...; 0 is padding.
        positions: of each token within its text.
        most: texts that a row may hold.
        prompt: tokens at the beginning of each text that are its prompt.
        layers: the encoder's input and what each of its layers made of it.
    """

    segments: Int[Array, "B T"]
    positions: Int[Array, "B T"]
    most: int
    prompt: Int[Array, ""]
    layers: tuple[Float[Array, "B T D"], ...]


def _module(*settings: str) -> Callable[[type[Class]], type[Class]]:
    """A dataclass that JAX takes as an argument: its arrays, and settings that a program is compiled for."""

    def register(cls: type[Class]) -> type[Class]:
        names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        held = [name for name in names if name not in settings]
        return jax.tree_util.register_dataclass(cls, data_fields=held, meta_fields=list(settings))

    return register


@_module("modes", "include_prompt")
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Pooling:
    """Makes one vector of a text's tokens.

    Attributes:
        modes: sentence-transformers' names; the vectors of several are joined end to end.
        include_prompt: whether the prompt's tokens take part.
    """

    modes: tuple[str, ...]
    include_prompt: bool = True
    reads, writes = TOKENS, SENTENCE

    def width(self, width: int) -> int:
        """Of what it writes, given the width of what it reads."""
        return width * len(self.modes)

    def __call__(self, features: Features, rows: Rows | None) -> Features:
        """Returns the features with what it writes among them."""
        assert rows is not None, "tokens lie in rows"
        first = jnp.zeros_like(rows.prompt) if self.include_prompt else rows.prompt
        return features | {SENTENCE: pool(features[TOKENS], rows, self.modes, first)}


@_module("activation", "reads", "writes", "adds_input")
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Dense:
    """A projection, bent, and added to its input if it says so."""

    kernel: Float[Array, "D out"]
    bias: Float[Array, " out"] | None
    residual: Float[Array, "D out"] | None
    activation: str
    reads: str = SENTENCE
    writes: str = SENTENCE
    adds_input: bool = False

    def width(self, width: int) -> int:
        """Of what it writes."""
        return self.kernel.shape[1]

    def __call__(self, features: Features, rows: Rows | None) -> Features:
        """Returns the features with what it writes among them."""
        x = features[self.reads]
        product = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
        out = product(x, self.kernel.astype(x.dtype))
        if self.bias is not None:
            out = out + jnp.broadcast_to(self.bias.astype(x.dtype), out.shape)
        out = ACTIVATIONS[self.activation](out)
        if self.adds_input:
            out = out + (x if self.residual is None else product(x, self.residual.astype(x.dtype)))
        return features | {self.writes: out}


@_module()
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LayerNorm:
    """Normalises a text's vector, scales and shifts it."""

    scale: Float[Array, " D"]
    bias: Float[Array, " D"]
    reads, writes = SENTENCE, SENTENCE

    def width(self, width: int) -> int:
        """Of what it writes."""
        return width

    def __call__(self, features: Features, rows: Rows | None) -> Features:
        """Returns the features with what it writes among them."""
        x = features[SENTENCE]
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / jnp.sqrt(jnp.square(x).mean(axis=-1, keepdims=True) + _NORM_EPS)
        scale, bias = (jnp.broadcast_to(one.astype(x.dtype), x.shape) for one in (self.scale, self.bias))
        return features | {SENTENCE: x * scale + bias}


@_module("reads", "writes")
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Normalize:
    """Scales vectors to length 1."""

    reads: str = SENTENCE
    writes: str = SENTENCE

    def width(self, width: int) -> int:
        """Of what it writes."""
        return width

    def __call__(self, features: Features, rows: Rows | None) -> Features:
        """Returns the features with what it writes among them."""
        x = features[self.reads]
        # The norm of a value that means nothing, at padding, has no meaning either, but must not be NaN.
        length = jnp.sqrt(jnp.square(x).sum(axis=-1, keepdims=True))
        return features | {self.writes: x / jnp.maximum(length, _LEAST_LENGTH)}


@_module("start")
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class WeightedLayerPooling:
    """Makes tokens' vectors the weighted mean of those that the layers from `start` on made, 0 being their input."""

    weights: Float[Array, " layers"]
    start: int
    reads, writes = TOKENS, TOKENS

    def width(self, width: int) -> int:
        """Of what it writes."""
        return width

    def __call__(self, features: Features, rows: Rows | None) -> Features:
        """Returns the features with what it writes among them."""
        assert rows is not None, "tokens lie in rows"
        wide = features[TOKENS].dtype
        weights = self.weights.astype(wide)
        total = sum(
            weight * layer.astype(wide) for weight, layer in zip(weights, rows.layers[self.start :], strict=True)
        )
        return features | {TOKENS: total / weights.sum()}


Module = Pooling | Dense | LayerNorm | Normalize | WeightedLayerPooling


# How much each token counts in its text's vector, given its position there and which tokens take part.
_WEIGHTS: dict[str, Callable[[Array, Array], Array]] = {
    "mean": lambda position, mine: 1 / _count(mine),
    "mean_sqrt_len_tokens": lambda position, mine: 1 / jnp.sqrt(_count(mine)),
    "cls": lambda position, mine: (position == _least(position, mine)).astype(position.dtype),
    "lasttoken": lambda position, mine: (position == jnp.where(mine, position, -1).max(-1, keepdims=True)).astype(
        position.dtype
    ),
    "weightedmean": lambda position, mine: (
        (position + 1) / jnp.maximum(jnp.where(mine, position + 1, 0).sum(axis=-1, keepdims=True), 1)
    ),
}
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


def _count(mine: Array) -> Array:
    return jnp.maximum(mine.sum(axis=-1, keepdims=True), 1).astype(jnp.result_type(float))


def _least(position: Array, mine: Array) -> Array:
    return jnp.where(mine, position, jnp.inf).min(axis=-1, keepdims=True)


def pool(
    x_BTD: Float[Array, "B T D"], rows: Rows, modes: tuple[str, ...], first: Int[Array, ""] | int = 0
) -> Float[Array, "B K P"]:
    """Makes one vector, in at least float32, of every text's tokens from position `first` on."""
    x_BTD = masks.zero_where_not(rows.segments != 0, x_BTD).astype(at_least_float32(x_BTD.dtype))
    numbers_K = jnp.arange(1, rows.most + 1, dtype=rows.segments.dtype)
    mine_BKT = (rows.segments[:, None, :] == numbers_K[None, :, None]) & (rows.positions >= first)[:, None, :]
    position_BT = rows.positions.astype(x_BTD.dtype)
    return jnp.concatenate([_pool_one(mode, x_BTD, mine_BKT, position_BT) for mode in modes], axis=-1)


def _pool_one(
    mode: str, x_BTD: Float[Array, "B T D"], mine_BKT: Bool[Array, "B K T"], position_BT: Float[Array, "B T"]
) -> Float[Array, "B K D"]:
    if mode == "max":
        lowest = float(jnp.finfo(jnp.float32).min)  # that of float64 would overflow where vectors are handed out
        return jnp.where(mine_BKT[:, :, :, None], x_BTD[:, None], lowest).max(axis=2)
    weights_BKT = _WEIGHTS[mode](position_BT[:, None, :], mine_BKT).astype(x_BTD.dtype)
    # Accelerators would round to bfloat16 here, for a product that costs next to nothing.
    return jnp.einsum("BKT,BTD->BKD", jnp.where(mine_BKT, weights_BKT, 0), x_BTD, precision=jax.lax.Precision.HIGHEST)


@jax.jit
def apply(modules: tuple[Module, ...], vectors_ID: Float[Array, "I D"]) -> Float[Array, "I P"]:
    """What the modules behind the pooling make of texts' vectors."""
    features: Features = {SENTENCE: vectors_ID}
    for module in modules:
        features = module(features, None)
    return features[SENTENCE]


def arrays(module: Any) -> Any:
    """The module with its arrays on the device, so that they are copied there once."""
    return jax.tree.map(lambda array: jnp.asarray(np.asarray(array)), module)
