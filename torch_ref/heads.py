"""What reads the encoder's output: masked-language model, pooler, mean pooling.

Reference: Devlin et al. (2019), sections 3.1 and 4, https://arxiv.org/abs/1810.04805
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from torch_ref import masks
from torch_ref.mlp import ACTIVATIONS
from torch_ref.norm import Norm


class MLMHeadTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None without a transform."""

    transform: Float[Tensor, "B K E"] | None
    activation: Float[Tensor, "B K E"] | None
    norm: Float[Tensor, "B K E"] | None
    logits: Float[Tensor, "B K V"]


class PoolerTaps(NamedTuple):
    """Every intermediate value, in the order it is computed."""

    dense: Float[Tensor, "B D"]
    output: Float[Tensor, "B D"]


class MLMHead(nn.Module):
    """Scores every word of the vocabulary at every position it is given.

    Args:
        config: gives vocab_size, embed_dim, table_dim, mlm_activation, mlm_transform_bias, mlm_decoder_bias, mlm_tied
            and the fields of `Norm`.
    """

    def __init__(self, config: Any):
        super().__init__()
        D, E, V, act = config.embed_dim, config.table_dim or config.embed_dim, config.vocab_size, config.mlm_activation
        self.transform = None if act is None else nn.Linear(D, E, bias=config.mlm_transform_bias)
        self.activation = None if act is None else ACTIVATIONS[act]
        self.norm = None if act is None else Norm(config, E)
        self.decoder = None if config.mlm_tied else nn.Linear(E, V, bias=False)
        self.bias = nn.Parameter(torch.zeros(V)) if config.mlm_decoder_bias else None

    def forward(
        self, x_BKD: Float[Tensor, "B K D"], word_table_VE: Float[Tensor, "V E"]
    ) -> tuple[Float[Tensor, "B K V"], MLMHeadTaps]:
        """The encoder's word table is what a tied head multiplies with; another head has its own."""
        transform_BKE = activation_BKE = norm_BKE = None
        if self.transform is not None and self.activation is not None and self.norm is not None:
            transform_BKE = self.transform(x_BKD)
            activation_BKE = self.activation(transform_BKE)
            norm_BKE = self.norm(activation_BKE)
        read_BKE = x_BKD if norm_BKE is None else norm_BKE
        logits_BKV = read_BKE @ (word_table_VE if self.decoder is None else self.decoder.weight).T
        if self.bias is not None:
            logits_BKV = logits_BKV + self.bias
        return logits_BKV, MLMHeadTaps(transform_BKE, activation_BKE, norm_BKE, logits_BKV)


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
