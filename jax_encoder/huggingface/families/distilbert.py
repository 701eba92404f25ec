"""DistilBERT: Sanh et al. (2019), https://arxiv.org/abs/1910.01108: BERT without token types and pooler."""

from typing import Any

from jax_encoder import presets
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.family import Family, Head, first_token_classes, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.options import Option
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate, table

_OPTIONS = (
    Option("vocab_size", "vocab_size", 30_522),
    Option("max_len", "max_position_embeddings", 512),
    Option("num_layers", "n_layers", 6),
    Option("embed_dim", "dim", 768),
    Option("num_heads", "n_heads", 12),
    Option("mlp_dim", "hidden_dim", 3072),
    options.activation("activation", "activation", "gelu"),
    Option("residual_dropout", "dropout", 0.1),
    Option("attention_dropout", "attention_dropout", 0.1),
    Option("init_std", "initializer_range", 0.02),
    options.switch("mlm_tied", "tie_word_embeddings", True),
)


def _read(fields: Fields) -> EncoderConfig:
    values = options.read(_OPTIONS, fields)
    # The table of sinusoidal positions is in the file like any other.
    fields.ignore("sinusoidal_pos_embds", "qa_dropout", "seq_classif_dropout", "tie_weights_")
    return EncoderConfig(
        **presets.BERT
        | values
        | options.layers(values["num_layers"])
        | options.heads(fields, values, "dim", "n_heads")
        | {
            "num_token_types": 0,
            "mlm_activation": values["activation"],
            "embedding_dropout": values["residual_dropout"],
        }
    )


def _write(config: EncoderConfig) -> dict[str, Any]:
    return options.write(_OPTIONS, config)


def _layer(config: EncoderConfig) -> list[Row]:
    projections = separate("attention.q_lin", "attention.k_lin", "attention.v_lin")
    return [
        *attention(config.head_dim, projections, "attention.out_lin"),
        *norm("sa_layer_norm", "attention_norm"),
        *linear("ffn.lin1", "mlp.up"),
        *linear("ffn.lin2", "mlp.down"),
        *norm("output_layer_norm", "mlp_norm"),
    ]


FAMILY = Family(
    model_types=("distilbert",),
    classes=("DistilBert",),
    prefix="distilbert.",
    read=_read,
    write=_write,
    embedding=(
        *table("embeddings.word_embeddings.weight", "embedding.word"),
        *table("embeddings.position_embeddings.weight", "embedding.position"),
        *norm("embeddings.LayerNorm", "embedding.norm"),
    ),
    layer=_layer,
    layer_names=numbered("transformer.layer"),
    heads={
        "Model": Head(),
        "ForMaskedLM": Head(
            rows=(
                *linear("vocab_transform", "head.transform"),
                *norm("vocab_layer_norm", "head.norm"),
                *table("vocab_projector.weight", "head.decoder"),
                *table("vocab_projector.bias", "head.bias"),
            )
        ),
        "ForSequenceClassification": Head(
            rows=(*linear("pre_classifier", "classifier.transform"), *linear("classifier", "classifier.output")),
            classes=first_token_classes("relu"),
        ),
        "ForTokenClassification": Head(rows=tuple(linear("classifier", "classifier.output")), classes=token_classes),
        "ForQuestionAnswering": Head(rows=tuple(linear("qa_outputs", "classifier.output")), classes=token_classes),
    },
    tied="vocab_projector.weight",
)
