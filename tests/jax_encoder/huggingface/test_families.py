"""Config files of well-known checkpoints are understood, and what transformers writes today."""

import json
from pathlib import Path
from typing import Any

import pytest

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface.checkpoint import _family, differences
from jax_encoder.huggingface.family import Family
from jax_encoder.huggingface.fields import Fields
from tests.jax_encoder.huggingface.helpers import CLASSES, NO_WEIGHTS, SMALL, config_only, refusal
from tests.jax_encoder.huggingface.published_configs import PUBLISHED

# What the config of each says of its encoder.
_TWELVE = {"embed_dim": 768, "num_layers": 12, "num_heads": 12, "head_dim": 64, "mlp_dim": 3072, "max_len": 512}
_LIKE_BERT = {
    **_TWELVE,
    "num_token_types": 2,
    "position_offset": 0,
    "norm_order": "post",
    "norm_eps": 1e-12,
    "activation": "gelu_exact",
    "mlm_activation": "gelu_exact",
    "mlm_tied": True,
    "residual_dropout": 0.1,
}
_LIKE_ROBERTA = {**_LIKE_BERT, "num_token_types": 1, "position_offset": 2, "norm_eps": 1e-5}
_LIKE_ELECTRA = {
    **_LIKE_BERT,
    "vocab_size": 30522,
    "embed_dim": 256,
    "table_dim": 128,
    "num_heads": 4,
    "mlp_dim": 1024,
}
FACTS: dict[str, dict[str, Any]] = {
    "bert-base-uncased": {**_LIKE_BERT, "vocab_size": 30522},
    "bert-base-multilingual-cased": {**_LIKE_BERT, "vocab_size": 119547},
    "roberta-base": {**_LIKE_ROBERTA, "vocab_size": 50265},
    "xlm-roberta-base": {**_LIKE_ROBERTA, "vocab_size": 250002},
    "camembert-base": {**_LIKE_ROBERTA, "vocab_size": 32005},
    "distilbert-base-uncased": {**_LIKE_BERT, "vocab_size": 30522, "num_layers": 6, "num_token_types": 0},
    "google/electra-small-discriminator": _LIKE_ELECTRA,
    "google/electra-small-generator": _LIKE_ELECTRA,
    "albert-base-v2": {
        **_LIKE_BERT,
        "vocab_size": 30000,
        "table_dim": 128,
        "layer_groups": (0,) * 12,
        "activation": "gelu_tanh",
        "mlm_activation": "gelu_tanh",
        "residual_dropout": 0.0,
        "attention_dropout": 0.0,
    },
    "microsoft/mpnet-base": {
        **_LIKE_ROBERTA,
        "vocab_size": 30527,
        "num_token_types": 0,
        "relative_kind": "bias",
        "relative_buckets": 32,
        "relative_max_distance": 128,
    },
    "answerdotai/ModernBERT-base": {
        "vocab_size": 50368,
        "max_len": 8192,
        "embed_dim": 768,
        "mlp_dim": 1152,
        "num_layers": 22,
        "windows": tuple(64 if layer % 3 else None for layer in range(22)),
        "rope_thetas": tuple(10_000.0 if layer % 3 else 160_000.0 for layer in range(22)),
        "norm_order": "pre",
        "norm_bias": False,
        "first_attention_norm": False,
        "mlm_transform_bias": False,
        "mlm_decoder_bias": True,
        "mlm_tied": True,
    },
    "microsoft/deberta-v3-base": {
        **_LIKE_BERT,
        "vocab_size": 128100,
        "num_token_types": 0,
        "norm_eps": 1e-7,
        "position_kind": "none",
        "relative_kind": "disentangled",
        "relative_buckets": 512,
        "relative_max_distance": 512,
        "relative_norm": True,
        "relative_projections": False,
    },
    "sentence-transformers/sentence-t5-base": {
        **_TWELVE,
        "vocab_size": 32128,
        "num_token_types": 0,
        "position_kind": "none",
        "relative_kind": "bias",
        "relative_buckets": 32,
        "relative_max_distance": 128,
        "scale_scores": False,
        "norm_kind": "rms",
        "norm_eps": 1e-6,
        "mlp_kind": "dense",
        "activation": "relu",
        "embedding_dropout": 0.1,
    },
    "jinaai/jina-embeddings-v2-base-en": {
        **_LIKE_BERT,
        "vocab_size": 30528,
        "max_len": 8192,
        "position_kind": "none",
        "relative_kind": "linear",
        "mlp_kind": "gated",
        "mlp_bias": False,
        "mlp_down_bias": True,
        "attention_dropout": 0.0,
    },
    "facebook/esm2_t6_8M_UR50D": {
        "vocab_size": 33,
        "max_len": 1026,
        "embed_dim": 320,
        "num_layers": 6,
        "num_heads": 20,
        "head_dim": 16,
        "dropped_token": 32,
        "position_kind": "rotary",
        "rope_thetas": (10_000.0,) * 6,
        "norm_order": "pre",
        "norm_eps": 1e-5,
        "embedding_norm": False,
        "final_norm": True,
        "mlm_tied": True,
        "embedding_dropout": 0.0,
    },
    "facebook/esm1b_t33_650M_UR50S": {
        "max_len": 1024,
        "dropped_token": 32,
        "position_kind": "learned",
        "position_offset": 2,
        "rope_thetas": (),
        "embedding_norm": True,
    },
    "facebook/xlm-roberta-xl": {
        "vocab_size": 250880,
        "max_len": 512,
        "embed_dim": 2560,
        "num_layers": 36,
        "mlp_dim": 10240,
        "position_offset": 2,
        "num_token_types": 1,
        "norm_order": "pre",
        "embedding_norm": False,
        "final_norm": True,
    },
    "chandar-lab/NeoBERT": {
        "vocab_size": 30522,
        "max_len": 4096,
        "embed_dim": 768,
        "num_layers": 28,
        "mlp_dim": 2048,
        "norm_kind": "rms",
        "norm_eps": 1e-5,
        "activation": "silu",
        "mlm_activation": None,
        "mlm_decoder_bias": True,
        "mlm_tied": False,
        "rope_thetas": (10_000.0,) * 28,
    },
    "EuroBERT/EuroBERT-210m": {
        **_TWELVE,
        "vocab_size": 128256,
        "max_len": 8192,
        "norm_kind": "rms",
        "activation": "silu",
        "mlm_activation": None,
        "mlm_decoder_bias": False,
        "mlm_tied": False,
        "rope_thetas": (250_000.0,) * 12,
        "windows": (None,) * 12,
    },
}


def family_of(values: dict[str, Any]) -> Family:
    return _family(values, Path("a-folder"))[0]


def read(values: dict[str, Any]) -> EncoderConfig:
    fields = Fields(values, "config.json")
    config = family_of(values).read(fields)
    fields.finish()
    return config


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_config_of_a_well_known_checkpoint_is_understood(name, tmp_path):
    config = read(PUBLISHED[name])
    assert {field: getattr(config, field) for field in FACTS[name]} == FACTS[name]
    assert differences(config, family_of(PUBLISHED[name])) == []  # and can be written
    assert NO_WEIGHTS in refusal(config_only(tmp_path, PUBLISHED[name]))  # its class is known, too


def test_discriminators_and_generators_have_their_own_parts():
    def classes(name: str, **changed: Any) -> ClassifierConfig | None:
        values = PUBLISHED[name] | changed
        head = family_of(values).heads[values["architectures"][0].removeprefix(family_of(values).classes[0])]
        return None if head.classes is None else head.classes(Fields(values, "x"), head.num_classes or 5)

    assert classes("google/electra-small-generator") is None
    assert classes("google/electra-small-discriminator") == ClassifierConfig(
        num_classes=1, pooling=None, activation="gelu_exact", transform_bias=True, norm=False
    )
    modern = classes("answerdotai/ModernBERT-base", architectures=["ModernBertForSequenceClassification"])
    assert modern == ClassifierConfig(
        num_classes=5, pooling="mean", activation="gelu_exact", transform_bias=False, norm=True
    )


@pytest.mark.parametrize("every_field", [False, True])
@pytest.mark.parametrize("model_type", [model_type for model_type in SMALL if model_type != "neobert"])
def test_a_config_that_transformers_writes_today_is_understood(model_type, every_field):
    from transformers import AutoConfig

    # ESM's default has no vocabulary, and no model.
    for fields in ({}, SMALL[model_type])[model_type == "esm" :]:
        written = AutoConfig.for_model(model_type, **fields).to_json_string(use_diff=not every_field)
        config = read(json.loads(written))
        assert fields.get("vocab_size", config.vocab_size) == config.vocab_size
        # Left-out fields have transformers' defaults.
        assert read({"model_type": model_type, **fields}) == config


def test_the_older_form_of_rotary_bases_says_the_same_as_the_newer():
    values = PUBLISHED["answerdotai/ModernBERT-base"] | {"global_rope_theta": 5e4, "local_rope_theta": 3e3}
    newer = {name: value for name, value in values.items() if "rope" not in name and "every" not in name}
    kinds = ["sliding_attention" if layer % 3 else "full_attention" for layer in range(22)]
    ropes = {"full_attention": {"rope_theta": 5e4}, "sliding_attention": {"rope_type": "default", "rope_theta": 3e3}}
    assert read(newer | {"layer_types": kinds, "rope_parameters": ropes}) == read(values)
    assert read(newer) != read(values)
    euro = PUBLISHED["EuroBERT/EuroBERT-210m"]
    assert read(euro | {"rope_theta": 1.0, "rope_parameters": {"rope_theta": 250_000.0}}) == read(euro)


def test_every_class_has_a_reading():
    assert len(CLASSES) > 50
    assert {model_type for model_type, _ in CLASSES} == SMALL.keys()
