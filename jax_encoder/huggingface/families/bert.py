"""BERT: Devlin et al. (2019), https://arxiv.org/abs/1810.04805; transformers' BertModel and its heads."""

from collections.abc import Iterable, Mapping
from typing import Any

from jax_encoder import presets
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.family import Family, Head, first_token_classes, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.options import Option
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate, table

# What BERT, RoBERTa, ELECTRA, ALBERT and MPNet call alike; defaults are BERT's.
COMMON = (
    Option("vocab_size", "vocab_size", 30_522),
    Option("max_len", "max_position_embeddings", 512),
    Option("embed_dim", "hidden_size", 768),
    Option("num_layers", "num_hidden_layers", 12),
    Option("num_heads", "num_attention_heads", 12),
    Option("mlp_dim", "intermediate_size", 3072),
    options.activation("activation", "hidden_act", "gelu"),
    Option("residual_dropout", "hidden_dropout_prob", 0.1),
    Option("attention_dropout", "attention_probs_dropout_prob", 0.1),
    Option("norm_eps", "layer_norm_eps", 1e-12),
    Option("init_std", "initializer_range", 0.02),
    options.switch("mlm_tied", "tie_word_embeddings", True),
)
TOKEN_TYPES = Option("num_token_types", "type_vocab_size", 2)
# Fields of pretraining code that some published files still carry.
LEFTOVERS = (
    *("directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers"),
    *("pooler_size_per_head", "pooler_type", "classifier_dropout", "hidden_dropout", "attention_dropout_prob"),
)
ABSOLUTE = {"position_embedding_type": (("absolute",), "positions would be relative, in a form of their own")}


def read_common(
    known: Iterable[Option], fields: Fields, positions: Mapping[str, tuple[tuple[Any, ...], str]] = ABSOLUTE
) -> dict[str, Any]:
    """The encoder's fields that BERT's relatives share, and those that they have besides.

    Args:
        known: which fields.
        fields: of the config.
        positions: what they must say of positions.
    """
    values = options.read(known, fields)
    fields.ignore(*LEFTOVERS)
    fields.must(positions)
    if values.get("num_token_types") == 0:  # without that table these classes of transformers cannot run
        fields.refuse("type_vocab_size=0: must be at least 1, the type that every token has by default")
        values["num_token_types"] = 1
    heads = options.heads(fields, values, "hidden_size", "num_attention_heads")
    derived = {"mlm_activation": values["activation"], "embedding_dropout": values["residual_dropout"]}
    return presets.BERT | derived | values | options.layers(values["num_layers"]) | heads


_OPTIONS = (*COMMON, TOKEN_TYPES)


def _read(fields: Fields) -> EncoderConfig:
    return EncoderConfig(**read_common(_OPTIONS, fields))


def _write(config: EncoderConfig) -> dict[str, Any]:
    return options.write(_OPTIONS, config)


def bert_layer(config: EncoderConfig) -> list[Row]:
    """A layer as BERT, RoBERTa and ELECTRA call it."""
    projections = separate("attention.self.query", "attention.self.key", "attention.self.value")
    return [
        *attention(config.head_dim, projections, "attention.output.dense"),
        *norm("attention.output.LayerNorm", "attention_norm"),
        *linear("intermediate.dense", "mlp.up"),
        *linear("output.dense", "mlp.down"),
        *norm("output.LayerNorm", "mlp_norm"),
    ]


EMBEDDING = (
    *table("embeddings.word_embeddings.weight", "embedding.word"),
    *table("embeddings.position_embeddings.weight", "embedding.position"),
    *table("embeddings.token_type_embeddings.weight", "embedding.token_type"),
    *norm("embeddings.LayerNorm", "embedding.norm"),
)
_POOLER = tuple(linear("bert.pooler.dense", "pooler.dense"))
_POOLED = tuple(linear("bert.pooler.dense", "classifier.transform"))
_MLM = (
    *linear("cls.predictions.transform.dense", "head.transform"),
    *norm("cls.predictions.transform.LayerNorm", "head.norm"),
    *table("cls.predictions.decoder.weight", "head.decoder"),
    *table("cls.predictions.bias", "head.bias"),
)
_NEXT_SENTENCE = (*_POOLED, *linear("cls.seq_relationship", "classifier.output"))
_pooled_classes = first_token_classes("tanh")

FAMILY = Family(
    model_types=("bert",),
    classes=("Bert",),
    prefix="bert.",
    read=_read,
    write=_write,
    embedding=EMBEDDING,
    layer=bert_layer,
    layer_names=numbered("encoder.layer"),
    heads={
        "Model": Head(optional=(_POOLER,)),
        # Google's own files are of the whole of pretraining, whatever class they name.
        "ForMaskedLM": Head(
            rows=_MLM, optional=(_POOLER,), unused=("cls.seq_relationship.weight", "cls.seq_relationship.bias")
        ),
        "ForPreTraining": Head(rows=(*_MLM, *_NEXT_SENTENCE), classes=_pooled_classes, num_classes=2),
        "ForNextSentencePrediction": Head(rows=_NEXT_SENTENCE, classes=_pooled_classes, num_classes=2),
        "ForSequenceClassification": Head(
            rows=(*_POOLED, *linear("classifier", "classifier.output")), classes=_pooled_classes
        ),
        "ForTokenClassification": Head(
            rows=tuple(linear("classifier", "classifier.output")), optional=(_POOLER,), classes=token_classes
        ),
        "ForQuestionAnswering": Head(
            rows=tuple(linear("qa_outputs", "classifier.output")), optional=(_POOLER,), classes=token_classes
        ),
    },
    tied="cls.predictions.decoder.weight",
    duplicates={"cls.predictions.decoder.bias": "cls.predictions.bias"},
)
