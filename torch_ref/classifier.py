"""Classes for a sequence or for each of its positions, read off the encoder's output.

Reference: Devlin et al. (2019), section 4, https://arxiv.org/abs/1810.04805
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from torch_ref.heads import mean_pool
from torch_ref.mlp import ACTIVATIONS
from torch_ref.norm import Norm

_ACTIVATIONS = ACTIVATIONS | {"tanh": torch.tanh}


class ClassifierTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None where the config has no such part."""

    pooled: Float[Tensor, "B D"] | None
    transform: Float[Tensor, "*axes D"] | None
    activation: Float[Tensor, "*axes D"] | None
    norm: Float[Tensor, "*axes D"] | None
    late_pooled: Float[Tensor, "B D"] | None
    logits: Float[Tensor, "*axes C"]


class Classifier(nn.Module):
    """Scores classes for a sequence, or for each of its positions.

    Args:
        config: gives embed_dim and the fields of `Norm`.
        classes: gives num_classes, pooling, activation, transform_bias and norm.
    """

    def __init__(self, config: Any, classes: Any):
        super().__init__()
        D = config.embed_dim
        self.pooling = classes.pooling
        self.activation = None if classes.activation is None else _ACTIVATIONS[classes.activation]
        self.transform = None if classes.activation is None else nn.Linear(D, D, bias=classes.transform_bias)
        self.norm = Norm(config, D) if classes.norm else None
        self.output = nn.Linear(D, classes.num_classes)

    def forward(
        self, x_BTD: Float[Tensor, "B T D"], valid_BT: Bool[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "*axes C"], ClassifierTaps]:
        """Logits of [B, C], or of [B, T, C] where nothing pools; valid_BT says what pooling averages."""
        pooled_BD = x_BTD[:, 0] if self.pooling == "first" else None
        pooled_BD = mean_pool(x_BTD, valid_BT) if self.pooling == "mean" else pooled_BD
        x = x_BTD if pooled_BD is None else pooled_BD
        transform = None if self.transform is None else self.transform(x)
        activation = None if transform is None or self.activation is None else self.activation(transform)
        x = x if activation is None else activation
        norm = None if self.norm is None else self.norm(x)
        x = x if norm is None else norm
        late_BD = mean_pool(x, valid_BT) if self.pooling == "late" else None
        logits = self.output(x if late_BD is None else late_BD)
        return logits, ClassifierTaps(pooled_BD, transform, activation, norm, late_BD, logits)
