"""An encoder with whatever a published checkpoint puts on it.

Axes: B batch, T position, K target, D embed_dim, V vocabulary, C classes.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from jax_encoder import masks
from jax_encoder.classifier import Classifier, ClassifierTaps
from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.encoder import Encoder, EncoderTaps
from jax_encoder.heads import MLMHead, MLMHeadTaps, Pooler, PoolerTaps

# By name; arrays of numpy or JAX.
Params = Mapping[str, Any]


class Parts(NamedTuple):
    """What stands on the encoder.

    Attributes:
        head: the masked-language-model head.
        pooler: BERT's pooler; a classifier that reads the first token has it as its own transform instead.
        classifier: scores of classes, or None.
    """

    head: bool
    pooler: bool
    classifier: ClassifierConfig | None


class Outputs(NamedTuple):
    """What a model computes; None for a part it lacks."""

    hidden: Float[Array, "B T D"]
    logits: Float[Array, "B T V"] | None
    pooled: Float[Array, "B D"] | None
    classes: Float[Array, "*axes C"] | None


class ModelTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None for a part it lacks."""

    encoder: EncoderTaps
    head: MLMHeadTaps | None
    pooler: PoolerTaps | None
    classifier: ClassifierTaps | None


class Model(nnx.Module):
    """An encoder and its parts.

    Args:
        config: of the encoder and of the masked-language-model head.
        parts: what stands on it.
        rngs: the stream `params` draws the initial parameters.
        dtype: of the computation; norms, softmax, logits and rotary angles use at least float32.
        param_dtype: of the parameters.
    """

    def __init__(
        self,
        config: EncoderConfig,
        parts: Parts,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
        param_dtype: DTypeLike = jnp.float32,
    ):
        places: Any = {"rngs": rngs, "dtype": dtype, "param_dtype": param_dtype}
        self.encoder = Encoder(config, **places)
        self.head = MLMHead(config, **places) if parts.head else None
        self.pooler = Pooler(config, **places) if parts.pooler else None
        self.classifier = None if parts.classifier is None else Classifier(config, parts.classifier, **places)

    def __call__(
        self,
        tokens_BT: Int[Array, "B T"],
        mask_BTS: Bool[Array, "B T T"],
        *,
        positions_BT: Int[Array, "B T"] | None = None,
        token_types_BT: Int[Array, "B T"] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Outputs, ModelTaps]:
        """Runs the encoder, with arguments as in `Encoder`, and every part."""
        x_BTD, encoder_taps = self.encoder(
            tokens_BT, mask_BTS, positions_BT=positions_BT, token_types_BT=token_types_BT, dropout_key=dropout_key
        )
        logits, head_taps = self.head(x_BTD, self.encoder.embedding.word[...]) if self.head else (None, None)
        pooled, pooler_taps = self.pooler(x_BTD) if self.pooler else (None, None)
        classes, classifier_taps = None, None
        if self.classifier is not None:
            classes, classifier_taps = self.classifier(x_BTD, masks.seen(mask_BTS))
        outputs = Outputs(x_BTD, logits, pooled, classes)
        return outputs, ModelTaps(encoder_taps, head_taps, pooler_taps, classifier_taps)

    @classmethod
    def of(
        cls,
        config: EncoderConfig,
        parts: Parts,
        params: Params,
        *,
        dtype: DTypeLike = jnp.float32,
        param_dtype: DTypeLike = jnp.float32,
    ) -> "Model":
        """A model with these parameters, which `shapes_of` names and measures; drawn ones are never made.

        Raises:
            ValueError: names or shapes are others.
        """
        graph, state = nnx.split(_abstract(config, parts, dtype, param_dtype))
        flat = nnx.to_flat_state(state)
        shapes = {_name(path): leaf.shape for path, leaf in flat}
        if shapes != {name: array.shape for name, array in params.items()}:
            given = {name: array.shape for name, array in params.items()}
            differing = sorted(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
            raise ValueError(f"these parameters are of another model; they differ in {', '.join(differing[:5])}")
        leaves = [(path, leaf.replace(jnp.asarray(params[_name(path)], leaf.dtype))) for path, leaf in flat]
        return nnx.merge(graph, nnx.from_flat_state(leaves))


def shapes_of(config: EncoderConfig, parts: Parts) -> dict[str, tuple[int, ...]]:
    """Every parameter of such a model, by name."""
    _, state = nnx.split(_abstract(config, parts, jnp.float32, jnp.float32))
    return {_name(path): tuple(leaf.shape) for path, leaf in nnx.to_flat_state(state)}


def params_of(model: nnx.Module) -> dict[str, np.ndarray]:
    """A model's parameters by name."""
    return {_name(path): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))}


def _abstract(config: EncoderConfig, parts: Parts, dtype: DTypeLike, param_dtype: DTypeLike) -> Model:
    return nnx.eval_shape(lambda: Model(config, parts, rngs=nnx.Rngs(0), dtype=dtype, param_dtype=param_dtype))


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))
