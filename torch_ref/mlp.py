"""The position-wise feed-forward block, dense or gated.

References: Vaswani et al. (2017), section 3.3, https://arxiv.org/abs/1706.03762; Shazeer (2020),
https://arxiv.org/abs/2002.05202; Hendrycks & Gimpel (2016), https://arxiv.org/abs/1606.08415 (GELU)
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu_exact": partial(functional.gelu, approximate="none"),
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
}


class MLPTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None where the form has no such value."""

    pre_activation: Float[Tensor, "B T F"]
    up: Float[Tensor, "B T F"] | None
    post_activation: Float[Tensor, "B T F"]
    product: Float[Tensor, "B T F"] | None
    output: Float[Tensor, "B T D"]


class MLP(nn.Module):
    """Widens every position to F channels, bends them, and narrows them again.

    Dense: down(activation(up(x))). Gated: down(activation(gate(x)) * up(x)).

    Args:
        config: gives embed_dim, mlp_dim, mlp_kind, activation, mlp_bias and mlp_down_bias.
    """

    def __init__(self, config: Any):
        super().__init__()
        D, F, bias = config.embed_dim, config.mlp_dim, config.mlp_bias
        self.activation = ACTIVATIONS[config.activation]
        self.gate = nn.Linear(D, F, bias=bias) if config.mlp_kind == "gated" else None
        self.up = nn.Linear(D, F, bias=bias)
        self.down = nn.Linear(F, D, bias=config.mlp_down_bias)

    def forward(self, x_BTD: Float[Tensor, "B T D"]) -> tuple[Float[Tensor, "B T D"], MLPTaps]:
        if self.gate is None:
            pre_activation_BTF = self.up(x_BTD)
            hidden_BTF = post_activation_BTF = self.activation(pre_activation_BTF)
            up_BTF = product_BTF = None
        else:
            pre_activation_BTF, up_BTF = self.gate(x_BTD), self.up(x_BTD)
            post_activation_BTF = self.activation(pre_activation_BTF)
            hidden_BTF = product_BTF = post_activation_BTF * up_BTF
        output_BTD = self.down(hidden_BTF)
        return output_BTD, MLPTaps(pre_activation_BTF, up_BTF, post_activation_BTF, product_BTF, output_BTD)
