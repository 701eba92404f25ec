"""What reads the encoder's output: masked-language model, pooler, mean pooling.

Reference: Devlin et al. (2019), sections 3.1 and 4, https://arxiv.org/abs/1810.04805
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from torch_ref import masks
from torch_ref.embedding import check_ids
from torch_ref.encoder import Encoder, EncoderKeeps, EncoderTaps
from torch_ref.mlp import ACTIVATIONS
from torch_ref.norm import Norm


class MLMHeadTaps(NamedTuple):
    """Every intermediate value, in the order it is computed."""

    transform: Float[Tensor, "B K D"]
    activation: Float[Tensor, "B K D"]
    norm: Float[Tensor, "B K D"]
    logits: Float[Tensor, "B K V"]


class PoolerTaps(NamedTuple):
    """Every intermediate value, in the order it is computed."""

    dense: Float[Tensor, "B D"]
    output: Float[Tensor, "B D"]


class MaskedLMTaps(NamedTuple):
    """Every intermediate value, in the order it is computed."""

    encoder: EncoderTaps
    head: MLMHeadTaps


class MLMHead(nn.Module):
    """Scores every word of the vocabulary at every position it is given, by the encoder's own word table.

    Args:
        config: gives vocab_size, embed_dim, activation, mlp_bias and the fields of `Norm`.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.transform = nn.Linear(config.embed_dim, config.embed_dim, bias=config.mlp_bias)
        self.activation = ACTIVATIONS[config.activation]
        self.norm = Norm(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(
        self, x_BKD: Float[Tensor, "B K D"], word_table_VD: Float[Tensor, "V D"]
    ) -> tuple[Float[Tensor, "B K V"], MLMHeadTaps]:
        transform_BKD = self.transform(x_BKD)
        activation_BKD = self.activation(transform_BKD)
        norm_BKD = self.norm(activation_BKD)
        logits_BKV = norm_BKD @ word_table_VD.T + self.bias
        return logits_BKV, MLMHeadTaps(transform_BKD, activation_BKD, norm_BKD, logits_BKV)


class MaskedLM(nn.Module):
    """The encoder under its masked-language-model head; they share one word table.

    Args:
        config: gives the fields of `Encoder` and `MLMHead`.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.encoder = Encoder(config)
        self.head = MLMHead(config)

    def forward(
        self,
        tokens_BT: Int[Tensor, "B T"],
        mask_BTS: Bool[Tensor, "B T T"],
        positions_BT: Int[Tensor, "B T"] | None = None,
        token_types_BT: Int[Tensor, "B T"] | None = None,
        targets_BK: Int[Tensor, "B K"] | None = None,
        keeps: EncoderKeeps | None = None,
    ) -> tuple[Float[Tensor, "B K V"], MaskedLMTaps]:
        """Arguments as in `Encoder.forward`; targets_BK are the columns whose logits are wanted, None is all T.

        Raises:
            ValueError: as `Encoder.forward`, or a target is not one of the T columns.
        """
        x_BTD, encoder = self.encoder(tokens_BT, mask_BTS, positions_BT, token_types_BT, keeps)
        if targets_BK is not None:
            check_ids("targets", targets_BK, tokens_BT.shape[1], "the number of columns")
            x_BTD = x_BTD.take_along_dim(targets_BK.long()[:, :, None], dim=1)
        logits, head = self.head(x_BTD, self.encoder.embedding.word.weight)
        return logits, MaskedLMTaps(encoder, head)


class Pooler(nn.Module):
    """One vector a sequence, read off its first token.

    Args:
        config: gives embed_dim.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.dense = nn.Linear(config.embed_dim, config.embed_dim)

    def forward(self, x_BTD: Float[Tensor, "B T D"]) -> tuple[Float[Tensor, "B D"], PoolerTaps]:
        dense_BD = self.dense(x_BTD[:, 0])
        output_BD = dense_BD.tanh()
        return output_BD, PoolerTaps(dense_BD, output_BD)


def mean_pool(x_BTD: Float[Tensor, "B T D"], valid_BT: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """Averages the valid positions; 0 for a row without any. Content elsewhere, NaN included, has no effect."""
    count_B1 = valid_BT.sum(dim=1, keepdim=True).clamp(min=1)
    return masks.blank(x_BTD, valid_BT).sum(dim=1) / count_B1
