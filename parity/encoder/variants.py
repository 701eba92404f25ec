"""The matrix of encoders that a check runs: every value of every option at least once."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from parity.cases.case import Sizes
from parity.encoder.form import PLAIN, Form

B, T = 5, 13  # unlike every size of EncoderConfig.tiny()
PRESETS = ("mini", "minilm_l6", "bert_base", "roberta_base")

DROPOUT = {"embedding_dropout": 0.1, "attention_dropout": 0.2, "residual_dropout": 0.3}
ROTARY = {"position_kind": "rotary", "rope_thetas": (100.0, 10.0)}
PRE = {"norm_order": "pre", "final_norm": True}
MODERNBERT = (
    PRE
    | ROTARY
    | {
        "norm_eps": 1e-5,
        "norm_bias": False,
        "first_attention_norm": False,
        "num_token_types": 0,
        "mlp_kind": "gated",
        "attention_bias": False,
        "mlp_bias": False,
        "mlp_down_bias": False,
        "mlm_transform_bias": False,
        "windows": (None, 3),
    }
)
FOUR_LAYERS = {"num_layers": 4, "layer_groups": (0, 1, 2, 3), "windows": (None,) * 4}
UNTIED = {"mlm_activation": None, "mlm_transform_bias": False, "mlm_tied": False, "mlm_decoder_bias": False}
# EuroBERT's form: Llama's blocks around a bidirectional mask.
LLAMA = (
    PRE
    | UNTIED
    | {"position_kind": "rotary", "rope_thetas": (250.0, 250.0), "norm_kind": "rms", "norm_bias": False}
    | {"embedding_norm": False, "num_token_types": 0, "mlp_kind": "gated", "activation": "silu"}
    | {"attention_bias": False, "mlp_bias": False, "mlp_down_bias": False, "num_heads": 6, "num_key_value_heads": 2}
)

RELATIVE = {"relative_kind": "bias", "relative_buckets": 8, "relative_max_distance": 10}
LINEAR = {"relative_kind": "linear"}
# Rows for single distances up to 4, two ranges, and one row for what is farther, to either side.
DISENTANGLED = {
    "position_kind": "none",
    "relative_kind": "disentangled",
    "relative_buckets": 16,
    "relative_max_distance": 11,
}
T5 = (
    PRE
    | UNTIED
    | RELATIVE
    | {"position_kind": "none", "norm_kind": "rms", "norm_bias": False, "embedding_norm": False, "num_token_types": 0}
    | {"attention_bias": False, "scale_scores": False, "mlp_bias": False, "mlp_down_bias": False}
    | {"mlp_kind": "gated", "activation": "gelu_tanh"}
)
# Jina's form of BERT.
ALIBI = LINEAR | {"position_kind": "none", "mlp_kind": "gated", "mlp_bias": False}


def rounded_frequencies(theta: float, head_dim: int) -> tuple[float, ...]:
    """Rotary frequencies as a checkpoint in half precision holds them."""
    return tuple(np.power(theta, -np.arange(0, head_dim, 2) / head_dim).astype(np.float16).astype(float).tolist())


# ESM-2's form: the mask token's word is dropped, and frequencies were rounded to half precision as they were saved.
ESM = PRE | {
    "vocab_size": 17,
    "dropped_token": 4,
    "num_token_types": 0,
    "embedding_norm": False,
    "position_kind": "rotary",
    "rope_thetas": (250.0, 250.0),
    "rope_frequencies": rounded_frequencies(250.0, 8),
}

# What each variant changes in EncoderConfig.tiny(), which has BERT's form: post-norm, learned positions, dense GELU.
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "post": {},
    "post-final-norm": {"final_norm": True},
    "post-no-embedding-norm": {"embedding_norm": False},
    "post-rms": {"norm_kind": "rms", "norm_bias": False},
    "post-unrolled": {"scan_layers": False, "dropped_token": 0},
    "post-dropout": DROPOUT,
    "post-deployed": DROPOUT,
    "pre": PRE,
    "pre-no-final-norm": PRE | {"final_norm": False},
    "pre-no-embedding-norm": PRE | {"embedding_norm": False},
    "pre-first-norm-missing": PRE | {"first_attention_norm": False},
    "pre-rms": PRE | {"norm_kind": "rms", "position_kind": "sinusoidal", "windows": (3, 2)} | LINEAR,
    "pre-unrolled": PRE | RELATIVE | {"scan_layers": False, "windows": (2, None)},
    "pre-dropout": PRE | DROPOUT,
    "pre-deployed": PRE | DROPOUT,
    "norm-eps": {"norm_eps": 1e-5},
    "norm-no-bias": {"norm_bias": False},
    "gelu-tanh": {"activation": "gelu_tanh", "mlm_activation": "gelu_tanh"},
    "relu": {"activation": "relu", "mlm_activation": "relu"},
    "silu": {"activation": "silu", "mlm_activation": "silu"},
    "gated": {"mlp_kind": "gated"},
    "sinusoidal": {"position_kind": "sinusoidal"},
    "rotary": ROTARY,
    "position-offset": {"position_offset": 2, "norm_eps": 1e-5, "num_token_types": 1},
    "no-token-types": {"num_token_types": 0},
    "no-attention-bias": {"attention_bias": False},
    "no-mlp-bias": {"mlp_bias": False, "mlp_down_bias": False, "mlm_transform_bias": False},
    "windows": {"windows": (None, 3)},
    "window-everywhere": PRE | {"windows": (3, 3)},
    "factorised": {"table_dim": 12},
    "four-layers": FOUR_LAYERS | {"position_kind": "sinusoidal", "windows": (None, 3, None, 2)} | LINEAR,
    # Three groups, in an order in which every way to confuse them gives other layers.
    "shared-layers": FOUR_LAYERS | {"table_dim": 12, "layer_groups": (0, 1, 1, 2)},
    "shared-layers-unrolled": FOUR_LAYERS
    | RELATIVE
    | {"layer_groups": (0, 0, 0, 0), "windows": (3, 3, 3, 3), "scan_layers": False},
    "relative": RELATIVE | {"num_token_types": 0},
    "disentangled": DISENTANGLED | {"relative_norm": True, "num_token_types": 0, "norm_eps": 1e-7},
    "disentangled-pre": PRE
    | DISENTANGLED
    | {"relative_projections": True, "windows": (None, 3), "num_heads": 6, "num_key_value_heads": 3},
    "disentangled-windows": DISENTANGLED
    | {"relative_norm": True, "relative_projections": True, "windows": (3, 2), "attention_bias": False},
    "alibi": ALIBI,
    "t5": T5,
    "esm": ESM,
    "shared-keys": PRE | {"num_heads": 6, "num_key_value_heads": 3} | UNTIED,
    "llama": LLAMA,
    "modernbert": MODERNBERT,
    "modernbert-unrolled": MODERNBERT | {"scan_layers": False, "windows": (2, 3)},
}


# Between them every value of every field: what stands on the variants, one after the other.
CLASSIFIERS: tuple[ClassifierConfig, ...] = (
    PLAIN,
    ClassifierConfig(num_classes=7, pooling="first", activation="tanh", transform_bias=True, norm=False),
    ClassifierConfig(num_classes=11, pooling=None, activation=None, transform_bias=False, norm=False),
    ClassifierConfig(num_classes=7, pooling="mean", activation="gelu_exact", transform_bias=False, norm=True),
    ClassifierConfig(num_classes=11, pooling="late", activation="silu", transform_bias=True, norm=True),
    ClassifierConfig(num_classes=11, pooling=None, activation="gelu_tanh", transform_bias=True, norm=True),
    ClassifierConfig(num_classes=7, pooling="late", activation="relu", transform_bias=False, norm=False),
)


def variants() -> dict[str, Form]:
    """Every variant by name; without dropout unless it is about dropout."""
    off: dict[str, Any] = dict.fromkeys(DROPOUT, 0.0)
    configs = {
        name: dataclasses.replace(EncoderConfig.tiny(), **(off | dict(change))) for name, change in CHANGES.items()
    }
    return {
        name: Form(config, classifier=CLASSIFIERS[index % len(CLASSIFIERS)], deployed=name.endswith("-deployed"))
        for index, (name, config) in enumerate(configs.items())
    }


def presets() -> dict[str, Form]:
    """Encoders of full size, checked by name only, as they are deployed."""
    return {name: Form(getattr(EncoderConfig, name)(), deployed=True) for name in PRESETS}


def sizes_of(config: EncoderConfig) -> Sizes:
    """What the cases of an encoder are made from."""
    heads = (config.num_heads, config.head_dim, config.num_heads * config.head_dim)
    return Sizes(
        batch=B,
        length=T,
        vocab_size=config.vocab_size,
        max_len=config.max_len,
        num_token_types=config.num_token_types,
        windows=config.windows,
        model_sizes=(config.embed_dim, config.table_width, config.num_layers, *heads, config.mlp_dim),
    )
