"""The masked-language-model loss, as sums: whoever adds them up over micro-batches or devices divides once.

Axes: B batch, K target, V vocabulary.
Reference: Devlin et al. (2019), section 3.1, https://arxiv.org/abs/1810.04805
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from jax_encoder import masks
from jax_encoder.data.masking import Batch
from jax_encoder.precision import at_least_float32


class LossSums(NamedTuple):
    """Sums over the targets of one or more batches. Means over parts of unequal size must never be averaged."""

    loss: Float[Array, ""]
    correct: Float[Array, ""]
    targets: Float[Array, ""]


def cross_entropy_sums(
    logits_BKV: Float[Array, "B K V"], labels_BK: Int[Array, "B K"], weights_BK: Float[Array, "B K"]
) -> LossSums:
    """Sums of the cross-entropy in nats and of the hits.

    Args:
        logits_BKV: scores of the vocabulary; summed in at least float32.
        labels_BK: the tokens that were there.
        weights_BK: 1 for a target, 0 for filler, whose logits and labels do not matter, NaN included.
    """
    wide = at_least_float32(logits_BKV.dtype)
    real_BK = weights_BK > 0
    logits_BKV = jnp.where(real_BK[:, :, None], logits_BKV.astype(wide), 0)
    losses_BK = optax.softmax_cross_entropy_with_integer_labels(logits_BKV, jnp.where(real_BK, labels_BK, 0))
    hits_BK = logits_BKV.argmax(axis=-1).astype(labels_BK.dtype) == labels_BK
    weights_BK = weights_BK.astype(wide)
    return LossSums((losses_BK * weights_BK).sum(), (hits_BK.astype(wide) * weights_BK).sum(), weights_BK.sum())


def loss_sums(
    model: nnx.GraphDef, params: nnx.State, batch: Batch, dropout_key: Key[Array, ""] | None
) -> tuple[Float[Array, ""], LossSums]:
    """Runs a masked language model on a packed, masked batch; documents in a row do not see each other.

    Args:
        model: what `nnx.split` left of a MaskedLM beside its parameters.
        params: its parameters.
        batch: as from `jax_encoder.data`.
        dropout_key: None leaves dropout off.

    Returns:
        The summed loss, to differentiate, and all sums.
    """
    logits_BKV, _ = nnx.merge(model, params)(
        batch.tokens,
        masks.from_segments(batch.segments),
        positions_BT=batch.positions,
        targets_BK=batch.targets,
        dropout_key=dropout_key,
    )
    sums = cross_entropy_sums(logits_BKV, batch.labels, batch.weights)
    return sums.loss, sums
