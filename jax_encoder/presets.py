"""The fields of well-known encoders, as data. Standard library only."""

from typing import Any


def _layers(count: int) -> dict[str, Any]:
    """So many layers, each with parameters of its own, that see everything."""
    return {"num_layers": count, "layer_groups": tuple(range(count)), "windows": (None,) * count}


def _heads(count: int, head_dim: int) -> dict[str, Any]:
    """So many heads, with as many for keys and values."""
    return {"num_heads": count, "num_key_value_heads": count, "head_dim": head_dim}


BERT: dict[str, Any] = {
    "table_dim": None,
    "dropped_token": None,
    "position_kind": "learned",
    "position_offset": 0,
    "relative_kind": None,
    "relative_buckets": 0,
    "relative_max_distance": 0,
    "relative_norm": False,
    "relative_projections": False,
    "rope_thetas": (),
    "rope_frequencies": (),
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
    "scale_scores": True,
    "mlp_bias": True,
    "mlp_down_bias": True,
    "mlm_activation": "gelu_exact",
    "mlm_transform_bias": True,
    "mlm_decoder_bias": True,
    "mlm_tied": True,
    "embedding_dropout": 0.1,
    "attention_dropout": 0.1,
    "residual_dropout": 0.1,
    "init_std": 0.02,
    "scan_layers": True,
}

MODERNBERT: dict[str, Any] = BERT | {
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
    "mlp_down_bias": False,
    "mlm_transform_bias": False,
    "embedding_dropout": 0.0,
    "attention_dropout": 0.0,
    "residual_dropout": 0.0,
}


def _bert(*, layers: int, dim: int, heads: int) -> dict[str, Any]:
    """BERT's proportions: heads share the width evenly, the MLP is four times as wide."""
    sizes = {"vocab_size": 30_522, "max_len": 512, "embed_dim": dim, "mlp_dim": 4 * dim, "num_token_types": 2}
    return BERT | sizes | _layers(layers) | _heads(heads, dim // heads)


TINY = (
    BERT
    | _layers(2)
    | _heads(3, 8)
    | {"vocab_size": 61, "max_len": 37, "embed_dim": 20, "mlp_dim": 28, "num_token_types": 4}
)

MINI = (
    MODERNBERT
    | _layers(4)
    | _heads(2, 64)
    | {"vocab_size": 8192, "max_len": 128, "embed_dim": 128, "mlp_dim": 192}
    | {"windows": (None, 32, 32, None), "rope_thetas": (160_000.0, 10_000.0, 10_000.0, 160_000.0)}
)

BERT_BASE = _bert(layers=12, dim=768, heads=12)
BERT_LARGE = _bert(layers=24, dim=1024, heads=16)
# Spelled out: a step takes a seventh less than in a loop, which writes what its backward pass reads to memory twice.
MINILM_L6 = _bert(layers=6, dim=384, heads=12) | {"scan_layers": False}
ROBERTA_BASE = BERT_BASE | {"vocab_size": 50_265, "num_token_types": 1, "position_offset": 2, "norm_eps": 1e-5}

MODERNBERT_BASE = (
    MODERNBERT
    | _layers(22)
    | _heads(12, 64)
    | {"vocab_size": 50_368, "max_len": 8192, "embed_dim": 768, "mlp_dim": 1152}
    | {
        "windows": tuple(64 if layer % 3 else None for layer in range(22)),
        "rope_thetas": tuple(10_000.0 if layer % 3 else 160_000.0 for layer in range(22)),
    }
)
