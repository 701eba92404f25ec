"""EuroBERT: Boizard et al. (2025), https://arxiv.org/abs/2503.05500: Llama's blocks around a bidirectional mask."""

from typing import Any

from jax_encoder import presets
from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.family import Family, Head, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.options import Option
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate, table

_FORM: dict[str, Any] = presets.MODERNBERT | {
    "norm_kind": "rms",
    "embedding_norm": False,
    "first_attention_norm": True,
    "mlm_activation": None,
    "mlm_transform_bias": False,
}

_OPTIONS = (
    Option("vocab_size", "vocab_size", 128_256),
    Option("max_len", "max_position_embeddings", 8192),
    Option("embed_dim", "hidden_size", 768),
    Option("num_layers", "num_hidden_layers", 12),
    Option("num_heads", "num_attention_heads", 12),
    Option("mlp_dim", "intermediate_size", 3072),
    Option("norm_eps", "rms_norm_eps", 1e-5),
    options.activation("activation", "hidden_act", "silu"),
    options.switch("attention_bias", "attention_bias", False),
    # One field for the whole MLP and for the decoder.
    options.switch("mlp_bias", "mlp_bias", False),
    options.switch("mlm_tied", "tie_word_embeddings", False),
    Option("attention_dropout", "attention_dropout", 0.0),
    Option("init_std", "initializer_range", 0.02),
)


def _read(fields: Fields) -> EncoderConfig:
    values = options.read(_OPTIONS, fields)
    dim, heads = values["embed_dim"], values["num_heads"]
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
    layers = values["num_layers"]
    return EncoderConfig(
        **_FORM
        | values
        | options.layers(layers)
        | {
            "num_heads": heads,
            "num_key_value_heads": key_values,
            "head_dim": fields.number_or_null("head_dim", dim // heads),
            "rope_thetas": (theta,) * layers,
            "mlp_down_bias": values["mlp_bias"],
            "mlm_decoder_bias": values["mlp_bias"],
        }
    )


def _write(config: EncoderConfig) -> dict[str, Any]:
    return options.write(_OPTIONS, config) | {
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_thetas[0] if config.rope_thetas else 1e4},
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
