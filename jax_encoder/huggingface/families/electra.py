"""ELECTRA: Clark et al. (2020), https://arxiv.org/abs/2003.10555; discriminators and generators."""

from typing import Any

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.families.bert import COMMON, EMBEDDING, TOKEN_TYPES, bert_layer, read_common
from jax_encoder.huggingface.family import Family, Head, first_token_classes, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.options import ACTIVATIONS, Option
from jax_encoder.huggingface.rows import linear, norm, table

# transformers' defaults are ELECTRA-small's.
_DEFAULTS = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}
_OPTIONS = (
    *options.with_defaults(COMMON, _DEFAULTS),
    TOKEN_TYPES,
    Option("table_dim", "embedding_size", 128),
)


def _read(fields: Fields) -> EncoderConfig:
    common = read_common(_OPTIONS, fields) | {"mlm_activation": "gelu_exact"}
    # Multiple choice alone, which has no class here, reads these.
    fields.ignore("summary_type", "summary_use_proj", "summary_activation", "summary_last_dropout", "generator_size")
    if common["table_dim"] == common["embed_dim"]:  # then there is no projection
        common["table_dim"] = None
    return EncoderConfig(**common)


def _write(config: EncoderConfig) -> dict[str, Any]:
    return options.write(_OPTIONS, config) | {"embedding_size": config.table_width}


def _replaced_classes(fields: Fields, num_classes: int) -> ClassifierConfig:
    """One score a position: was its token replaced?"""
    activation: Any = fields.choose("hidden_act", "gelu", ACTIVATIONS)
    return ClassifierConfig(
        num_classes=num_classes, pooling=None, activation=activation, transform_bias=True, norm=False
    )


FAMILY = Family(
    model_types=("electra",),
    classes=("Electra",),
    prefix="electra.",
    read=_read,
    write=_write,
    embedding=(*EMBEDDING, *linear("embeddings_project", "embedding_projection")),
    layer=bert_layer,
    layer_names=numbered("encoder.layer"),
    heads={
        "Model": Head(),
        "ForMaskedLM": Head(
            rows=(
                *linear("generator_predictions.dense", "head.transform"),
                *norm("generator_predictions.LayerNorm", "head.norm"),
                *table("generator_lm_head.weight", "head.decoder"),
                *table("generator_lm_head.bias", "head.bias"),
            )
        ),
        "ForPreTraining": Head(
            rows=(
                *linear("discriminator_predictions.dense", "classifier.transform"),
                *linear("discriminator_predictions.dense_prediction", "classifier.output"),
            ),
            classes=_replaced_classes,
            num_classes=1,
        ),
        "ForSequenceClassification": Head(
            rows=(
                *linear("classifier.dense", "classifier.transform"),
                *linear("classifier.out_proj", "classifier.output"),
            ),
            classes=first_token_classes("gelu_exact"),
        ),
        "ForTokenClassification": Head(rows=tuple(linear("classifier", "classifier.output")), classes=token_classes),
        "ForQuestionAnswering": Head(rows=tuple(linear("qa_outputs", "classifier.output")), classes=token_classes),
    },
    tied="generator_lm_head.weight",
)
