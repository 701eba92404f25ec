"""One layer: attention and MLP around a residual stream, normalised before or after.

References: Vaswani et al. (2017), section 3.1, https://arxiv.org/abs/1706.03762 (post-norm); Xiong et al. (2020),
https://arxiv.org/abs/2002.04745 (pre-norm)
"""

from typing import Any, NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor, nn

from torch_ref import masks
from torch_ref.attention import COLUMNS, Attention, AttentionTaps, Positions
from torch_ref.mlp import MLP, MLPTaps
from torch_ref.norm import Norm


class LayerKeeps(NamedTuple):
    """What dropout keeps in one layer; None where the site's rate is 0."""

    weights: Bool[Tensor, "B N T S"] | None
    attention_output: Bool[Tensor, "B T D"] | None
    mlp_output: Bool[Tensor, "B T D"] | None


class PreNormLayerTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; attention_norm is None where the layer has none."""

    attention_norm: Float[Tensor, "B T D"] | None
    attention: AttentionTaps
    attention_residual: Float[Tensor, "B T D"]
    mlp_norm: Float[Tensor, "B T D"]
    mlp: MLPTaps
    mlp_residual: Float[Tensor, "B T D"]


class PostNormLayerTaps(NamedTuple):
    """Every intermediate value, in the order it is computed."""

    attention: AttentionTaps
    attention_residual: Float[Tensor, "B T D"]
    attention_norm: Float[Tensor, "B T D"]
    mlp: MLPTaps
    mlp_residual: Float[Tensor, "B T D"]
    mlp_norm: Float[Tensor, "B T D"]


KEEP_ALL = LayerKeeps(weights=None, attention_output=None, mlp_output=None)


class PreNormLayer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        config: gives residual_dropout, first_attention_norm and the fields of `Attention`, `MLP` and `Norm`.
        layer: 0 for the first.
    """

    def __init__(self, config: Any, layer: int):
        super().__init__()
        self.dropout = config.residual_dropout
        self.attention_norm = Norm(config, config.embed_dim) if layer > 0 or config.first_attention_norm else None
        self.attention = Attention(config, layer)
        self.mlp_norm = Norm(config, config.embed_dim)
        self.mlp = MLP(config)

    def forward(
        self,
        x_BTD: Float[Tensor, "B T D"],
        mask_BTS: Bool[Tensor, "B T T"],
        positions: Positions = COLUMNS,
        keeps: LayerKeeps = KEEP_ALL,
    ) -> tuple[Float[Tensor, "B T D"], PreNormLayerTaps]:
        """Arguments as in `Encoder.forward`, but x_BTD is the residual stream."""
        attention_norm_BTD = None if self.attention_norm is None else self.attention_norm(x_BTD)
        source_BTD = x_BTD if attention_norm_BTD is None else attention_norm_BTD
        update_BTD, attention = self.attention(source_BTD, source_BTD, source_BTD, mask_BTS, positions, keeps.weights)
        attention_residual_BTD = x_BTD + masks.drop(update_BTD, keeps.attention_output, self.dropout)
        mlp_norm_BTD = self.mlp_norm(attention_residual_BTD)
        update_BTD, mlp = self.mlp(mlp_norm_BTD)
        mlp_residual_BTD = attention_residual_BTD + masks.drop(update_BTD, keeps.mlp_output, self.dropout)
        taps = PreNormLayerTaps(
            attention_norm_BTD, attention, attention_residual_BTD, mlp_norm_BTD, mlp, mlp_residual_BTD
        )
        return mlp_residual_BTD, taps


class PostNormLayer(nn.Module):
    """norm(x + attention(x)), then norm(x + mlp(x)).

    Args:
        config: gives residual_dropout and the fields of `Attention`, `MLP` and `Norm`.
        layer: 0 for the first.
    """

    def __init__(self, config: Any, layer: int):
        super().__init__()
        self.dropout = config.residual_dropout
        self.attention = Attention(config, layer)
        self.attention_norm = Norm(config, config.embed_dim)
        self.mlp = MLP(config)
        self.mlp_norm = Norm(config, config.embed_dim)

    def forward(
        self,
        x_BTD: Float[Tensor, "B T D"],
        mask_BTS: Bool[Tensor, "B T T"],
        positions: Positions = COLUMNS,
        keeps: LayerKeeps = KEEP_ALL,
    ) -> tuple[Float[Tensor, "B T D"], PostNormLayerTaps]:
        """Arguments as in `Encoder.forward`, but x_BTD is the residual stream."""
        update_BTD, attention = self.attention(x_BTD, x_BTD, x_BTD, mask_BTS, positions, keeps.weights)
        attention_residual_BTD = x_BTD + masks.drop(update_BTD, keeps.attention_output, self.dropout)
        attention_norm_BTD = self.attention_norm(attention_residual_BTD)
        update_BTD, mlp = self.mlp(attention_norm_BTD)
        mlp_residual_BTD = attention_norm_BTD + masks.drop(update_BTD, keeps.mlp_output, self.dropout)
        mlp_norm_BTD = self.mlp_norm(mlp_residual_BTD)
        taps = PostNormLayerTaps(
            attention, attention_residual_BTD, attention_norm_BTD, mlp, mlp_residual_BTD, mlp_norm_BTD
        )
        return mlp_norm_BTD, taps


LAYERS = {"pre": PreNormLayer, "post": PostNormLayer}
