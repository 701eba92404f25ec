"""MPNet: Song et al. (2020), https://arxiv.org/abs/2004.09297: RoBERTa's positions and a relative bias."""

from typing import Any

from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.families.bert import COMMON, read_common
from jax_encoder.huggingface.families.roberta import CLASSES, LM_HEAD
from jax_encoder.huggingface.family import Family, Head, first_token_classes, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate, table

# transformers' code has them as constants; it reads the field for the table's size only.
_BUCKETS, _MAX_DISTANCE = 32, 128
_OFFSET = 2  # the padding token is number 1, whatever the config says

_OPTIONS = options.with_defaults(COMMON, {"vocab_size": 30_527})


def _read(fields: Fields) -> EncoderConfig:
    common = read_common(_OPTIONS, fields)
    fields.must({"relative_attention_num_buckets": ((_BUCKETS,), "transformers itself computes 32 ranges")})
    return EncoderConfig(
        **common
        | {
            "max_len": common["max_len"] - _OFFSET,
            "position_offset": _OFFSET,
            "num_token_types": 0,
            "relative_kind": "bias",
            "relative_buckets": _BUCKETS,
            "relative_max_distance": _MAX_DISTANCE,
            "mlm_activation": "gelu_exact",
        }
    )


def _write(config: EncoderConfig) -> dict[str, Any]:
    return options.write(_OPTIONS, config) | {
        "max_position_embeddings": config.max_len + _OFFSET,
        "relative_attention_num_buckets": _BUCKETS,
        "pad_token_id": _OFFSET - 1,
    }


def _layer(config: EncoderConfig) -> list[Row]:
    return [
        *attention(
            config.head_dim, separate("attention.attn.q", "attention.attn.k", "attention.attn.v"), "attention.attn.o"
        ),
        *norm("attention.LayerNorm", "attention_norm"),
        *linear("intermediate.dense", "mlp.up"),
        *linear("output.dense", "mlp.down"),
        *norm("output.LayerNorm", "mlp_norm"),
    ]


_POOLER = tuple(linear("mpnet.pooler.dense", "pooler.dense"))

FAMILY = Family(
    model_types=("mpnet",),
    classes=("MPNet",),
    prefix="mpnet.",
    read=_read,
    write=_write,
    embedding=(
        *table("embeddings.word_embeddings.weight", "embedding.word"),
        *table("embeddings.position_embeddings.weight", "embedding.position"),
        *norm("embeddings.LayerNorm", "embedding.norm"),
        *table("encoder.relative_attention_bias.weight", "relative_bias.table"),
    ),
    layer=_layer,
    layer_names=numbered("encoder.layer"),
    heads={
        "Model": Head(optional=(_POOLER,)),
        "ForMaskedLM": Head(rows=LM_HEAD, optional=(_POOLER,)),
        "ForSequenceClassification": Head(rows=CLASSES, optional=(_POOLER,), classes=first_token_classes("tanh")),
        "ForTokenClassification": Head(
            rows=tuple(linear("classifier", "classifier.output")), optional=(_POOLER,), classes=token_classes
        ),
        "ForQuestionAnswering": Head(
            rows=tuple(linear("qa_outputs", "classifier.output")), optional=(_POOLER,), classes=token_classes
        ),
    },
    tied="lm_head.decoder.weight",
    duplicates={"lm_head.decoder.bias": "lm_head.bias"},
)
