"""GTE: Zhang et al. (2024), https://arxiv.org/abs/2407.19669: BERT with rotary positions and gated MLPs."""

from typing import Any

from jax_encoder import presets
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.families.bert import COMMON, TOKEN_TYPES
from jax_encoder.huggingface.family import Family, Head, first_token_classes, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.rows import Row, attention, linear, norm, table

_DEFAULTS = {
    "vocab_size": 250_048,
    "max_position_embeddings": 8192,
    "attention_probs_dropout_prob": 0.0,
    "type_vocab_size": 1,
}
_OPTIONS = options.with_defaults((*COMMON, TOKEN_TYPES), _DEFAULTS)
_FORM: dict[str, Any] = presets.BERT | {
    "position_kind": "rotary",
    "mlp_kind": "gated",
    "mlp_bias": False,
    "mlm_activation": "gelu_exact",
}
_THETA = 160_000.0


def _read(fields: Fields) -> EncoderConfig:
    values = options.read(_OPTIONS, fields)
    # As it trains, its classes drop something within the MLP, too, where this encoder drops nothing.
    fields.ignore("classifier_dropout")
    theta = fields.rope_theta(fields.table("rope_parameters"), "rope_theta", _THETA)
    layers = values["num_layers"]
    own = {"rope_thetas": (theta,) * layers, "embedding_dropout": values["residual_dropout"]}
    heads = options.heads(fields, values, "hidden_size", "num_attention_heads")
    return EncoderConfig(**_FORM | values | options.layers(layers) | heads | own)


def _write(config: EncoderConfig) -> dict[str, Any]:
    theta = config.rope_thetas[0] if config.rope_thetas else _THETA
    return options.write(_OPTIONS, config) | {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}


def _layer(config: EncoderConfig) -> list[Row]:
    return [
        *attention(config.head_dim, {"attention.qkv_proj": ("query", "key", "value")}, "attention.o_proj"),
        *norm("attn_ln", "attention_norm"),
        *linear("mlp.up_gate_proj", "mlp.up", "mlp.gate"),
        *linear("mlp.down_proj", "mlp.down"),
        *norm("mlp_ln", "mlp_norm"),
    ]


# transformers gives a pooler to what classifies texts alone.
_UNUSED = ("gte.pooler.dense.weight", "gte.pooler.dense.bias")
_MLM = (
    *linear("lm_head.dense", "head.transform"),
    *norm("lm_head.norm", "head.norm"),
    *table("lm_head.decoder.weight", "head.decoder"),
    *table("lm_head.decoder.bias", "head.bias"),
)

# As its authors and transformers write files; within transformers' models names are others.
FAMILY = Family(
    model_types=("gte",),
    classes=("Gte",),
    prefix="gte.",
    read=_read,
    write=_write,
    embedding=(
        *table("embeddings.word_embeddings.weight", "embedding.word"),
        *table("embeddings.token_type_embeddings.weight", "embedding.token_type"),
        *norm("embeddings.LayerNorm", "embedding.norm"),
    ),
    layer=_layer,
    layer_names=numbered("encoder.layer"),
    heads={
        "Model": Head(unused=_UNUSED),
        "ForMaskedLM": Head(rows=_MLM, unused=_UNUSED),
        "ForSequenceClassification": Head(
            rows=(*linear("gte.pooler.dense", "classifier.transform"), *linear("classifier", "classifier.output")),
            classes=first_token_classes("tanh"),
        ),
        "ForTokenClassification": Head(
            rows=tuple(linear("classifier", "classifier.output")), unused=_UNUSED, classes=token_classes
        ),
    },
    tied="lm_head.decoder.weight",
)
