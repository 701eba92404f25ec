"""What an encoder is made of, as data. Standard library only, so that anything may import it."""

import dataclasses
import json
from typing import Any, Literal, get_args

from jax_encoder import config_rules, presets, versions

NormOrder = Literal["post", "pre"]
NormKind = Literal["layer", "rms"]
Activation = Literal["gelu_exact", "gelu_tanh", "relu", "silu"]
MlpKind = Literal["dense", "gated"]
PositionKind = Literal["learned", "sinusoidal", "rotary", "none"]
RelativeKind = Literal["bias", "disentangled", "linear"]

_CHOICES = {
    "norm_order": get_args(NormOrder),
    "norm_kind": get_args(NormKind),
    "activation": get_args(Activation),
    "mlp_kind": get_args(MlpKind),
    "position_kind": get_args(PositionKind),
}
_OPTIONAL = {
    "mlm_activation": (get_args(Activation), "no transform"),
    "relative_kind": (get_args(RelativeKind), "nothing"),
}
_SIZES = (
    *("vocab_size", "max_len", "embed_dim", "num_layers"),
    *("num_heads", "num_key_value_heads", "head_dim", "mlp_dim"),
)
_COUNTS = ("num_token_types", "position_offset", "relative_buckets", "relative_max_distance")
_RATES = ("embedding_dropout", "attention_dropout", "residual_dropout")

# What saved configs of earlier versions lack. A new field has its row here, and they go on loading.
_ADDED: versions.Added = {
    2: {
        "table_dim": lambda _: None,
        "layer_groups": lambda fields: list(range(fields["num_layers"])),
        "num_key_value_heads": lambda fields: fields["num_heads"],
        "relative_buckets": lambda _: 0,
        "relative_max_distance": lambda _: 0,
        "mlm_activation": lambda fields: fields["activation"],
        "mlm_transform_bias": lambda fields: fields["mlp_bias"],
        "mlm_decoder_bias": lambda _: True,
        "mlm_tied": lambda _: True,
    },
    3: {
        "relative_kind": lambda fields: "bias" if fields["relative_buckets"] else None,
        "relative_norm": lambda _: False,
        "relative_projections": lambda _: False,
        "scale_scores": lambda _: True,
        "mlp_down_bias": lambda fields: fields["mlp_bias"],
        "dropped_token": lambda _: None,
        "rope_frequencies": lambda _: [],
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """One encoder: its sizes, its form and its dropout rates. Axis letters as in docs/encoder.md.

    Attributes:
        vocab_size: V, rows of the word embedding.
        max_len: longest sequence; for learned positions, the largest position + 1.
        embed_dim: D, width of the residual stream.
        table_dim: E, width of the embedding tables and their norm, which a projection then brings to D (Lan et al.
            2020, section 3.1); the masked-language-model head goes back to E. None: D, and nothing projects.
        num_layers: L.
        layer_groups: per layer, which set of parameters it uses: 0, 1, ..., L - 1 where each has its own, all 0 where
            all share one (Lan et al. 2020, section 3.1).
        num_heads: N, attention heads per layer.
        num_key_value_heads: G, heads of keys and values; N / G neighbouring query heads share one (Ainslie et al.
            2023).
        head_dim: H, width of one head; N * H need not equal D.
        mlp_dim: F, width between the two projections of the MLP.
        num_token_types: rows of the token-type embedding; 0 leaves it out.
        dropped_token: the mask token, where its word is 0 and the words around it grow in return, as under dropout
            (ESM-2: Lin et al. 2023). None embeds every token alike.
        position_kind: "learned" table, "sinusoidal" (Vaswani et al. 2017, section 3.5), "rotary" (Su et al. 2021), or
            "none": words alone, with a relative kind or as a bag of words.
        position_offset: the learned table's row for position 0; RoBERTa's is 2. Adds as many rows to the table.
        relative_kind: what the distance of key and query in columns adds to the scores, beside the positions: "bias", a
            number per head from a table that all layers read (Raffel et al. 2020, section 2.1; MPNet); "disentangled",
            what query and key have in common with a row of a table that all layers read (He et al. 2021); "linear",
            what grows with the distance, at a rate per head (Press et al. 2022). None adds nothing.
        relative_buckets: rows of that table, one per range of distances, half for each direction; 0 without a table.
        relative_max_distance: from this distance on all keys share the last bucket; 0 without a table.
        relative_norm: whether the disentangled table's rows are normalised.
        relative_projections: whether every layer has projections of its own for these rows, or uses the query's and the
            key's.
        rope_thetas: rotary base, one per layer; empty unless positions are rotary.
        rope_frequencies: the H / 2 frequencies that all layers turn by in place of their base's, where a checkpoint
            holds rounded ones; empty computes them.
        windows: per layer, how many keys to each side a query sees; None sees all.
        norm_order: "post" normalises after adding to the residual stream (BERT), "pre" before each block.
        norm_kind: "layer" (Ba et al. 2016) or "rms" (Zhang & Sennrich 2019).
        norm_eps: added to the variance (layer) or mean square (rms) before the root.
        norm_bias: whether norms add a bias after their scale.
        embedding_norm: whether the sum of the embeddings is normalised.
        first_attention_norm: False leaves out layer 0's pre-norm before attention (ModernBERT, which has
            just normalised the embeddings).
        final_norm: whether the last layer's output is normalised.
        mlp_kind: "dense", or "gated": activation(gate) * up (Shazeer 2020).
        activation: of the MLP.
        attention_bias: whether the query, key, value and output projections have biases.
        scale_scores: whether scores are divided by the root of H, or of 3 H where they are disentangled; T5's are not.
        mlp_bias: whether the MLP's up and gate projections have biases.
        mlp_down_bias: whether its down projection has one.
        mlm_activation: of the masked-language-model head's transform (projection, activation, norm); None leaves the
            transform out, so that the decoder reads the encoder's output.
        mlm_transform_bias: whether that transform's projection has a bias.
        mlm_decoder_bias: whether the head's decoder adds a bias per word.
        mlm_tied: whether the decoder is the word embedding (Press & Wolf 2017), or has a kernel of its own.
        embedding_dropout: rate on the embeddings, after their norm.
        attention_dropout: rate on the attention weights.
        residual_dropout: rate on what attention and MLP add to the residual stream.
        init_std: standard deviation of the normal, cut at two of them, that kernels and tables start from.
        scan_layers: one compiled layer in a loop (fast to compile), or every layer spelled out (free to fuse).
    """

    vocab_size: int
    max_len: int
    embed_dim: int
    table_dim: int | None
    num_layers: int
    layer_groups: tuple[int, ...]
    num_heads: int
    num_key_value_heads: int
    head_dim: int
    mlp_dim: int
    num_token_types: int
    dropped_token: int | None
    position_kind: PositionKind
    position_offset: int
    relative_kind: RelativeKind | None
    relative_buckets: int
    relative_max_distance: int
    relative_norm: bool
    relative_projections: bool
    rope_thetas: tuple[float, ...]
    rope_frequencies: tuple[float, ...]
    windows: tuple[int | None, ...]
    norm_order: NormOrder
    norm_kind: NormKind
    norm_eps: float
    norm_bias: bool
    embedding_norm: bool
    first_attention_norm: bool
    final_norm: bool
    mlp_kind: MlpKind
    activation: Activation
    attention_bias: bool
    scale_scores: bool
    mlp_bias: bool
    mlp_down_bias: bool
    mlm_activation: Activation | None
    mlm_transform_bias: bool
    mlm_decoder_bias: bool
    mlm_tied: bool
    embedding_dropout: float
    attention_dropout: float
    residual_dropout: float
    init_std: float
    scan_layers: bool

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name, (choices, left_out) in _OPTIONAL.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, or None for {left_out}, got {value!r}")
        for name in (*_SIZES, *_COUNTS, *(() if self.table_dim is None else ("table_dim",))):
            value, least = getattr(self, name), 0 if name in _COUNTS else 1
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        for name in _RATES:
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)!r}")
        for name in ("norm_eps", "init_std"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)!r}")
        config_rules.check(self)

    @property
    def table_width(self) -> int:
        """E, the width of the embedding tables."""
        return self.embed_dim if self.table_dim is None else self.table_dim

    def to_json(self) -> str:
        """The config as a JSON object, one field a line, with the version that it is of."""
        return json.dumps({versions.KEY: versions.newest(_ADDED), **dataclasses.asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "EncoderConfig":
        """Reads what `to_json` wrote, in this version or an earlier one.

        Raises:
            ValueError: not a JSON object, of a newer version, a field unknown or missing, or a value refused.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"the encoder config is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise ValueError(f"the encoder config must be a JSON object, got {type(values).__name__}")
        names = [field.name for field in dataclasses.fields(cls)]
        try:
            read = versions.upgraded(values, names, _ADDED, what="the encoder config")
            fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in read.items()}
            return cls(**fields)
        except TypeError as error:
            raise ValueError(f"the encoder config holds a value of the wrong kind: {error}") from None

    @classmethod
    def tiny(cls) -> "EncoderConfig":
        """For tests. No two sizes are equal, so that a swapped axis cannot go unnoticed."""
        return cls(**presets.TINY)

    @classmethod
    def mini(cls) -> "EncoderConfig":
        """The default training run: ModernBERT's form, small enough for two processor cores."""
        return cls(**presets.MINI)

    @classmethod
    def bert_base(cls) -> "EncoderConfig":
        """Devlin et al. (2019), section 3, https://arxiv.org/abs/1810.04805."""
        return cls(**presets.BERT_BASE)

    @classmethod
    def bert_large(cls) -> "EncoderConfig":
        """Devlin et al. (2019), section 3, https://arxiv.org/abs/1810.04805."""
        return cls(**presets.BERT_LARGE)

    @classmethod
    def minilm_l6(cls) -> "EncoderConfig":
        """all-MiniLM-L6: Wang et al. (2020), https://arxiv.org/abs/2002.10957, with every second layer."""
        return cls(**presets.MINILM_L6)

    @classmethod
    def roberta_base(cls) -> "EncoderConfig":
        """Liu et al. (2019), https://arxiv.org/abs/1907.11692; sizes as published in its checkpoint."""
        return cls(**presets.ROBERTA_BASE)

    @classmethod
    def modernbert_base(cls) -> "EncoderConfig":
        """Warner et al. (2024), appendix A, https://arxiv.org/abs/2412.13663."""
        return cls(**presets.MODERNBERT_BASE)
