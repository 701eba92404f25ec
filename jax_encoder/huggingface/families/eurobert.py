"""EuroBERT: Boizard et al. (2025), https://arxiv.org/abs/2503.05500: Llama's blocks around a bidirectional mask."""

from typing import Any

from jax_encoder import presets
from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface.families.bert import layers_of
from jax_encoder.huggingface.family import ACTIVATION_NAMES, ACTIVATIONS, Family, Head, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate, table

_SWITCH = {False: False, True: True}
_FORM: dict[str, Any] = presets.MODERNBERT | {
    "norm_kind": "rms",
    "embedding_norm": False,
    "first_attention_norm": True,
    "mlm_activation": None,
    "mlm_transform_bias": False,
}


def _read(fields: Fields) -> EncoderConfig:
    dim, heads = fields.number("hidden_size", 768), fields.number("num_attention_heads", 12)
    key_values = fields.number_or_null("num_key_value_heads", heads)
    if heads < 1 or key_values < 1 or dim % heads or heads % key_values:
        fields.refuse(
            f"num_attention_heads={heads}: must divide hidden_size={dim} and be a multiple of "
            f"num_key_value_heads={key_values}"
        )
        heads = key_values = 1
    fields.must({"rope_scaling": ((None,), "positions would be stretched")})
    # auto_map: its authors' code, which transformers took over.
    fields.ignore("pretraining_tp", "classifier_pooling", "clf_pooling", "hidden_dropout", "auto_map")
    theta = fields.rope_theta(fields.table("rope_parameters"), "rope_theta", 10_000.0)
    layers = layers_of(fields.number("num_hidden_layers", 12))
    return EncoderConfig(
        **_FORM
        | layers
        | {
            "vocab_size": fields.number("vocab_size", 128_256),
            "max_len": fields.number("max_position_embeddings", 8192),
            "embed_dim": dim,
            "mlp_dim": fields.number("intermediate_size", 3072),
            "num_heads": heads,
            "num_key_value_heads": key_values,
            "head_dim": fields.number_or_null("head_dim", dim // heads),
            "rope_thetas": (theta,) * layers["num_layers"],
            "norm_eps": fields.number("rms_norm_eps", 1e-5),
            "activation": fields.choose("hidden_act", "silu", ACTIVATIONS),
            "attention_bias": fields.choose("attention_bias", False, _SWITCH),
            "mlp_bias": fields.choose("mlp_bias", False, _SWITCH),
            # One field for the MLP and for the decoder.
            "mlm_decoder_bias": fields.choose("mlp_bias", False, _SWITCH),
            "mlm_tied": fields.choose("tie_word_embeddings", False, _SWITCH),
            "attention_dropout": fields.number("attention_dropout", 0.0),
            "init_std": fields.number("initializer_range", 0.02),
        }
    )


def _write(config: EncoderConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_len,
        "hidden_size": config.embed_dim,
        "intermediate_size": config.mlp_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_thetas[0] if config.rope_thetas else 1e4},
        "rms_norm_eps": config.norm_eps,
        "hidden_act": ACTIVATION_NAMES[config.activation],
        "attention_bias": config.attention_bias,
        "mlp_bias": config.mlp_bias,
        "tie_word_embeddings": config.mlm_tied,
        "attention_dropout": config.attention_dropout,
        "initializer_range": config.init_std,
    }


def _layer(config: EncoderConfig) -> list[Row]:
    projections = separate("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    return [
        *norm("input_layernorm", "attention_norm"),
        *attention(config.head_dim, projections, "self_attn.o_proj"),
        *norm("post_attention_layernorm", "mlp_norm"),
        *linear("mlp.gate_proj", "mlp.gate"),
        *linear("mlp.up_proj", "mlp.up"),
        *linear("mlp.down_proj", "mlp.down"),
    ]


def _classes(fields: Fields, num_classes: int) -> ClassifierConfig:
    pooling: Any = fields.choose("classifier_pooling", "late", {"late": "late", "bos": "first", "mean": "mean"})
    known = (None, fields.take("classifier_pooling", "late"))
    fields.must(
        {"clf_pooling": (known, "its authors' code would pool so, and transformers as classifier_pooling says")}
    )
    return ClassifierConfig(
        num_classes=num_classes, pooling=pooling, activation="gelu_exact", transform_bias=True, norm=False
    )


FAMILY = Family(
    model_types=("eurobert",),
    classes=("EuroBert",),
    prefix="model.",
    read=_read,
    write=_write,
    embedding=(*table("embed_tokens.weight", "embedding.word"), *norm("norm", "final_norm")),
    layer=_layer,
    layer_names=numbered("layers"),
    heads={
        "Model": Head(),
        "ForMaskedLM": Head(rows=(*table("lm_head.weight", "head.decoder"), *table("lm_head.bias", "head.bias"))),
        "ForSequenceClassification": Head(
            rows=(*linear("dense", "classifier.transform"), *linear("classifier", "classifier.output")),
            classes=_classes,
        ),
        "ForTokenClassification": Head(rows=tuple(linear("classifier", "classifier.output")), classes=token_classes),
    },
    tied="lm_head.weight",
)
