"""NeoBERT: Le Breton et al. (2025), https://arxiv.org/abs/2502.19587: Llama's blocks, with rotary pairs of neighbours.

transformers has no such class: it runs its authors' code, which their config.json names.
"""

from typing import Any

import numpy as np

from jax_encoder import presets
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options, rows
from jax_encoder.huggingface.family import Family, Head, first_token_classes, numbered
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.options import Option
from jax_encoder.huggingface.rows import Array, Layout, Row, linear, norm, table

_CODE = "chandar-lab/NeoBERT--model."
_AUTO = {
    "AutoConfig": f"{_CODE}NeoBERTConfig",
    "AutoModel": f"{_CODE}NeoBERT",
    "AutoModelForMaskedLM": f"{_CODE}NeoBERTLMHead",
    "AutoModelForSequenceClassification": f"{_CODE}NeoBERTForSequenceClassification",
}
_FORM: dict[str, Any] = presets.MODERNBERT | {
    "norm_kind": "rms",
    "embedding_norm": False,
    "first_attention_norm": True,
    "activation": "silu",
    "mlm_activation": None,
    "mlm_transform_bias": False,
    "mlm_tied": False,
}
_OPTIONS = (
    Option("vocab_size", "vocab_size", 30_522),
    Option("max_len", "max_length", 1024),
    Option("embed_dim", "hidden_size", 768),
    Option("num_layers", "num_hidden_layers", 28),
    Option("num_heads", "num_attention_heads", 12),
    Option("norm_eps", "norm_eps", 1e-6),
)


def _read(fields: Fields) -> EncoderConfig:
    values = options.read(_OPTIONS, fields)
    heads = options.heads(fields, values, "hidden_size", "num_attention_heads")
    fields.must({"dim_head": ((heads["head_dim"],), "heads would be of another width than the authors' code makes")})
    # Who made it, how it starts, and what its classifier drops; the authors' code never ties the decoder.
    fields.ignore("auto_map", "kwargs", "pretrained_model_name_or_path", "trust_remote_code", "tie_word_embeddings")
    fields.ignore("embedding_init_range", "decoder_init_range", "classifier_init_range", "classifier_dropout")
    inner = 2 * fields.number("intermediate_size", 3072) // 3
    own = {"mlp_dim": -(-inner // 8) * 8, "rope_thetas": (10_000.0,) * values["num_layers"]}
    return EncoderConfig(**_FORM | values | options.layers(values["num_layers"]) | heads | own)


def _write(config: EncoderConfig) -> dict[str, Any]:
    return options.write(_OPTIONS, config) | {
        "intermediate_size": config.mlp_dim * 3 // 2,
        "dim_head": config.head_dim,
        "auto_map": _AUTO,
    }


def _head_by_head(head_dim: int) -> Layout:
    """Every head's query, key and value lie beside one another, and turn in pairs of neighbours.

    Axes: N heads, P the three projections, H head_dim, D embed_dim.
    """
    ours_H = np.r_[0:head_dim:2, 1:head_dim:2]
    theirs_H = np.argsort(ours_H)

    def permuted(w_PNHD: Array, order_H: Array) -> Array:
        return np.concatenate([w_PNHD[:2][:, :, order_H], w_PNHD[2:]])

    def to_ours(w_OD: Array) -> Array:
        w_PNHD = w_OD.reshape(-1, 3, head_dim, w_OD.shape[1]).swapaxes(0, 1)
        return permuted(w_PNHD, ours_H).reshape(w_OD.shape)

    def to_theirs(w_OD: Array) -> Array:
        w_PNHD = permuted(w_OD.reshape(3, -1, head_dim, w_OD.shape[1]), theirs_H)
        return w_PNHD.swapaxes(0, 1).reshape(w_OD.shape)

    return Layout(to_ours, to_theirs)


def _layer(config: EncoderConfig) -> list[Row]:
    into, _, back = rows.heads(config.head_dim)
    projections = tuple(f"attention.{name}.kernel" for name in ("query", "key", "value"))
    return [
        *norm("attention_norm", "attention_norm"),
        Row("qkv.weight", projections, into, _head_by_head(config.head_dim)),
        Row("wo.weight", ("attention.out.kernel",), back),
        *norm("ffn_norm", "mlp_norm"),
        *linear("ffn.w12", "mlp.gate", "mlp.up"),
        *linear("ffn.w3", "mlp.down"),
    ]


FAMILY = Family(
    reference="its authors' formula, written for this",
    model_types=("neobert",),
    classes=("NeoBERT",),
    prefix="model.",
    read=_read,
    write=_write,
    embedding=(*table("encoder.weight", "embedding.word"), *norm("layer_norm", "final_norm")),
    layer=_layer,
    layer_names=numbered("transformer_encoder"),
    heads={
        "": Head(),
        "LMHead": Head(rows=(*table("decoder.weight", "head.decoder"), *table("decoder.bias", "head.bias"))),
        "ForSequenceClassification": Head(
            rows=(*linear("dense", "classifier.transform"), *linear("classifier", "classifier.output")),
            classes=first_token_classes("tanh"),
        ),
    },
    tied="decoder.weight",
)
