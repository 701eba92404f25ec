"""An encoder with what stands on it: what pretraining trains, and what a published checkpoint holds.

Axes: B batch, T position, K target, D embed_dim, V vocabulary, C classes.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jax_encoder import masks
from jax_encoder.classifier import Classifier, ClassifierTaps
from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.encoder import Encoder, EncoderTaps
from jax_encoder.heads import MLMHead, MLMHeadTaps, Pooler, PoolerTaps
from jax_encoder.params import Named, Shapes, differing, named, nested, params_of, shapes, with_params


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


MASKED_LM = Parts(head=True, pooler=False, classifier=None)


class Outputs(NamedTuple):
    """What a model computes; None for a part it lacks."""

    hidden: Float[Array, "B T D"]
    logits: Float[Array, "B K V"] | None
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
        mask_BTS: masks.Mask,
        *,
        positions_BT: Int[Array, "B T"] | None = None,
        token_types_BT: Int[Array, "B T"] | None = None,
        targets_BK: Int[Array, "B K"] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Outputs, ModelTaps]:
        """Runs the encoder and every part.

        Args:
            tokens_BT, mask_BTS, positions_BT, token_types_BT, dropout_key: as `Encoder` takes them.
            targets_BK: the columns at which the head scores the vocabulary; None takes all.

        Raises:
            ValueError: as `Encoder`, or targets for a model without that head.
        """
        if targets_BK is not None and self.head is None:
            raise ValueError("targets_BK were given, but this model has no masked-language-model head to score them")
        x_BTD, encoder_taps = self.encoder(
            tokens_BT, mask_BTS, positions_BT=positions_BT, token_types_BT=token_types_BT, dropout_key=dropout_key
        )
        logits = head_taps = pooled = pooler_taps = classes = classifier_taps = None
        if self.head is not None:
            x_BKD = x_BTD if targets_BK is None else jnp.take_along_axis(x_BTD, targets_BK[:, :, None], axis=1)
            logits, head_taps = self.head(x_BKD, self.encoder.embedding.word[...])
        if self.pooler is not None:
            pooled, pooler_taps = self.pooler(x_BTD)
        if self.classifier is not None:
            classes, classifier_taps = self.classifier(x_BTD, masks.seen(mask_BTS))
        outputs = Outputs(x_BTD, logits, pooled, classes)
        return outputs, ModelTaps(encoder_taps, head_taps, pooler_taps, classifier_taps)

    @classmethod
    def of(
        cls,
        config: EncoderConfig,
        parts: Parts,
        params: Named,
        *,
        dtype: DTypeLike = jnp.float32,
        param_dtype: DTypeLike = jnp.float32,
    ) -> "Model":
        """A model with these parameters, which `shapes_of` names and measures; drawn ones are never made.

        Raises:
            ValueError: names or shapes are others.
        """
        graph, state = nnx.split(_abstract(config, parts, dtype, param_dtype))
        leaves = named(nnx.to_pure_dict(state))
        if names := differing(params, shapes(leaves)):
            raise ValueError(f"these parameters are of another model; they differ in {', '.join(names[:5])}")
        return with_params(graph, nested({name: jnp.asarray(params[name], one.dtype) for name, one in leaves.items()}))


class MaskedLM(Model):
    """The model that pretraining trains, an encoder with the masked-language-model head alone; it returns the logits.

    Args:
        config, rngs, dtype, param_dtype: as `Model` takes them.
    """

    head: MLMHead

    def __init__(
        self,
        config: EncoderConfig,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
        param_dtype: DTypeLike = jnp.float32,
    ):
        super().__init__(config, MASKED_LM, rngs=rngs, dtype=dtype, param_dtype=param_dtype)

    def __call__(  # type: ignore[override]  # of the outputs, the one that there is
        self,
        tokens_BT: Int[Array, "B T"],
        mask_BTS: masks.Mask,
        *,
        positions_BT: Int[Array, "B T"] | None = None,
        token_types_BT: Int[Array, "B T"] | None = None,
        targets_BK: Int[Array, "B K"] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Float[Array, "B K V"], ModelTaps]:
        """Runs the encoder and scores the vocabulary, with arguments as in `Model`."""
        outputs, taps = super().__call__(
            tokens_BT,
            mask_BTS,
            positions_BT=positions_BT,
            token_types_BT=token_types_BT,
            targets_BK=targets_BK,
            dropout_key=dropout_key,
        )
        assert outputs.logits is not None, "it has the head"
        return outputs.logits, taps


def shapes_of(config: EncoderConfig, parts: Parts) -> Shapes:
    """Every parameter of such a model, by name."""
    return shapes(named(params_of(_abstract(config, parts, jnp.float32, jnp.float32))))


def _abstract(config: EncoderConfig, parts: Parts, dtype: DTypeLike, param_dtype: DTypeLike) -> Model:
    return nnx.eval_shape(lambda: Model(config, parts, rngs=nnx.Rngs(0), dtype=dtype, param_dtype=param_dtype))
