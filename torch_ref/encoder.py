"""The encoder: embeddings, then layers of attention and MLP around a residual stream.

References: Vaswani et al. (2017), section 3.1, https://arxiv.org/abs/1706.03762; Lan et al. (2020), section 3.1,
https://arxiv.org/abs/1909.11942 (factorised embeddings, shared layers)
"""

from typing import Any, NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from torch_ref import masks
from torch_ref.attention import Positions
from torch_ref.disentangled import RelativeEmbedding
from torch_ref.embedding import Embedding, EmbeddingTaps
from torch_ref.layer import KEEP_ALL, LAYERS, LayerKeeps, PostNormLayerTaps, PreNormLayerTaps
from torch_ref.norm import Norm
from torch_ref.relative import LinearBias, RelativeBias


class EncoderKeeps(NamedTuple):
    """What dropout keeps in one encoder; `embedding` is None where its rate is 0."""

    embedding: Bool[Tensor, "B T E"] | None
    layers: tuple[LayerKeeps, ...]


class EncoderTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None where the encoder has no such part."""

    embedding: EmbeddingTaps
    embedding_projection: Float[Tensor, "B T D"] | None
    relative_bias: Float[Tensor, "N T S"] | None
    relative_embedding: Float[Tensor, "R D"] | None
    layers: tuple[PreNormLayerTaps, ...] | tuple[PostNormLayerTaps, ...]
    final_norm: Float[Tensor, "B T D"] | None


class Encoder(nn.Module):
    """Turns token ids into one vector a position, each informed by what its mask row allows.

    Args:
        config: every field of `jax_encoder.config.EncoderConfig` but init_std and scan_layers.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        D, E, groups = config.embed_dim, config.table_dim, config.layer_groups
        self.embedding_projection = None if E is None else nn.Linear(E, D)
        self.relative_bias = RelativeBias(config) if config.relative_kind == "bias" else None
        self.linear_bias = LinearBias(config) if config.relative_kind == "linear" else None
        self.relative_embedding = RelativeEmbedding(config) if config.relative_kind == "disentangled" else None
        firsts = [groups.index(group) for group in range(max(groups) + 1)]
        self.layers = nn.ModuleList(LAYERS[config.norm_order](config, layer) for layer in firsts)
        self.final_norm = Norm(config, D) if config.final_norm else None

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
        x_BTE, embedding = self.embedding(tokens_BT, mask_BTS, positions_BT, token_types_BT)
        x_BTE = masks.drop(x_BTE, keeps.embedding, self.config.embedding_dropout)
        projection_BTD = None if self.embedding_projection is None else self.embedding_projection(x_BTE)
        x_BTD = x_BTE if projection_BTD is None else projection_BTD
        bias_NTS = None if self.relative_bias is None else self.relative_bias(tokens_BT.shape[1])
        if self.linear_bias is not None:
            bias_NTS = self.linear_bias(x_BTD)
        relative = None if self.relative_embedding is None else self.relative_embedding(tokens_BT.shape[1])
        positions = Positions(positions_BT, bias_NTS, relative)
        layers = []
        for group, layer_keeps in zip(self.config.layer_groups, keeps.layers, strict=True):
            x_BTD, layer_taps = self.layers[group](x_BTD, mask_BTS, positions, layer_keeps)
            layers.append(layer_taps)
        final_norm_BTD = None if self.final_norm is None else self.final_norm(x_BTD)
        embedding_RD = None if relative is None else relative.embedding
        taps = EncoderTaps(embedding, projection_BTD, bias_NTS, embedding_RD, tuple(layers), final_norm_BTD)
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
