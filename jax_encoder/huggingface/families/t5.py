"""T5's encoder: Raffel et al. (2020), https://arxiv.org/abs/1910.10683; v1.1 has gated MLPs (Shazeer 2020)."""

from typing import Any

from jax_encoder import presets
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.family import Family, Head, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.options import ACTIVATIONS, Option
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate, table

_FORM: dict[str, Any] = presets.BERT | {
    "num_token_types": 0,
    "position_kind": "none",
    "relative_kind": "bias",
    "norm_order": "pre",
    "norm_kind": "rms",
    "norm_bias": False,
    "embedding_norm": False,
    "final_norm": True,
    "attention_bias": False,
    "scale_scores": False,
    "mlp_bias": False,
    "mlp_down_bias": False,
    "mlm_activation": None,
    "mlm_transform_bias": False,
    "mlm_decoder_bias": False,
}

_OPTIONS = (
    Option("vocab_size", "vocab_size", 32_128),
    Option("embed_dim", "d_model", 512),
    Option("num_layers", "num_layers", 6),
    Option("num_heads", "num_heads", 8),
    Option("head_dim", "d_kv", 64),
    Option("mlp_dim", "d_ff", 2048),
    # Of old files; distances have no end, so it is what T5 was trained with.
    Option("max_len", "n_positions", 512),
    Option("relative_buckets", "relative_attention_num_buckets", 32),
    Option("relative_max_distance", "relative_attention_max_distance", 128),
    Option("norm_eps", "layer_norm_epsilon", 1e-6),
    Option("residual_dropout", "dropout_rate", 0.1),
)
# "gated-gelu" has the tanh form, as its authors' code had; named by itself, GELU is exact.
_MLPS = {
    "relu": ("dense", "relu"),
    "gated-gelu": ("gated", "gelu_tanh"),
    **{name: ("dense", activation) for name, activation in ACTIVATIONS.items() if name != "relu"},
    **{f"gated-{name}": ("gated", activation) for name, activation in ACTIVATIONS.items() if name != "gelu"},
}


def _read(fields: Fields) -> EncoderConfig:
    values = options.read(_OPTIONS, fields)
    kind, activation = fields.choose("feed_forward_proj", "relu", _MLPS)
    repeats = fields.take("feed_forward_proj", "relu")
    names = ("gelu_new",) if repeats == "gated-gelu" else (str(repeats).removeprefix("gated-"),)
    fields.must(
        {
            "dense_act_fn": (names, f"it would not be that of feed_forward_proj={repeats!r}"),
            "is_gated_act": ((kind == "gated",), f"it would not be that of feed_forward_proj={repeats!r}"),
        }
    )
    # Of the decoder, which is no part of these classes, and of how it was trained.
    fields.ignore("is_encoder_decoder", "num_decoder_layers", "tie_word_embeddings", "scale_decoder_outputs")
    fields.ignore("initializer_factor", "classifier_dropout")
    rates = dict.fromkeys(("embedding_dropout", "attention_dropout"), values["residual_dropout"])
    heads = {"num_key_value_heads": values["num_heads"]}
    return EncoderConfig(
        **_FORM
        | values
        | options.layers(values["num_layers"])
        | heads
        | rates
        | {"mlp_kind": kind, "activation": activation}
    )


def _write(config: EncoderConfig) -> dict[str, Any]:
    form = (config.mlp_kind, config.activation)
    return options.write(_OPTIONS, config) | {
        "feed_forward_proj": next((name for name, known in _MLPS.items() if known == form), "relu"),
        "is_encoder_decoder": False,
    }


def _layer(config: EncoderConfig) -> list[Row]:
    projections = separate(*(f"layer.0.SelfAttention.{name}" for name in "qkv"))
    mlp = "layer.1.DenseReluDense"
    up = linear(f"{mlp}.wi", "mlp.up")
    gated = [*linear(f"{mlp}.wi_0", "mlp.gate"), *linear(f"{mlp}.wi_1", "mlp.up")]
    return [
        *norm("layer.0.layer_norm", "attention_norm"),
        *attention(config.head_dim, projections, "layer.0.SelfAttention.o"),
        *norm("layer.1.layer_norm", "mlp_norm"),
        *(gated if config.mlp_kind == "gated" else up),
        *linear(f"{mlp}.wo", "mlp.down"),
    ]


FAMILY = Family(
    model_types=("t5",),
    classes=("T5",),
    prefix="transformer.",
    read=_read,
    write=_write,
    embedding=(
        *table("shared.weight", "embedding.word"),
        *table("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "relative_bias.table"),
        *norm("encoder.final_layer_norm", "final_norm"),
    ),
    layer=_layer,
    layer_names=numbered("encoder.block"),
    heads={
        "EncoderModel": Head(),
        "ForTokenClassification": Head(rows=tuple(linear("classifier", "classifier.output")), classes=token_classes),
    },
    tied="lm_head.weight",
    duplicates={"transformer.encoder.embed_tokens.weight": "transformer.shared.weight"},
)
