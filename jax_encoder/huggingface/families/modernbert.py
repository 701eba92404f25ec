"""ModernBERT: Warner et al. (2024), https://arxiv.org/abs/2412.13663."""

from typing import Any

from jax_encoder import presets
from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface.family import ACTIVATION_NAMES, ACTIVATIONS, Family, Head, numbered
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.rows import Row, attention, linear, norm, table

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
_SWITCH = {False: False, True: True}
_NO_DROPOUT = ((0, 0.0), "dropout would act where this encoder has none")


def _read(fields: Fields) -> EncoderConfig:
    dim, heads = fields.number("hidden_size", 768), fields.number("num_attention_heads", 12)
    if heads < 1 or dim % heads:
        fields.refuse(f"num_attention_heads={heads}: must divide hidden_size={dim}")
        heads = 1
    layers = fields.number("num_hidden_layers", 22)
    fields.must({"attention_dropout": _NO_DROPOUT, "mlp_dropout": _NO_DROPOUT})
    # How it was trained, and how its class pools and computes.
    fields.ignore(
        *("sparse_prediction", "sparse_pred_ignore_index", "deterministic_flash_attn", "reference_compile"),
        *("classifier_dropout", "classifier_pooling", "repad_logits_with_grad", "position_embedding_type"),
        *("layer_norm_eps", "gradient_checkpointing"),
    )
    return EncoderConfig(
        **presets.MODERNBERT
        | _kinds(fields, layers)
        | {
            "vocab_size": fields.number("vocab_size", 50_368),
            "max_len": fields.number("max_position_embeddings", 8192),
            "embed_dim": dim,
            "mlp_dim": fields.number("intermediate_size", 1152),
            "num_layers": layers,
            "layer_groups": tuple(range(layers)),
            "num_heads": heads,
            "num_key_value_heads": heads,
            "head_dim": dim // heads,
            "norm_eps": fields.number("norm_eps", 1e-5),
            "norm_bias": fields.choose("norm_bias", False, _SWITCH),
            "activation": fields.choose("hidden_activation", "gelu", ACTIVATIONS),
            "attention_bias": fields.choose("attention_bias", False, _SWITCH),
            "mlp_bias": fields.choose("mlp_bias", False, _SWITCH),
            "mlm_activation": fields.choose("classifier_activation", "gelu", ACTIVATIONS),
            "mlm_transform_bias": fields.choose("classifier_bias", False, _SWITCH),
            "mlm_decoder_bias": fields.choose("decoder_bias", True, _SWITCH),
            "mlm_tied": fields.choose("tie_word_embeddings", True, _SWITCH),
            "embedding_dropout": fields.number("embedding_dropout", 0.0),
            "init_std": fields.number("initializer_range", 0.02),
        }
    )


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
        _GLOBAL: fields.rope_theta(ropes.get(_GLOBAL), "global_rope_theta", 160_000.0),
        _LOCAL: fields.rope_theta(ropes.get(_LOCAL), "local_rope_theta", 10_000.0),
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
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_len,
        "hidden_size": config.embed_dim,
        "intermediate_size": config.mlp_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "norm_eps": config.norm_eps,
        "norm_bias": config.norm_bias,
        "hidden_activation": ACTIVATION_NAMES[config.activation],
        "attention_bias": config.attention_bias,
        "mlp_bias": config.mlp_bias,
        "classifier_activation": ACTIVATION_NAMES[config.mlm_activation or "gelu_exact"],
        "classifier_bias": config.mlm_transform_bias,
        "decoder_bias": config.mlm_decoder_bias,
        "tie_word_embeddings": config.mlm_tied,
        "embedding_dropout": config.embedding_dropout,
        "initializer_range": config.init_std,
        "local_attention": 2 * windows[0] if windows else 128,
        "layer_types": kinds,
        "rope_parameters": {
            _GLOBAL: {"rope_type": "default", "rope_theta": thetas.get(_GLOBAL, 160_000.0)},
            _LOCAL: {"rope_type": "default", "rope_theta": thetas.get(_LOCAL, 10_000.0)},
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
            transform_bias=fields.choose("classifier_bias", False, _SWITCH),
            norm=True,
        )

    return classes


_CLASSIFIER = (
    *linear("head.dense", "classifier.transform"),
    *norm("head.norm", "classifier.norm"),
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
