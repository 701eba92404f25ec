"""BERT: Devlin et al. (2019), https://arxiv.org/abs/1810.04805; transformers' BertModel and its heads."""

from typing import Any

from jax_encoder import presets
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface.family import (
    ACTIVATION_NAMES,
    ACTIVATIONS,
    Family,
    Head,
    first_token_classes,
    numbered,
    token_classes,
)
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate, table

# What BERT, RoBERTa, ELECTRA, ALBERT and MPNet call alike; defaults are BERT's.
SIZES: dict[str, tuple[str, int]] = {
    "vocab_size": ("vocab_size", 30_522),
    "embed_dim": ("hidden_size", 768),
    "num_heads": ("num_attention_heads", 12),
    "mlp_dim": ("intermediate_size", 3072),
}
# Fields of pretraining code that some published files still carry.
LEFTOVERS = (
    *("directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers"),
    *("pooler_size_per_head", "pooler_type", "classifier_dropout", "hidden_dropout", "attention_dropout_prob"),
)
ABSOLUTE = {"position_embedding_type": (("absolute",), "positions would be relative, in a form of their own")}


def read_common(fields: Fields, defaults: dict[str, Any] | None = None) -> dict[str, Any]:
    """The encoder's fields that BERT's relatives share; `defaults` replaces BERT's."""
    known = defaults or {}
    sizes = {ours: fields.number(theirs, known.get(theirs, default)) for ours, (theirs, default) in SIZES.items()}
    layers = fields.number("num_hidden_layers", known.get("num_hidden_layers", 12))
    activation = fields.choose("hidden_act", known.get("hidden_act", "gelu"), ACTIVATIONS)
    residual = fields.number("hidden_dropout_prob", known.get("hidden_dropout_prob", 0.1))
    fields.ignore(*LEFTOVERS)
    fields.must(ABSOLUTE)
    if sizes["num_heads"] < 1 or sizes["embed_dim"] % sizes["num_heads"]:
        fields.refuse(f"num_attention_heads={sizes['num_heads']}: must divide hidden_size={sizes['embed_dim']}")
        sizes["num_heads"] = 1
    return (
        presets.BERT
        | sizes
        | layers_of(layers)
        | {
            "num_key_value_heads": sizes["num_heads"],
            "head_dim": sizes["embed_dim"] // sizes["num_heads"],
            "activation": activation,
            "mlm_activation": activation,
            "mlm_tied": fields.choose("tie_word_embeddings", True, {True: True, False: False}),
            "norm_eps": fields.number("layer_norm_eps", 1e-12),
            "embedding_dropout": residual,
            "residual_dropout": residual,
            "attention_dropout": fields.number(
                "attention_probs_dropout_prob", known.get("attention_probs_dropout_prob", 0.1)
            ),
            "init_std": fields.number("initializer_range", 0.02),
        }
    )


def token_types(fields: Fields) -> int:
    """Rows of the token-type table, without which these classes of transformers cannot run."""
    count: int = fields.number("type_vocab_size", 2)
    if not count:
        fields.refuse("type_vocab_size=0: must be at least 1, the type that every token has by default")
    return count


def layers_of(count: int) -> dict[str, Any]:
    """So many layers that see everything, each with its own parameters."""
    return {"num_layers": count, "layer_groups": tuple(range(count)), "windows": (None,) * count}


def write_common(config: EncoderConfig) -> dict[str, Any]:
    """The inverse of `read_common`."""
    return {theirs: getattr(config, ours) for ours, (theirs, _) in SIZES.items()} | {
        "num_hidden_layers": config.num_layers,
        "hidden_act": ACTIVATION_NAMES[config.activation],
        "hidden_dropout_prob": config.residual_dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "layer_norm_eps": config.norm_eps,
        "initializer_range": config.init_std,
        "tie_word_embeddings": config.mlm_tied,
    }


def _read(fields: Fields) -> EncoderConfig:
    common = read_common(fields)
    return EncoderConfig(
        **common
        | {
            "max_len": fields.number("max_position_embeddings", 512),
            "num_token_types": token_types(fields),
        }
    )


def _write(config: EncoderConfig) -> dict[str, Any]:
    return write_common(config) | {
        "max_position_embeddings": config.max_len,
        "type_vocab_size": config.num_token_types,
    }


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
