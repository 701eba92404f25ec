"""The masked-language-model loss, as sums: whoever adds them up over micro-batches or devices divides once.

Axes: B batch, K target, V vocabulary.
Reference: Devlin et al. (2019), section 3.1, https://arxiv.org/abs/1810.04805
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from jax_encoder import masks, placement
from jax_encoder.data.masking import Batch
from jax_encoder.params import Params, with_params
from jax_encoder.precision import at_least_float32


class LossSums(NamedTuple):
    """Sums over the targets of one or more batches. Means over parts of unequal size must never be averaged."""

    loss: Float[Array, ""]
    correct: Float[Array, ""]
    targets: Float[Array, ""]


class Penalties(NamedTuple):
    """What is added to the cross-entropy while a model is trained; an evaluation adds nothing.

    Attributes:
        label_smoothing: share of each target's probability that is spread over the whole vocabulary (Szegedy et al.
            2016, section 7).
        z_loss: weight of the square of the logarithm of the sum that the softmax divides by (Chowdhery et al. 2022,
            section 5).
    """

    label_smoothing: float = 0.0
    z_loss: float = 0.0


PLAIN = Penalties()


def cross_entropy_sums(
    logits_BKV: Float[Array, "B K V"],
    labels_BK: Int[Array, "B K"],
    weights_BK: Float[Array, "B K"],
    penalties: Penalties = PLAIN,
) -> LossSums:
    """Sums of the cross-entropy in nats and of the hits: targets whose label no other token outscores.

    Args:
        logits_BKV: finite scores of the vocabulary; summed in at least float32.
        labels_BK: the tokens that were there.
        weights_BK: 1 for a target, 0 for filler, whose logits and labels do not matter.
        penalties: what the loss holds beside the cross-entropy.
    """
    wide = at_least_float32(logits_BKV.dtype)
    logits_BKV, weights_BK = logits_BKV.astype(wide), weights_BK.astype(wide)
    losses_BK = _cross_entropy(logits_BKV, labels_BK)
    # Not argmax: on a processor it takes as long as a third of the decoder's product, a maximum next to nothing.
    label_BK1 = jnp.take_along_axis(logits_BKV, labels_BK[:, :, None], axis=-1)
    if penalties.label_smoothing:
        losses_BK += penalties.label_smoothing * (label_BK1[:, :, 0] - logits_BKV.mean(axis=-1))
    if penalties.z_loss:
        losses_BK += penalties.z_loss * jnp.square(jax.nn.logsumexp(logits_BKV, axis=-1))
    hits_BK = label_BK1[:, :, 0] >= logits_BKV.max(axis=-1)
    return LossSums((losses_BK * weights_BK).sum(), (hits_BK.astype(wide) * weights_BK).sum(), weights_BK.sum())


@jax.custom_vjp
def _cross_entropy(logits_BKV: Float[Array, "B K V"], labels_BK: Int[Array, "B K"]) -> Float[Array, "B K"]:
    return _forward(logits_BKV, labels_BK)[0]


def _forward(logits_BKV: Array, labels_BK: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    total_BK = jax.nn.logsumexp(logits_BKV, axis=-1)
    label_BK1 = jnp.take_along_axis(logits_BKV, labels_BK[:, :, None], axis=-1)
    return total_BK - label_BK1[:, :, 0], (logits_BKV, labels_BK, total_BK)


def _backward(kept: tuple[Array, Array, Array], cotangent_BK: Array) -> tuple[Array, None]:
    # The label's one is added where it lies: as a part of the loop it would have XLA repeat the loop for each product
    # that reads the result.
    logits_BKV, labels_BK, total_BK = kept
    if placement.shared():
        # Whoever adds by the number of a row is told of the labels of all rows, on every device.
        word_11V = jnp.arange(logits_BKV.shape[-1], dtype=labels_BK.dtype)[None, None]
        label_BKV = (labels_BK[:, :, None] == word_11V).astype(logits_BKV.dtype)
        return (jnp.exp(logits_BKV - total_BK[:, :, None]) - label_BKV) * cotangent_BK[:, :, None], None
    weighed_BKV = jnp.exp(logits_BKV - total_BK[:, :, None]) * cotangent_BK[:, :, None]
    return weighed_BKV.at[*jnp.indices(labels_BK.shape), labels_BK].add(-cotangent_BK), None


_cross_entropy.defvjp(_forward, _backward)


def loss_sums(
    model: nnx.GraphDef,
    params: Params,
    batch: Batch,
    dropout_key: Key[Array, ""] | None,
    attention: str = "auto",
    penalties: Penalties = PLAIN,
) -> tuple[Float[Array, ""], LossSums]:
    """Runs a masked language model on a packed, masked batch; documents in a row do not see each other.

    Args:
        model: what `nnx.split` left of a MaskedLM beside its parameters.
        params: its parameters.
        batch: as from `jax_encoder.data`.
        dropout_key: None leaves dropout off.
        attention: the implementation to use, as `masks.Documents` takes it.
        penalties: what the loss holds beside the cross-entropy.

    Returns:
        The summed loss, to differentiate, and all sums.
    """
    tokens_BT, segments_BT, positions_BT, targets_BK, labels_BK, weights_BK = map(jnp.asarray, batch)
    logits_BKV, _ = with_params(model, params)(
        tokens_BT,
        masks.Documents(segments_BT, attention),
        positions_BT=positions_BT,
        targets_BK=targets_BK,
        dropout_key=dropout_key,
    )
    sums = cross_entropy_sums(logits_BKV, labels_BK, weights_BK, penalties)
    return sums.loss, sums
