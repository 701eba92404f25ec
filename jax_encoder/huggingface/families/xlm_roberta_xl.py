"""XLM-R XL and XXL: Goyal et al. (2021), https://arxiv.org/abs/2105.00572: RoBERTa with norms before, not after."""

import dataclasses
from typing import Any

from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.families import roberta
from jax_encoder.huggingface.families.bert import COMMON, TOKEN_TYPES, read_common
from jax_encoder.huggingface.family import numbered
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate, table

_DEFAULTS = {
    "vocab_size": 250_880,
    "hidden_size": 2560,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "intermediate_size": 10_240,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}
_OPTIONS = options.with_defaults((*COMMON, TOKEN_TYPES), _DEFAULTS)
_FORM: dict[str, Any] = {"norm_order": "pre", "embedding_norm": False, "final_norm": True}


def _read(fields: Fields) -> EncoderConfig:
    common = read_common(_OPTIONS, fields)
    offset = fields.number("pad_token_id", 1) + 1
    positions = {"max_len": common["max_len"] - offset, "position_offset": offset}
    return EncoderConfig(**common | _FORM | positions | {"mlm_activation": "gelu_exact"})


def _layer(config: EncoderConfig) -> list[Row]:
    projections = separate("attention.self.query", "attention.self.key", "attention.self.value")
    return [
        *norm("attention.self_attn_layer_norm", "attention_norm"),
        *attention(config.head_dim, projections, "attention.output.dense"),
        *norm("LayerNorm", "mlp_norm"),
        *linear("intermediate.dense", "mlp.up"),
        *linear("output.dense", "mlp.down"),
    ]


FAMILY = dataclasses.replace(
    roberta.FAMILY,
    model_types=("xlm-roberta-xl",),
    classes=("XLMRobertaXL",),
    read=_read,
    embedding=(
        *table("embeddings.word_embeddings.weight", "embedding.word"),
        *table("embeddings.position_embeddings.weight", "embedding.position"),
        *table("embeddings.token_type_embeddings.weight", "embedding.token_type"),
        *norm("encoder.LayerNorm", "final_norm"),
    ),
    layer=_layer,
    layer_names=numbered("encoder.layer"),
)
