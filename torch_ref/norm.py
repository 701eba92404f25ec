"""Layer norm and RMS norm.

References: Ba et al. (2016), https://arxiv.org/abs/1607.06450; Zhang & Sennrich (2019), https://arxiv.org/abs/1910.07467
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class Norm(nn.Module):
    """Brings every position to unit variance (layer) or unit mean square (rms), then scales and shifts its channels.

    Args:
        config: gives norm_kind, norm_eps and norm_bias.
        width: of what is normalised.
    """

    def __init__(self, config: Any, width: int):
        super().__init__()
        self.kind, self.eps = config.norm_kind, config.norm_eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if config.norm_bias else None

    def forward(self, x_BTD: Float[Tensor, "*axes D"]) -> Float[Tensor, "*axes D"]:
        if self.kind == "layer":
            return functional.layer_norm(x_BTD, self.weight.shape, self.weight, self.bias, self.eps)
        normed_BTD = functional.rms_norm(x_BTD, self.weight.shape, self.weight, self.eps)
        return normed_BTD if self.bias is None else normed_BTD + self.bias
