"""ModernBERT: Warner et al. (2024), https://arxiv.org/abs/2412.13663."""

from typing import Any

from jax_encoder import presets
from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.family import Family, Head, numbered
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.options import ACTIVATIONS, Option
from jax_encoder.huggingface.rows import Row, attention, linear, norm, table

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
_ROPE_THETAS = {_GLOBAL: ("global_rope_theta", 160_000.0), _LOCAL: ("local_rope_theta", 10_000.0)}
_NO_DROPOUT = ((0, 0.0), "dropout would act where this encoder has none")

_OPTIONS = (
    Option("vocab_size", "vocab_size", 50_368),
    Option("max_len", "max_position_embeddings", 8192),
    Option("embed_dim", "hidden_size", 768),
    Option("num_layers", "num_hidden_layers", 22),
    Option("num_heads", "num_attention_heads", 12),
    Option("mlp_dim", "intermediate_size", 1152),
    Option("norm_eps", "norm_eps", 1e-5),
    options.switch("norm_bias", "norm_bias", False),
    options.activation("activation", "hidden_activation", "gelu"),
    options.switch("attention_bias", "attention_bias", False),
    options.switch("mlp_bias", "mlp_bias", False),
    options.activation("mlm_activation", "classifier_activation", "gelu"),
    options.switch("mlm_transform_bias", "classifier_bias", False),
    options.switch("mlm_decoder_bias", "decoder_bias", True),
    options.switch("mlm_tied", "tie_word_embeddings", True),
    Option("embedding_dropout", "embedding_dropout", 0.0),
    Option("init_std", "initializer_range", 0.02),
)


def _read(fields: Fields) -> EncoderConfig:
    values = options.read(_OPTIONS, fields)
    fields.must({"attention_dropout": _NO_DROPOUT, "mlp_dropout": _NO_DROPOUT})
    # How it was trained, and how its class pools and computes.
    fields.ignore(
        *("sparse_prediction", "sparse_pred_ignore_index", "deterministic_flash_attn", "reference_compile"),
        *("classifier_dropout", "classifier_pooling", "repad_logits_with_grad", "position_embedding_type"),
        "layer_norm_eps",
    )
    values["mlp_down_bias"] = values["mlp_bias"]
    layers = values["num_layers"]
    heads = options.heads(fields, values, "hidden_size", "num_attention_heads")
    return EncoderConfig(**presets.MODERNBERT | values | options.layers(layers) | heads | _kinds(fields, layers))


def _kinds(fields: Fields, layers: int) -> dict[str, Any]:
    """Windows and rotary bases of the layers, in the newer form of the fields or the older."""
    every = fields.number("global_attn_every_n_layers", 3)
    if not every:
        fields.refuse("global_attn_every_n_layers=0: must be at least 1")
        every = 1
    kinds = fields.take("layer_types", None) or [_LOCAL if layer % every else _GLOBAL for layer in range(layers)]
    if not isinstance(kinds, list) or len(kinds) != layers or any(kind not in (_GLOBAL, _LOCAL) for kind in kinds):
        fields.refuse(f"layer_types must be {layers} of {_GLOBAL} and {_LOCAL}, as num_hidden_layers says")
        kinds = [_GLOBAL] * layers
    ropes = fields.table("rope_parameters")
    if strange := ropes.keys() - {_GLOBAL, _LOCAL}:
        fields.refuse(f"rope_parameters of {', '.join(sorted(strange))}: must be of {_GLOBAL} and {_LOCAL}")
    thetas = {
        kind: fields.rope_theta(ropes.get(kind), older, default) for kind, (older, default) in _ROPE_THETAS.items()
    }
    fields.must({"rope_scaling": ((None,), "positions would be stretched")})
    window = fields.number("local_attention", 128) // 2
    return {
        "windows": tuple(window if kind == _LOCAL else None for kind in kinds),
        "rope_thetas": tuple(thetas[kind] for kind in kinds),
    }


def _write(config: EncoderConfig) -> dict[str, Any]:
    kinds = [_GLOBAL if window is None else _LOCAL for window in config.windows]
    windows = [window for window in config.windows if window is not None]
    thetas = dict(zip(kinds, config.rope_thetas, strict=False))
    return options.write(_OPTIONS, config) | {
        "local_attention": 2 * windows[0] if windows else 128,
        "layer_types": kinds,
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": thetas.get(kind, default)}
            for kind, (_, default) in _ROPE_THETAS.items()
        },
    }


def _layer(config: EncoderConfig) -> list[Row]:
    return [
        *norm("attn_norm", "attention_norm"),
        *attention(config.head_dim, {"attn.Wqkv": ("query", "key", "value")}, "attn.Wo"),
        *norm("mlp_norm", "mlp_norm"),
        *linear("mlp.Wi", "mlp.gate", "mlp.up"),
        *linear("mlp.Wo", "mlp.down"),
    ]


def _classes(pooled: bool) -> Any:
    def classes(fields: Fields, num_classes: int) -> ClassifierConfig:
        pooling = fields.choose("classifier_pooling", "cls", {"cls": "first", "mean": "mean"})
        return ClassifierConfig(
            num_classes=num_classes,
            pooling=pooling if pooled else None,
            activation=fields.choose("classifier_activation", "gelu", ACTIVATIONS),
            transform_bias=fields.choose("classifier_bias", False, {False: False, True: True}),
            norm=True,
        )

    return classes


_CLASSIFIER = (
    *(*linear("head.dense", "classifier.transform"), *norm("head.norm", "classifier.norm")),
    *linear("classifier", "classifier.output"),
)

FAMILY = Family(
    model_types=("modernbert",),
    classes=("ModernBert",),
    prefix="model.",
    read=_read,
    write=_write,
    embedding=(
        *table("embeddings.tok_embeddings.weight", "embedding.word"),
        *norm("embeddings.norm", "embedding.norm"),
        *norm("final_norm", "final_norm"),
    ),
    layer=_layer,
    layer_names=numbered("layers"),
    heads={
        "Model": Head(),
        "ForMaskedLM": Head(
            rows=(
                *linear("head.dense", "head.transform"),
                *norm("head.norm", "head.norm"),
                *table("decoder.weight", "head.decoder"),
                *table("decoder.bias", "head.bias"),
            )
        ),
        "ForSequenceClassification": Head(rows=_CLASSIFIER, classes=_classes(pooled=True)),
        "ForTokenClassification": Head(rows=_CLASSIFIER, classes=_classes(pooled=False)),
        "ForQuestionAnswering": Head(rows=_CLASSIFIER, classes=_classes(pooled=False)),
    },
    tied="decoder.weight",
)
