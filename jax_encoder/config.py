"""What an encoder is made of, as data. Standard library only, so that anything may import it."""

import dataclasses
import json
from typing import Any, Literal, get_args

NormOrder = Literal["post", "pre"]
NormKind = Literal["layer", "rms"]
Activation = Literal["gelu_exact", "gelu_tanh", "relu", "silu"]
MlpKind = Literal["dense", "gated"]
PositionKind = Literal["learned", "sinusoidal", "rotary"]

_CHOICES = {
    "norm_order": get_args(NormOrder),
    "norm_kind": get_args(NormKind),
    "activation": get_args(Activation),
    "mlp_kind": get_args(MlpKind),
    "position_kind": get_args(PositionKind),
}
_SIZES = ("vocab_size", "max_len", "embed_dim", "num_layers", "num_heads", "head_dim", "mlp_dim")
_COUNTS = ("num_token_types", "position_offset")
_RATES = ("embedding_dropout", "attention_dropout", "residual_dropout")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """One encoder: its sizes, its form and its dropout rates. Axis letters as in README.md.

    Attributes:
        vocab_size: V, rows of the word embedding.
        max_len: longest sequence; for learned positions, the largest position + 1.
        embed_dim: D, width of the residual stream.
        num_layers: L.
        num_heads: N, attention heads per layer.
        head_dim: H, width of one head; N * H need not equal D.
        mlp_dim: F, width between the two projections of the MLP.
        num_token_types: rows of the token-type embedding; 0 leaves it out.
        position_kind: "learned" table, "sinusoidal" (Vaswani et al. 2017, section 3.5), or "rotary" (Su et al. 2021).
        position_offset: the learned table's row for position 0; RoBERTa's is 2. Adds as many rows to the table.
        rope_thetas: rotary base, one per layer; empty unless positions are rotary.
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
        activation: of the MLP and of the masked-language-model head.
        attention_bias: whether the query, key, value and output projections have biases.
        mlp_bias: whether the MLP's projections and the masked-language-model head's transform have biases.
        embedding_dropout: rate on the embeddings, after their norm.
        attention_dropout: rate on the attention weights.
        residual_dropout: rate on what attention and MLP add to the residual stream.
        init_std: standard deviation of the normal, cut at two of them, that kernels and tables start from.
        scan_layers: one compiled layer in a loop (fast to compile), or every layer spelled out (free to fuse).
    """

    vocab_size: int
    max_len: int
    embed_dim: int
    num_layers: int
    num_heads: int
    head_dim: int
    mlp_dim: int
    num_token_types: int
    position_kind: PositionKind
    position_offset: int
    rope_thetas: tuple[float, ...]
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
    mlp_bias: bool
    embedding_dropout: float
    attention_dropout: float
    residual_dropout: float
    init_std: float
    scan_layers: bool

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name in (*_SIZES, *_COUNTS):
            value, least = getattr(self, name), 1 if name in _SIZES else 0
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        for name in _RATES:
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)!r}")
        for name in ("norm_eps", "init_std"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)!r}")
        self._check_layers()
        self._check_combinations()

    def _check_layers(self) -> None:
        """Per-layer tuples have one entry per layer, each in range."""
        if len(self.windows) != self.num_layers:
            raise ValueError(f"windows needs {self.num_layers} entries, one per layer, got {len(self.windows)}")
        for window in self.windows:
            if window is not None and window < 1:
                raise ValueError(f"windows must hold None (sees all) or at least 1 key to each side, got {window!r}")
        expected = self.num_layers if self.position_kind == "rotary" else 0
        if len(self.rope_thetas) != expected:
            raise ValueError(
                f"rope_thetas needs {expected} entries ({self.num_layers} layers, {self.position_kind} positions), "
                f"got {len(self.rope_thetas)}"
            )
        for theta in self.rope_thetas:
            if not theta > 0:
                raise ValueError(f"rope_thetas must be above 0, got {theta!r}")

    def _check_combinations(self) -> None:
        """Refuses what each field allows but the whole cannot mean."""
        if self.position_kind == "rotary" and self.head_dim % 2:
            raise ValueError(f"rotary positions turn pairs of channels: head_dim must be even, got {self.head_dim}")
        if self.position_kind == "sinusoidal" and self.embed_dim % 2:
            raise ValueError(
                f"sinusoidal positions fill pairs of channels: embed_dim must be even, got {self.embed_dim}"
            )
        if self.position_kind != "learned" and self.position_offset:
            raise ValueError(
                f"position_offset is a row of the learned table and must be 0 for {self.position_kind} positions, "
                f"got {self.position_offset}"
            )
        if self.norm_order == "post" and not self.first_attention_norm:
            raise ValueError("first_attention_norm=False leaves out a norm that only norm_order='pre' has, got 'post'")

    def to_json(self) -> str:
        """The config as a JSON object, one field a line."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "EncoderConfig":
        """Reads what `to_json` wrote.

        Raises:
            ValueError: not a JSON object, a field unknown or missing, or a value refused.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"the encoder config is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise ValueError(f"the encoder config must be a JSON object, got {type(values).__name__}")
        names = {field.name for field in dataclasses.fields(cls)}
        if values.keys() != names:
            unknown, missing = sorted(values.keys() - names), sorted(names - values.keys())
            raise ValueError(f"the encoder config has unknown fields {unknown} and lacks {missing}")
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**fields)

    @classmethod
    def tiny(cls) -> "EncoderConfig":
        """For tests. No two sizes are equal, so that a swapped axis cannot go unnoticed."""
        return cls(
            **_BERT,
            vocab_size=61,
            max_len=37,
            embed_dim=20,
            num_layers=2,
            num_heads=3,
            head_dim=8,
            mlp_dim=28,
            num_token_types=4,
            windows=(None,) * 2,
        )

    @classmethod
    def mini(cls) -> "EncoderConfig":
        """The default training run: ModernBERT's form, small enough for two processor cores."""
        return cls(
            **_MODERNBERT,
            vocab_size=8192,
            max_len=128,
            embed_dim=128,
            num_layers=4,
            num_heads=2,
            head_dim=64,
            mlp_dim=192,
            windows=(None, 32, 32, None),
            rope_thetas=(160_000.0, 10_000.0, 10_000.0, 160_000.0),
        )

    @classmethod
    def bert_base(cls) -> "EncoderConfig":
        """Devlin et al. (2019), section 3, https://arxiv.org/abs/1810.04805."""
        return cls(**_bert_sizes(layers=12, dim=768, heads=12))

    @classmethod
    def bert_large(cls) -> "EncoderConfig":
        """Devlin et al. (2019), section 3, https://arxiv.org/abs/1810.04805."""
        return cls(**_bert_sizes(layers=24, dim=1024, heads=16))

    @classmethod
    def minilm_l6(cls) -> "EncoderConfig":
        """all-MiniLM-L6: Wang et al. (2020), https://arxiv.org/abs/2002.10957, with every second layer."""
        return cls(**_bert_sizes(layers=6, dim=384, heads=12))

    @classmethod
    def roberta_base(cls) -> "EncoderConfig":
        """Liu et al. (2019), https://arxiv.org/abs/1907.11692; sizes as published in its checkpoint."""
        sizes = _bert_sizes(layers=12, dim=768, heads=12)
        return cls(**sizes | {"vocab_size": 50_265, "num_token_types": 1, "position_offset": 2, "norm_eps": 1e-5})

    @classmethod
    def modernbert_base(cls) -> "EncoderConfig":
        """Warner et al. (2024), appendix A, https://arxiv.org/abs/2412.13663."""
        return cls(
            **_MODERNBERT,
            vocab_size=50_368,
            max_len=8192,
            embed_dim=768,
            num_layers=22,
            num_heads=12,
            head_dim=64,
            mlp_dim=1152,
            windows=tuple(64 if layer % 3 else None for layer in range(22)),
            rope_thetas=tuple(10_000.0 if layer % 3 else 160_000.0 for layer in range(22)),
        )


_BERT: dict[str, Any] = {
    "position_kind": "learned",
    "position_offset": 0,
    "rope_thetas": (),
    "norm_order": "post",
    "norm_kind": "layer",
    "norm_eps": 1e-12,
    "norm_bias": True,
    "embedding_norm": True,
    "first_attention_norm": True,
    "final_norm": False,
    "mlp_kind": "dense",
    "activation": "gelu_exact",
    "attention_bias": True,
    "mlp_bias": True,
    "embedding_dropout": 0.1,
    "attention_dropout": 0.1,
    "residual_dropout": 0.1,
    "init_std": 0.02,
    "scan_layers": True,
}

_MODERNBERT: dict[str, Any] = _BERT | {
    "num_token_types": 0,
    "position_kind": "rotary",
    "norm_order": "pre",
    "norm_eps": 1e-5,
    "norm_bias": False,
    "first_attention_norm": False,
    "final_norm": True,
    "mlp_kind": "gated",
    "attention_bias": False,
    "mlp_bias": False,
    "embedding_dropout": 0.0,
    "attention_dropout": 0.0,
    "residual_dropout": 0.0,
}
del _MODERNBERT["rope_thetas"]


def _bert_sizes(*, layers: int, dim: int, heads: int) -> dict[str, Any]:
    """BERT's proportions: heads share the width evenly, the MLP is four times as wide."""
    return _BERT | {
        "vocab_size": 30_522,
        "max_len": 512,
        "embed_dim": dim,
        "num_layers": layers,
        "num_heads": heads,
        "head_dim": dim // heads,
        "mlp_dim": 4 * dim,
        "num_token_types": 2,
        "windows": (None,) * layers,
    }
