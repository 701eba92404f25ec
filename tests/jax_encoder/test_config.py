import dataclasses
import json

import pytest

from jax_encoder.config import EncoderConfig

TINY = EncoderConfig.tiny()
ALL = "gelu_exact, gelu_tanh, relu, silu"
PAIRS = "sinusoidal positions fill pairs of channels"
BUCKETS = (
    "relative_buckets must be a multiple of 4 (half for each direction, half of these for single distances) and "
    "relative_max_distance at least as large"
)
ROWS = (
    "relative_buckets must be a multiple of 4 and at least 8 (half for each direction, half of these for single "
    "distances), and relative_max_distance above a quarter of it by 2 or more"
)
BIAS, DISENTANGLED = {"relative_kind": "bias"}, {"relative_kind": "disentangled"}
GROUPS = "layer_groups needs 2 entries, one per layer, numbered from 0 as they first come"
PRESETS = ("tiny", "mini", "bert_base", "bert_large", "minilm_l6", "roberta_base", "modernbert_base")


def parameters_of(config: EncoderConfig) -> int:
    """Counted from the config alone, as a published model card counts them: encoder without heads."""
    D, F, NH = config.embed_dim, config.mlp_dim, config.num_heads * config.head_dim
    norm = D * (1 + config.norm_bias)
    attention = 4 * D * NH + config.attention_bias * (3 * NH + D)
    wide = 2 if config.mlp_kind == "gated" else 1
    mlp = (wide + 1) * D * F + config.mlp_bias * wide * F + config.mlp_down_bias * D
    rows = config.vocab_size + config.num_token_types
    rows += config.max_len + config.position_offset if config.position_kind == "learned" else 0
    norms = 2 * config.num_layers - (not config.first_attention_norm) + config.embedding_norm + config.final_norm
    return rows * D + config.num_layers * (attention + mlp) + norms * norm


@pytest.mark.parametrize(
    ("preset", "published"),
    [
        # Each less the pooler (D * D + D), which transformers' classes of these names add.
        ("bert_base", 109_482_240 - 768 * 769),
        ("bert_large", 335_141_888 - 1024 * 1025),
        ("roberta_base", 124_645_632 - 768 * 769),
        ("minilm_l6", 22_713_216 - 384 * 385),
        ("modernbert_base", 149_014_272 - 0),
    ],
)
def test_presets_have_the_published_number_of_parameters(preset, published):
    assert parameters_of(getattr(EncoderConfig, preset)()) == published


def test_no_two_sizes_of_tiny_are_equal():
    sizes = [TINY.vocab_size, TINY.max_len, TINY.embed_dim, TINY.num_layers, TINY.num_heads, TINY.head_dim]
    sizes += [TINY.mlp_dim, TINY.num_token_types, TINY.num_heads * TINY.head_dim]
    assert len(set(sizes)) == len(sizes)


@pytest.mark.parametrize("preset", PRESETS)
def test_json_round_trip(preset):
    config = getattr(EncoderConfig, preset)()
    assert EncoderConfig.from_json(config.to_json()) == config


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TINY.num_heads = 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 0}, "num_heads must be a whole number of at least 1, got 0"),
        ({"head_dim": 8.0}, "head_dim must be a whole number of at least 1, got 8.0"),
        ({"vocab_size": True}, "vocab_size must be a whole number of at least 1, got True"),
        ({"num_token_types": -1}, "num_token_types must be a whole number of at least 0, got -1"),
        ({"norm_eps": 0.0}, "norm_eps must be above 0, got 0.0"),
        ({"norm_eps": float("nan")}, "norm_eps must be above 0, got nan"),
        ({"attention_dropout": 1.0}, "attention_dropout must be at least 0 and below 1, got 1.0"),
        ({"activation": "gelu"}, "activation must be one of gelu_exact, gelu_tanh, relu, silu, got 'gelu'"),
        ({"norm_order": "sandwich"}, "norm_order must be one of post, pre, got 'sandwich'"),
        ({"windows": (None,)}, "windows needs 2 entries, one per layer, got 1"),
        ({"windows": (None, 0)}, "windows must hold None (sees all) or at least 1 key to each side, got 0"),
        ({"rope_thetas": (1e4, 1e4)}, "rope_thetas needs 0 entries (2 layers, learned positions), got 2"),
        ({"position_kind": "rotary"}, "rope_thetas needs 2 entries (2 layers, rotary positions), got 0"),
        ({"position_kind": "rotary", "rope_thetas": (1e4, 0.0)}, "rope_thetas must be above 0, got 0.0"),
        (
            {"position_kind": "rotary", "rope_thetas": (1e4, 1e4), "head_dim": 7},
            "rotary positions turn pairs of channels: head_dim must be even, got 7",
        ),
        (
            {"position_kind": "sinusoidal", "embed_dim": 21},
            "sinusoidal positions fill pairs of channels: embed_dim must be even, got 21",
        ),
        (
            {"position_kind": "sinusoidal", "position_offset": 2},
            "position_offset is a row of the learned table and must be 0 for sinusoidal positions, got 2",
        ),
        ({"position_kind": "sinusoidal", "table_dim": 5}, f"{PAIRS}: table_dim must be even, got 5"),
        ({"table_dim": 0}, "table_dim must be a whole number of at least 1, got 0"),
        ({"mlm_activation": "tanh"}, f"mlm_activation must be one of {ALL}, or None for no transform, got 'tanh'"),
        ({"mlm_activation": None}, "mlm_transform_bias=True needs a transform: set mlm_activation"),
        (
            {"mlm_activation": None, "mlm_transform_bias": False, "table_dim": 12},
            "table_dim needs the masked-language-model head's transform, which brings D back to E",
        ),
        ({"dropped_token": 61}, "dropped_token must be None or a token below vocab_size, 61, got 61"),
        ({"dropped_token": True}, "dropped_token must be None or a token below vocab_size, 61, got True"),
        (
            {"rope_frequencies": (1.0,) * 4},
            "rope_frequencies need one rope_theta for all layers and 4 entries, half of head_dim 8, got rope_thetas () "
            "and 4 entries",
        ),
        (
            {"position_kind": "rotary", "rope_thetas": (1e4, 1e4), "rope_frequencies": (1.0, 0.1, 0.01, 0.0)},
            "rope_frequencies must be above 0 and finite, got (1.0, 0.1, 0.01, 0.0)",
        ),
        ({"num_key_value_heads": 2}, "num_key_value_heads must divide num_heads, 3, got 2"),
        (BIAS | {"relative_buckets": 6, "relative_max_distance": 20}, f"{BUCKETS}, got 6 and 20"),
        (BIAS | {"relative_buckets": 8, "relative_max_distance": 7}, f"{BUCKETS}, got 8 and 7"),
        (BIAS, f"{BUCKETS}, got 0 and 0"),
        (DISENTANGLED | {"relative_buckets": 4, "relative_max_distance": 20}, f"{ROWS}, got 4 and 20"),
        (DISENTANGLED | {"relative_buckets": 10, "relative_max_distance": 20}, f"{ROWS}, got 10 and 20"),
        (DISENTANGLED | {"relative_buckets": 32, "relative_max_distance": 9}, f"{ROWS}, got 32 and 9"),
        (
            {"relative_buckets": 8, "relative_max_distance": 8},
            "relative_buckets is of a table and must be 0 for relative_kind=None, got 8",
        ),
        (
            {"relative_kind": "linear", "relative_max_distance": 20},
            "relative_max_distance is of a table and must be 0 for relative_kind='linear', got 20",
        ),
        (
            {"relative_kind": "linear", "relative_norm": True},
            "relative_norm=True needs relative_kind='disentangled', got 'linear'",
        ),
        ({"relative_projections": True}, "relative_projections=True needs relative_kind='disentangled', got None"),
        (
            DISENTANGLED
            | {"relative_buckets": 8, "relative_max_distance": 8, "position_kind": "rotary", "rope_thetas": (1e4, 1e4)},
            "relative_kind='disentangled' scores queries and keys as they are: position_kind='rotary' turns them",
        ),
        (
            {"relative_kind": "rope"},
            "relative_kind must be one of bias, disentangled, linear, or None for nothing, got 'rope'",
        ),
        ({"layer_groups": (0,)}, f"{GROUPS}, got (0,)"),
        ({"layer_groups": (1, 0)}, f"{GROUPS}, got (1, 0)"),
        (
            {"layer_groups": (0, 0), "windows": (None, 3)},
            "layers that share their parameters must have the same window and rope_theta, but layer 1 of group 0 "
            "differs from an earlier one",
        ),
        (
            {"layer_groups": (0, 0), "norm_order": "pre", "first_attention_norm": False},
            "first_attention_norm=False gives layer 0 parameters of its own: layers cannot share them",
        ),
        (
            {"first_attention_norm": False},
            "first_attention_norm=False leaves out a norm that only norm_order='pre' has, got 'post'",
        ),
    ],
)
def test_refuses_with_name_and_value(change, message):
    with pytest.raises(ValueError) as error:
        dataclasses.replace(TINY, **change)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the encoder config is not JSON: "),
        ("[]", "the encoder config must be a JSON object, got list"),
        (
            json.dumps(json.loads(TINY.to_json()) | {"depth": 3}),
            "the encoder config has unknown fields ['depth'] and lacks []",
        ),
        ("{}", "the encoder config has unknown fields [] and lacks ['activation', "),
    ],
)
def test_refuses_json_that_is_no_config(text, message):
    with pytest.raises(ValueError) as error:
        EncoderConfig.from_json(text)
    assert str(error.value).startswith(message)
