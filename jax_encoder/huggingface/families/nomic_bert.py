"""NomicBERT: Nussbaum et al. (2024), https://arxiv.org/abs/2402.01613: BERT with rotary positions and gated MLPs."""

from typing import Any

from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.families.bert import COMMON, TOKEN_TYPES, read_common
from jax_encoder.huggingface.family import Family, Head, first_token_classes, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.rows import Row, attention, linear, norm, table

_DEFAULTS = {
    "vocab_size": 30_528,
    "max_position_embeddings": 2048,
    "hidden_act": "silu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
_OPTIONS = options.with_defaults((*(option for option in COMMON if option.ours != "mlm_tied"), TOKEN_TYPES), _DEFAULTS)
_FORM: dict[str, Any] = {
    "position_kind": "rotary",
    "mlp_kind": "gated",
    "attention_bias": False,
    "mlp_bias": False,
    "mlp_down_bias": False,
}
_THETA = 1000.0


def _read(fields: Fields) -> EncoderConfig:
    common = read_common(
        _OPTIONS, fields, {"tie_word_embeddings": ((True,), "the decoder would have words of its own")}
    )
    theta = fields.rope_theta(fields.table("rope_parameters"), "rope_theta", _THETA)
    own = {
        "rope_thetas": (theta,) * common["num_layers"],
        "head_dim": fields.number_or_null("head_dim", common["head_dim"]),
    }
    return EncoderConfig(**common | _FORM | own)


def _write(config: EncoderConfig) -> dict[str, Any]:
    theta = config.rope_thetas[0] if config.rope_thetas else _THETA
    return options.write(_OPTIONS, config) | {
        "head_dim": config.head_dim,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
    }


def _layer(config: EncoderConfig) -> list[Row]:
    return [
        *attention(config.head_dim, {"attn.Wqkv": ("query", "key", "value")}, "attn.out_proj"),
        *norm("norm1", "attention_norm"),
        *linear("mlp.fc11", "mlp.up"),
        *linear("mlp.fc12", "mlp.gate"),
        *linear("mlp.fc2", "mlp.down"),
        *norm("norm2", "mlp_norm"),
    ]


# transformers gives a pooler to what classifies texts alone.
_UNUSED = ("nomic_bert.pooler.dense.weight", "nomic_bert.pooler.dense.bias")
_MLM = (
    *linear("cls.predictions.transform.dense", "head.transform"),
    *norm("cls.predictions.transform.layer_norm", "head.norm"),
    *table("cls.predictions.decoder.weight", "head.decoder"),
    *table("cls.predictions.bias", "head.bias"),
)

# As its authors and transformers write files; within transformers' models names are others.
FAMILY = Family(
    model_types=("nomic_bert",),
    classes=("NomicBert",),
    prefix="nomic_bert.",
    read=_read,
    write=_write,
    embedding=(
        *table("embeddings.word_embeddings.weight", "embedding.word"),
        *table("embeddings.token_type_embeddings.weight", "embedding.token_type"),
        *norm("emb_ln", "embedding.norm"),
    ),
    layer=_layer,
    layer_names=numbered("encoder.layers"),
    heads={
        "Model": Head(unused=_UNUSED),
        "ForMaskedLM": Head(rows=_MLM, unused=_UNUSED),
        "ForSequenceClassification": Head(
            rows=(
                *linear("nomic_bert.pooler.dense", "classifier.transform"),
                *linear("classifier", "classifier.output"),
            ),
            classes=first_token_classes("tanh"),
        ),
        "ForTokenClassification": Head(
            rows=tuple(linear("classifier", "classifier.output")), unused=_UNUSED, classes=token_classes
        ),
    },
    tied="cls.predictions.decoder.weight",
    duplicates={"cls.predictions.decoder.bias": "cls.predictions.bias"},
)
