"""DistilBERT: Sanh et al. (2019), https://arxiv.org/abs/1910.01108: BERT without token types and pooler."""

from typing import Any

from jax_encoder import presets
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface.families.bert import layers_of
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


def _read(fields: Fields) -> EncoderConfig:
    dim, heads = fields.number("dim", 768), fields.number("n_heads", 12)
    if heads < 1 or dim % heads:
        fields.refuse(f"n_heads={heads}: must divide dim={dim}")
        heads = 1
    activation = fields.choose("activation", "gelu", ACTIVATIONS)
    residual = fields.number("dropout", 0.1)
    # The table of sinusoidal positions is in the file like any other.
    fields.ignore("sinusoidal_pos_embds", "qa_dropout", "seq_classif_dropout", "tie_weights_")
    return EncoderConfig(
        **presets.BERT
        | layers_of(fields.number("n_layers", 6))
        | {
            "vocab_size": fields.number("vocab_size", 30_522),
            "max_len": fields.number("max_position_embeddings", 512),
            "num_token_types": 0,
            "embed_dim": dim,
            "num_heads": heads,
            "num_key_value_heads": heads,
            "head_dim": dim // heads,
            "mlp_dim": fields.number("hidden_dim", 3072),
            "activation": activation,
            "mlm_activation": activation,
            "mlm_tied": fields.choose("tie_word_embeddings", True, {True: True, False: False}),
            "embedding_dropout": residual,
            "residual_dropout": residual,
            "attention_dropout": fields.number("attention_dropout", 0.1),
            "init_std": fields.number("initializer_range", 0.02),
        }
    )


def _write(config: EncoderConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_len,
        "n_layers": config.num_layers,
        "n_heads": config.num_heads,
        "dim": config.embed_dim,
        "hidden_dim": config.mlp_dim,
        "activation": ACTIVATION_NAMES[config.activation],
        "dropout": config.residual_dropout,
        "attention_dropout": config.attention_dropout,
        "initializer_range": config.init_std,
        "tie_word_embeddings": config.mlm_tied,
    }


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
