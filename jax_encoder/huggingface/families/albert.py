"""ALBERT: Lan et al. (2020), https://arxiv.org/abs/1909.11942: factorised embeddings, layers that share parameters."""

from typing import Any

from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.families.bert import COMMON, EMBEDDING, TOKEN_TYPES, read_common
from jax_encoder.huggingface.family import Family, Head, first_token_classes, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.options import Option
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate, table

# transformers' defaults are ALBERT-xxlarge's.
_DEFAULTS = {
    "vocab_size": 30_000,
    "hidden_size": 4096,
    "num_attention_heads": 64,
    "intermediate_size": 16_384,
    "hidden_act": "gelu_new",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
_OPTIONS = (
    *options.with_defaults(COMMON, _DEFAULTS),
    TOKEN_TYPES,
    Option("table_dim", "embedding_size", 128),
)


def _groups(layers: int, groups: int, inner: int) -> tuple[int, ...]:
    """Which parameters each layer uses: `layers` times the layers of a group, `inner` of them, one after the other."""
    return tuple(layer * groups // layers * inner + each for layer in range(layers) for each in range(inner))


def _counts(config: EncoderConfig) -> tuple[int, int, int]:
    """Layers, groups and layers in a group that give the config's `layer_groups`; the nearest where none do."""
    distinct = len(set(config.layer_groups))
    for inner in range(1, distinct + 1):
        counts = (config.num_layers // inner, distinct // inner, inner)
        if distinct % inner == 0 and _groups(*counts) == config.layer_groups:
            return counts
    return config.num_layers, distinct, 1


def _read(fields: Fields) -> EncoderConfig:
    common = read_common(_OPTIONS, fields)
    layers, groups = common["num_layers"], fields.number("num_hidden_groups", 1)
    inner = fields.number("inner_group_num", 1)
    if not (0 < groups <= layers and inner > 0):
        fields.refuse(
            f"num_hidden_groups={groups}, inner_group_num={inner}: of {layers} layers there are no such groups"
        )
        groups = inner = 1
    # The rate is of a published run's own head.
    fields.ignore("classifier_dropout_prob", "net_structure_type", "gap_size", "num_memory_blocks", "down_scale_factor")
    return EncoderConfig(
        **common | options.layers(layers * inner) | {"layer_groups": _groups(layers, groups, inner)},
    )


def _write(config: EncoderConfig) -> dict[str, Any]:
    layers, groups, inner = _counts(config)
    return options.write(_OPTIONS, config) | {
        "num_hidden_layers": layers,
        "num_hidden_groups": groups,
        "inner_group_num": inner,
        "embedding_size": config.table_width,
    }


def _layer_names(config: EncoderConfig) -> list[str]:
    _, groups, inner = _counts(config)
    return [f"encoder.albert_layer_groups.{g}.albert_layers.{i}" for g in range(groups) for i in range(inner)]


def _layer(config: EncoderConfig) -> list[Row]:
    return [
        *attention(config.head_dim, separate("attention.query", "attention.key", "attention.value"), "attention.dense"),
        *norm("attention.LayerNorm", "attention_norm"),
        *linear("ffn", "mlp.up"),
        *linear("ffn_output", "mlp.down"),
        *norm("full_layer_layer_norm", "mlp_norm"),
    ]


_POOLER = tuple(linear("albert.pooler", "pooler.dense"))
_POOLED = tuple(linear("albert.pooler", "classifier.transform"))
_MLM = (
    *linear("predictions.dense", "head.transform"),
    *norm("predictions.LayerNorm", "head.norm"),
    *table("predictions.decoder.weight", "head.decoder"),
    *table("predictions.bias", "head.bias"),
)

FAMILY = Family(
    model_types=("albert",),
    classes=("Albert",),
    prefix="albert.",
    read=_read,
    write=_write,
    embedding=(*EMBEDDING, *linear("encoder.embedding_hidden_mapping_in", "embedding_projection")),
    layer=_layer,
    layer_names=_layer_names,
    heads={
        "Model": Head(optional=(_POOLER,)),
        "ForMaskedLM": Head(
            rows=_MLM,
            optional=(_POOLER,),
            unused=("sop_classifier.classifier.weight", "sop_classifier.classifier.bias"),
        ),
        "ForPreTraining": Head(
            rows=(*_MLM, *_POOLED, *linear("sop_classifier.classifier", "classifier.output")),
            classes=first_token_classes("tanh"),
        ),
        "ForSequenceClassification": Head(
            rows=(*_POOLED, *linear("classifier", "classifier.output")), classes=first_token_classes("tanh")
        ),
        "ForTokenClassification": Head(
            rows=tuple(linear("classifier", "classifier.output")), optional=(_POOLER,), classes=token_classes
        ),
        "ForQuestionAnswering": Head(
            rows=tuple(linear("qa_outputs", "classifier.output")), optional=(_POOLER,), classes=token_classes
        ),
    },
    tied="predictions.decoder.weight",
    duplicates={"predictions.decoder.bias": "predictions.bias"},
)
