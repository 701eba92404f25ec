"""Jina-BERT, of jina-embeddings-v2: Günther et al. (2023), https://arxiv.org/abs/2310.19923: BERT with linear biases
(ALiBi) for positions and a gated MLP.

transformers has no such class: it runs its authors' code, which their config.json names, and would take a file without
that for BERT.
"""

from typing import Any

from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.families import bert
from jax_encoder.huggingface.families.bert import COMMON, TOKEN_TYPES, read_common
from jax_encoder.huggingface.family import Family, Head, numbered
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.options import Option
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate

_CODE = "jinaai/jina-bert-implementation--"
_AUTO = {
    "AutoConfig": f"{_CODE}configuration_bert.JinaBertConfig",
    "AutoModel": f"{_CODE}modeling_bert.JinaBertModel",
    "AutoModelForMaskedLM": f"{_CODE}modeling_bert.JinaBertForMaskedLM",
    "AutoModelForQuestionAnswering": f"{_CODE}modeling_bert.JinaBertForQuestionAnswering",
    "AutoModelForSequenceClassification": f"{_CODE}modeling_bert.JinaBertForSequenceClassification",
    "AutoModelForTokenClassification": f"{_CODE}modeling_bert.JinaBertForTokenClassification",
}
# Positions of the authors' other encoders, and MLPs.
_POSITIONS = {"position_embedding_type": (("alibi",), "positions would be embedded")}
_OPTIONS = (
    *(option for option in COMMON if option.ours != "activation"),
    TOKEN_TYPES,
    Option("activation", "feed_forward_type", "original", {"geglu": "gelu_exact", "reglu": "relu"}),
    options.activation("mlm_activation", "hidden_act", "gelu"),
)


def _read(fields: Fields) -> EncoderConfig:
    common = read_common(_OPTIONS, fields, _POSITIONS)
    if "position_embedding_type" not in fields.values:
        fields.refuse("position_embedding_type is left out: must be 'alibi'")
    fields.ignore("auto_map", "emb_pooler", "model_max_length")
    form = {"position_kind": "none", "relative_kind": "linear", "mlp_kind": "gated", "mlp_bias": False}
    return EncoderConfig(**common | form)


def _write(config: EncoderConfig) -> dict[str, Any]:
    return options.write(_OPTIONS, config) | {"position_embedding_type": "alibi", "auto_map": _AUTO}


def _layer(config: EncoderConfig) -> list[Row]:
    projections = separate("attention.self.query", "attention.self.key", "attention.self.value")
    return [
        *attention(config.head_dim, projections, "attention.output.dense"),
        *norm("attention.output.LayerNorm", "attention_norm"),
        *linear("mlp.gated_layers", "mlp.gate", "mlp.up"),
        *linear("mlp.wo", "mlp.down"),
        *norm("mlp.layernorm", "mlp_norm"),
    ]


def _heads() -> dict[str, Head]:
    """BERT's; published encoders say that they are of the language model, and hold none."""
    heads = {
        name: bert.FAMILY.heads[name]
        for name in (
            "Model",
            "ForMaskedLM",
            "ForSequenceClassification",
            "ForTokenClassification",
            "ForQuestionAnswering",
        )
    }
    words = heads["ForMaskedLM"]
    return heads | {"ForMaskedLM": Head(optional=(words.rows, *words.optional))}


FAMILY = Family(
    called="jina-bert",
    reference="its authors' formula, on transformers' BERT",
    model_types=("bert",),
    classes=("JinaBert",),
    prefix="bert.",
    read=_read,
    write=_write,
    embedding=bert.EMBEDDING,
    layer=_layer,
    layer_names=numbered("encoder.layer"),
    heads=_heads(),
    tied=bert.FAMILY.tied,
    duplicates=bert.FAMILY.duplicates,
)
