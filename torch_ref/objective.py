"""The masked-language-model loss.

Reference: Devlin et al. (2019), section 3.1, https://arxiv.org/abs/1810.04805
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def masked_lm_loss(
    logits_BKV: Float[Tensor, "B K V"],
    labels_BK: Int[Tensor, "B K"],
    weights_BK: Float[Tensor, "B K"],
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The summed cross-entropy in nats, and the number of targets: divide once, by the number in the whole batch.

    Args:
        logits_BKV: scores of the vocabulary.
        labels_BK: the tokens that were there.
        weights_BK: 1 for a target, 0 for filler, which counts for nothing whatever its logits and label.
        label_smoothing: share of a target's probability that is spread over the vocabulary.
        z_loss: weight of the square of the logarithm of the softmax's denominator.
    """
    labels_BK = labels_BK.long().masked_fill(weights_BK == 0, -100)
    dtype = torch.promote_types(logits_BKV.dtype, torch.float32)
    logits_BKV = logits_BKV.to(dtype)
    total = functional.cross_entropy(
        logits_BKV.flatten(0, 1),
        labels_BK.flatten(),
        ignore_index=-100,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    if z_loss:
        total = total + z_loss * (logits_BKV.logsumexp(dim=-1).square() * weights_BK.to(dtype)).sum()
    return total, weights_BK.to(dtype).sum()
