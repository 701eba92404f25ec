"""The encoder under what reads it: the head, the pooler and the classifier that a model has.

Reference: Devlin et al. (2019), section 3, https://arxiv.org/abs/1810.04805
"""

from typing import Any, NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from torch_ref import masks
from torch_ref.classifier import Classifier, ClassifierTaps
from torch_ref.embedding import check_ids
from torch_ref.encoder import Encoder, EncoderKeeps, EncoderTaps
from torch_ref.heads import MLMHead, MLMHeadTaps, Pooler, PoolerTaps


class Outputs(NamedTuple):
    """What a model computes; None for a part it lacks."""

    hidden: Float[Tensor, "B T D"]
    logits: Float[Tensor, "B K V"] | None
    pooled: Float[Tensor, "B D"] | None
    classes: Float[Tensor, "*axes C"] | None


class ModelTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None for a part it lacks."""

    encoder: EncoderTaps
    head: MLMHeadTaps | None
    pooler: PoolerTaps | None
    classifier: ClassifierTaps | None


class Model(nn.Module):
    """An encoder and its parts. A tied head shares the encoder's word table.

    Args:
        config: gives the fields of `Encoder`, and of its parts.
        head: whether it has the masked-language-model head.
        pooler: whether it has the pooler.
        classifier: gives the fields that `Classifier` calls `classes`; None has no classifier.
    """

    def __init__(self, config: Any, *, head: bool, pooler: bool, classifier: Any | None):
        super().__init__()
        self.encoder = Encoder(config)
        self.head = MLMHead(config) if head else None
        self.pooler = Pooler(config) if pooler else None
        self.classifier = None if classifier is None else Classifier(config, classifier)

    def forward(
        self,
        tokens_BT: Int[Tensor, "B T"],
        mask_BTS: Bool[Tensor, "B T T"],
        positions_BT: Int[Tensor, "B T"] | None = None,
        token_types_BT: Int[Tensor, "B T"] | None = None,
        targets_BK: Int[Tensor, "B K"] | None = None,
        keeps: EncoderKeeps | None = None,
    ) -> tuple[Outputs, ModelTaps]:
        """Arguments as in `Encoder.forward`; targets_BK are the columns whose logits are wanted, None is all T.

        Raises:
            ValueError: as `Encoder.forward`, a target is not one of the T columns, or there is no head to want it of.
        """
        if targets_BK is not None and self.head is None:
            raise ValueError("targets must be None for a model without the masked-language-model head")
        x_BTD, encoder_taps = self.encoder(tokens_BT, mask_BTS, positions_BT, token_types_BT, keeps)
        logits = head_taps = pooled = pooler_taps = classes = classifier_taps = None
        if self.head is not None:
            x_BKD = x_BTD
            if targets_BK is not None:
                check_ids("targets", targets_BK, tokens_BT.shape[1], "the number of columns")
                x_BKD = x_BTD.take_along_dim(targets_BK.long()[:, :, None], dim=1)
            logits, head_taps = self.head(x_BKD, self.encoder.embedding.word.weight)
        if self.pooler is not None:
            pooled, pooler_taps = self.pooler(x_BTD)
        if self.classifier is not None:
            classes, classifier_taps = self.classifier(x_BTD, masks.seen(mask_BTS))
        outputs = Outputs(x_BTD, logits, pooled, classes)
        return outputs, ModelTaps(encoder_taps, head_taps, pooler_taps, classifier_taps)


class MaskedLM(Model):
    """An encoder with the masked-language-model head alone; it returns the logits.

    Args:
        config: gives the fields of `Encoder` and `MLMHead`.
    """

    head: MLMHead

    def __init__(self, config: Any):
        super().__init__(config, head=True, pooler=False, classifier=None)

    def forward(  # type: ignore[override]  # of the outputs, the one that there is
        self,
        tokens_BT: Int[Tensor, "B T"],
        mask_BTS: Bool[Tensor, "B T T"],
        positions_BT: Int[Tensor, "B T"] | None = None,
        token_types_BT: Int[Tensor, "B T"] | None = None,
        targets_BK: Int[Tensor, "B K"] | None = None,
        keeps: EncoderKeeps | None = None,
    ) -> tuple[Float[Tensor, "B K V"], ModelTaps]:
        """As `Model.forward`."""
        outputs, taps = super().forward(tokens_BT, mask_BTS, positions_BT, token_types_BT, targets_BK, keeps)
        assert outputs.logits is not None, "it has the head"
        return outputs.logits, taps
