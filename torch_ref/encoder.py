"""The encoder: embeddings, then layers of attention and MLP around a residual stream.

References: Vaswani et al. (2017), section 3.1, https://arxiv.org/abs/1706.03762 (post-norm); Xiong et al. (2020),
https://arxiv.org/abs/2002.04745 (pre-norm)
"""

from typing import Any, NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from torch_ref import masks
from torch_ref.attention import Attention, AttentionTaps
from torch_ref.embedding import Embedding, EmbeddingTaps
from torch_ref.mlp import MLP, MLPTaps
from torch_ref.norm import Norm


class LayerKeeps(NamedTuple):
    """What dropout keeps in one layer; None where the site's rate is 0."""

    weights: Bool[Tensor, "B N T S"] | None
    attention_output: Bool[Tensor, "B T D"] | None
    mlp_output: Bool[Tensor, "B T D"] | None


class EncoderKeeps(NamedTuple):
    """What dropout keeps in one encoder; `embedding` is None where its rate is 0."""

    embedding: Bool[Tensor, "B T D"] | None
    layers: tuple[LayerKeeps, ...]


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


class EncoderTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; final_norm is None where the encoder has none."""

    embedding: EmbeddingTaps
    layers: tuple[PreNormLayerTaps, ...] | tuple[PostNormLayerTaps, ...]
    final_norm: Float[Tensor, "B T D"] | None


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
        self.attention_norm = Norm(config) if layer > 0 or config.first_attention_norm else None
        self.attention = Attention(config, layer)
        self.mlp_norm = Norm(config)
        self.mlp = MLP(config)

    def forward(
        self,
        x_BTD: Float[Tensor, "B T D"],
        mask_BTS: Bool[Tensor, "B T T"],
        positions_BT: Int[Tensor, "B T"] | None = None,
        keeps: LayerKeeps = KEEP_ALL,
    ) -> tuple[Float[Tensor, "B T D"], PreNormLayerTaps]:
        """Arguments as in `Encoder.forward`, but x_BTD is the residual stream."""
        attention_norm_BTD = None if self.attention_norm is None else self.attention_norm(x_BTD)
        source_BTD = x_BTD if attention_norm_BTD is None else attention_norm_BTD
        update_BTD, attention = self.attention(
            source_BTD, source_BTD, source_BTD, mask_BTS, positions_BT, keeps.weights
        )
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
        self.attention_norm = Norm(config)
        self.mlp = MLP(config)
        self.mlp_norm = Norm(config)

    def forward(
        self,
        x_BTD: Float[Tensor, "B T D"],
        mask_BTS: Bool[Tensor, "B T T"],
        positions_BT: Int[Tensor, "B T"] | None = None,
        keeps: LayerKeeps = KEEP_ALL,
    ) -> tuple[Float[Tensor, "B T D"], PostNormLayerTaps]:
        """Arguments as in `Encoder.forward`, but x_BTD is the residual stream."""
        update_BTD, attention = self.attention(x_BTD, x_BTD, x_BTD, mask_BTS, positions_BT, keeps.weights)
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


class Encoder(nn.Module):
    """Turns token ids into one vector a position, each informed by what its mask row allows.

    Args:
        config: every field of `jax_encoder.config.EncoderConfig` but init_std and scan_layers.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        self.layers = nn.ModuleList(LAYERS[config.norm_order](config, layer) for layer in range(config.num_layers))
        self.final_norm = Norm(config) if config.final_norm else None

    def forward(
        self,
        tokens_BT: Int[Tensor, "B T"],
        mask_BTS: Bool[Tensor, "B T T"],
        positions_BT: Int[Tensor, "B T"] | None = None,
        token_types_BT: Int[Tensor, "B T"] | None = None,
        keeps: EncoderKeeps | None = None,
    ) -> tuple[Float[Tensor, "B T D"], EncoderTaps]:
        """Encodes one batch.

        Args:
            tokens_BT: ids below vocab_size; T at most max_len.
            mask_BTS: True where query t may attend to key s. A position that nobody attends to is padding.
            positions_BT: where each token stands in its document; None counts the columns.
            token_types_BT: None is 0 everywhere; must be None if num_token_types is 0.
            keeps: what dropout keeps; None is no dropout.

        Raises:
            ValueError: as `Embedding.forward`, or `keeps` lacks a mask whose dropout rate is above 0.
        """
        if keeps is None:
            keeps = EncoderKeeps(embedding=None, layers=(KEEP_ALL,) * self.config.num_layers)
        else:
            _check_keeps(keeps, self.config)
        x_BTD, embedding = self.embedding(tokens_BT, masks.seen(mask_BTS), positions_BT, token_types_BT)
        x_BTD = masks.drop(x_BTD, keeps.embedding, self.config.embedding_dropout)
        layers = []
        for layer, layer_keeps in zip(self.layers, keeps.layers, strict=True):
            x_BTD, layer_taps = layer(x_BTD, mask_BTS, positions_BT, layer_keeps)
            layers.append(layer_taps)
        final_norm_BTD = None if self.final_norm is None else self.final_norm(x_BTD)
        taps = EncoderTaps(embedding, tuple(layers), final_norm_BTD)
        return (x_BTD if final_norm_BTD is None else final_norm_BTD), taps


def _check_keeps(keeps: EncoderKeeps, config: Any) -> None:
    """Dropout that was asked for must not be left out in silence."""
    if len(keeps.layers) != config.num_layers:
        raise ValueError(f"keeps.layers needs {config.num_layers} entries, one per layer, got {len(keeps.layers)}")
    sites = [("keeps.embedding", keeps.embedding, "embedding_dropout")]
    for i, layer in enumerate(keeps.layers):
        sites.append((f"keeps.layers[{i}].weights", layer.weights, "attention_dropout"))
        sites.append((f"keeps.layers[{i}].attention_output", layer.attention_output, "residual_dropout"))
        sites.append((f"keeps.layers[{i}].mlp_output", layer.mlp_output, "residual_dropout"))
    for site, keep, rate in sites:
        if keep is None and getattr(config, rate) > 0:
            raise ValueError(
                f"{site} must be a mask because {rate} is {getattr(config, rate)}, got None: pass keeps=None to run "
                "without dropout"
            )
