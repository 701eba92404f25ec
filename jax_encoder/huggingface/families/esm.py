"""ESM-2, of proteins: Lin et al. (2023), https://doi.org/10.1126/science.ade2574; and ESM-1b, Rives et al. (2021),
https://doi.org/10.1073/pnas.2016239118.
"""

import dataclasses
from typing import Any

import numpy as np

from jax_encoder import presets, rope
from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.huggingface import options
from jax_encoder.huggingface.families.bert import COMMON
from jax_encoder.huggingface.families.roberta import CLASSES, LM_HEAD
from jax_encoder.huggingface.family import Family, Head, first_token_classes, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.options import Option
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate, table
from jax_encoder.huggingface.tensors import Tensors

_FORM: dict[str, Any] = presets.BERT | {
    "num_token_types": 0,
    "norm_order": "pre",
    "final_norm": True,
    "embedding_dropout": 0.0,
}
_OPTIONS = (
    *(option for option in COMMON if option.ours not in ("activation", "max_len")),
    Option("max_len", "max_position_embeddings", 1026),
    Option("embedding_norm", "emb_layer_norm_before", None, {False: False, True: True, None: False}),
    Option("position_kind", "position_embedding_type", "absolute", {"absolute": "learned", "rotary": "rotary"}),
)
_GELU = {"hidden_act": (("gelu", None), "transformers itself computes gelu")}
# transformers computes with the frequencies that a file holds: once for all, or in every layer.
_FREQUENCIES = "rotary_embeddings.inv_freq"


def _read(fields: Fields) -> EncoderConfig:
    values = options.read(_OPTIONS, fields)
    fields.must(_GELU | {"is_folding_model": ((False, None), "it would fold proteins")})
    # What only a folding model has, and what its heads drop as they train.
    fields.ignore("esmfold_config", "vocab_list", "classifier_dropout")
    theta = fields.number("rope_theta", 10_000.0)
    own: dict[str, Any] = {"dropped_token": None}
    if fields.choose("token_dropout", False, {False: False, True: True, None: False}):
        own["dropped_token"] = _token(fields, "mask_token_id", "token_dropout drops the words of that token")
    layers = values["num_layers"]
    if values["position_kind"] == "learned":
        offset = _token(fields, "pad_token_id", "positions are counted from the row after it") + 1
        own |= {"position_offset": offset, "max_len": values["max_len"] - offset}
    else:
        own["rope_thetas"] = (theta,) * layers
    if "vocab_size" not in fields.values:
        fields.refuse("vocab_size is left out: transformers has no default for it")
    heads = options.heads(fields, values, "hidden_size", "num_attention_heads")
    return EncoderConfig(**_FORM | values | options.layers(layers) | heads | own)


def _token(fields: Fields, name: str, why: str) -> int:
    """A token's number, which the function depends on."""
    if fields.take(name, None) is None:
        fields.refuse(f"{name} is left out: {why}")
        return 0
    return int(fields.number(name, 0))


def _write(config: EncoderConfig) -> dict[str, Any]:
    return options.write(_OPTIONS, config) | {
        "max_position_embeddings": config.max_len + config.position_offset,
        "token_dropout": config.dropped_token is not None,
        "rope_theta": config.rope_thetas[0] if config.rope_thetas else 10_000.0,
        **({} if config.dropped_token is None else {"mask_token_id": config.dropped_token}),
        **({"pad_token_id": config.position_offset - 1} if config.position_offset else {}),
    }


def _amended(config: EncoderConfig, tensors: Tensors) -> EncoderConfig:
    """With the frequencies that a file holds: published ones were rounded to half precision in training."""
    found = {name: array for name, array in tensors.items() if name.endswith(_FREQUENCIES)}
    if not found or config.position_kind != "rotary":
        return config
    first, *others = (array.astype(np.float64) for array in found.values())
    if any(not np.array_equal(first, other) for other in others):
        raise InputError(f"{_FREQUENCIES} differs between layers: transformers would take the first layer's for all")
    try:
        return dataclasses.replace(config, rope_frequencies=tuple(first.reshape(-1).tolist()))
    except ValueError as error:
        raise InputError(f"{next(iter(found))} is not of this encoder: {error}") from None


def _constants(config: EncoderConfig) -> Tensors:
    """The frequencies, as a new file has them."""
    if config.position_kind != "rotary":
        return {}
    computed = rope.inverse_frequencies(config.rope_thetas[0], config.head_dim)
    return {f"esm.{_FREQUENCIES}": np.asarray(config.rope_frequencies or computed)}


def _layer(config: EncoderConfig) -> list[Row]:
    projections = separate("attention.self.query", "attention.self.key", "attention.self.value")
    return [
        *norm("attention.LayerNorm", "attention_norm"),
        *attention(config.head_dim, projections, "attention.output.dense"),
        *norm("LayerNorm", "mlp_norm"),
        *linear("intermediate.dense", "mlp.up"),
        *linear("output.dense", "mlp.down"),
    ]


_POOLER = tuple(linear("esm.pooler.dense", "pooler.dense"))
# Contacts between residues are told from attention by a method of their own; ESM-1b's table of positions stands in
# files of ESM-2, which has none.
_UNUSED = (
    "esm.contact_head.regression.weight",
    "esm.contact_head.regression.bias",
    "esm.embeddings.position_embeddings.weight",
)

FAMILY = Family(
    model_types=("esm",),
    classes=("Esm",),
    prefix="esm.",
    read=_read,
    write=_write,
    embedding=(
        *table("embeddings.word_embeddings.weight", "embedding.word"),
        *table("embeddings.position_embeddings.weight", "embedding.position"),
        *norm("embeddings.layer_norm", "embedding.norm"),
        *norm("encoder.emb_layer_norm_after", "final_norm"),
    ),
    layer=_layer,
    layer_names=numbered("encoder.layer"),
    heads={
        "Model": Head(optional=(_POOLER,), unused=_UNUSED),
        "ForMaskedLM": Head(rows=LM_HEAD, optional=(_POOLER,), unused=_UNUSED),
        "ForSequenceClassification": Head(
            rows=CLASSES, optional=(_POOLER,), unused=_UNUSED, classes=first_token_classes("tanh")
        ),
        "ForTokenClassification": Head(
            rows=tuple(linear("classifier", "classifier.output")),
            optional=(_POOLER,),
            unused=_UNUSED,
            classes=token_classes,
        ),
    },
    tied="lm_head.decoder.weight",
    buffers=("position_ids", "token_type_ids", "inv_freq"),
    told_by_tensors=("rope_frequencies",),
    amended=_amended,
    constants=_constants,
)
