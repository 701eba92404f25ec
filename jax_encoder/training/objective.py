"""The masked-language-model loss, as sums: whoever adds them up over micro-batches or devices divides once.

Axes: B batch, K target, V vocabulary.
Reference: Devlin et al. (2019), section 3.1, https://arxiv.org/abs/1810.04805
"""

from typing import NamedTuple

import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from jax_encoder import masks
from jax_encoder.data.masking import Batch
from jax_encoder.params import Params, with_params
from jax_encoder.precision import at_least_float32


class LossSums(NamedTuple):
    """Sums over the targets of one or more batches. Means over parts of unequal size must never be averaged."""

    loss: Float[Array, ""]
    correct: Float[Array, ""]
    targets: Float[Array, ""]


def cross_entropy_sums(
    logits_BKV: Float[Array, "B K V"], labels_BK: Int[Array, "B K"], weights_BK: Float[Array, "B K"]
) -> LossSums:
    """Sums of the cross-entropy in nats and of the hits: targets whose label no other token outscores.

    Args:
        logits_BKV: finite scores of the vocabulary; summed in at least float32.
        labels_BK: the tokens that were there.
        weights_BK: 1 for a target, 0 for filler, whose logits and labels do not matter.
    """
    wide = at_least_float32(logits_BKV.dtype)
    logits_BKV, weights_BK = logits_BKV.astype(wide), weights_BK.astype(wide)
    losses_BK = optax.softmax_cross_entropy_with_integer_labels(logits_BKV, labels_BK)
    # Not argmax: on a processor it takes as long as a third of the decoder's product, a maximum next to nothing.
    label_BK1 = jnp.take_along_axis(logits_BKV, labels_BK[:, :, None], axis=-1)
    hits_BK = label_BK1[:, :, 0] >= logits_BKV.max(axis=-1)
    return LossSums((losses_BK * weights_BK).sum(), (hits_BK.astype(wide) * weights_BK).sum(), weights_BK.sum())


def loss_sums(
    model: nnx.GraphDef, params: Params, batch: Batch, dropout_key: Key[Array, ""] | None, attention: str = "auto"
) -> tuple[Float[Array, ""], LossSums]:
    """Runs a masked language model on a packed, masked batch; documents in a row do not see each other.

    Args:
        model: what `nnx.split` left of a MaskedLM beside its parameters.
        params: its parameters.
        batch: as from `jax_encoder.data`.
        dropout_key: None leaves dropout off.
        attention: the implementation to use, as `masks.Documents` takes it.

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
    sums = cross_entropy_sums(logits_BKV, labels_BK, weights_BK)
    return sums.loss, sums
