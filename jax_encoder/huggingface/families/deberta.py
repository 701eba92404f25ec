"""DeBERTa-v2 and -v3: He et al. (2021), https://arxiv.org/abs/2006.03654, and (2023), https://arxiv.org/abs/2111.09543.

Without the convolution beside the first layer, which v2's largest have and v3 has not.
"""

from typing import Any

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.families.bert import COMMON, read_common
from jax_encoder.huggingface.family import Family, Head, first_token_classes, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.options import ACTIVATIONS
from jax_encoder.huggingface.rows import Row, attention, linear, norm, separate, table

_DEFAULTS = {
    "vocab_size": 128_100,
    "hidden_size": 1536,
    "num_hidden_layers": 24,
    "num_attention_heads": 24,
    "intermediate_size": 6144,
    "layer_norm_eps": 1e-7,
}
_OPTIONS = options.with_defaults(COMMON, _DEFAULTS)
_PARTS = ("p2c", "c2p")
_NORMS = {"none": False, "layer_norm": True}
# Of a model without relative attention.
_PLAIN: dict[str, tuple[tuple[Any, ...], str]] = {
    "pos_att_type": ((None, [], ""), "scores would be scaled as a sum of several"),
    "norm_rel_ebd": (("none",), "there would be a norm without a table"),
}


def _read(fields: Fields) -> EncoderConfig:
    common = read_common(_OPTIONS, fields)
    dim, head_dim = common["embed_dim"], common["head_dim"]
    fields.must(
        {
            "conv_kernel_size": ((0,), "there would be a convolution beside the first layer"),
            "embedding_size": ((dim,), "the embeddings would be projected before their norm"),
            "attention_head_size": ((head_dim,), f"only heads that share hidden_size={dim} fit its output projection"),
            "legacy": ((True,), "the masked-language-model head would have other tensors"),
        }
    )
    # How it was trained, and what its class pools with.
    fields.ignore("conv_act", "conv_groups", "pooler_dropout", "cls_dropout", "pooler_hidden_act", "pooler_hidden_size")
    learned = fields.choose("position_biased_input", True, {True: True, False: False})
    types = {"num_token_types": fields.number("type_vocab_size", 0), "position_kind": "learned" if learned else "none"}
    return EncoderConfig(**common | types | _relative(fields, common["max_len"]))


def _relative(fields: Fields, max_len: int) -> dict[str, Any]:
    """The table of distances and how it is scored."""
    if not fields.choose("relative_attention", False, {False: False, True: True}):
        fields.must(_PLAIN)
        fields.ignore("position_buckets", "max_relative_positions", "share_att_key")
        return {}
    said = fields.take("pos_att_type", None)
    parts = said.lower().split("|") if isinstance(said, str) else said
    if not isinstance(parts, list) or {str(part).strip() for part in parts} != set(_PARTS):
        fields.refuse(f"pos_att_type={said!r}: only {'|'.join(_PARTS)} can be computed here")
    ranges = fields.take("position_buckets", -1)
    if not isinstance(ranges, int) or ranges < 4 or ranges % 2:
        fields.refuse(f"position_buckets={ranges!r}: must be even and at least 4, or distances would have a row each")
        ranges = 4
    furthest = fields.take("max_relative_positions", -1)
    return {
        "relative_kind": "disentangled",
        "relative_buckets": 2 * ranges,
        "relative_max_distance": max_len if furthest == -1 else fields.number("max_relative_positions", max_len),
        "relative_norm": fields.choose("norm_rel_ebd", "none", _NORMS),
        "relative_projections": not fields.choose("share_att_key", False, {False: False, True: True}),
    }


def _write(config: EncoderConfig) -> dict[str, Any]:
    written = options.write(_OPTIONS, config) | {
        "type_vocab_size": config.num_token_types,
        "position_biased_input": config.position_kind == "learned",
        "relative_attention": config.relative_kind == "disentangled",
    }
    if config.relative_kind != "disentangled":
        return written
    return written | {
        "pos_att_type": list(_PARTS),
        "position_buckets": config.relative_buckets // 2,
        "max_relative_positions": config.relative_max_distance,
        "norm_rel_ebd": "layer_norm" if config.relative_norm else "none",
        "share_att_key": not config.relative_projections,
    }


def _layer(config: EncoderConfig) -> list[Row]:
    projections = separate("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj")
    positions = {
        "attention.self.pos_query_proj": ("position_query",),
        "attention.self.pos_key_proj": ("position_key",),
    }
    return [
        *attention(config.head_dim, projections | positions, "attention.output.dense"),
        *norm("attention.output.LayerNorm", "attention_norm"),
        *linear("intermediate.dense", "mlp.up"),
        *linear("output.dense", "mlp.down"),
        *norm("output.LayerNorm", "mlp_norm"),
    ]


def _pooled_classes(fields: Fields, num_classes: int) -> ClassifierConfig:
    width = fields.number("hidden_size", _DEFAULTS["hidden_size"])
    fields.must({"pooler_hidden_size": ((width,), f"the classifier would read another width than hidden_size={width}")})
    activation = fields.choose("pooler_hidden_act", "gelu", ACTIVATIONS | {"tanh": "tanh"})
    return first_token_classes(activation)(fields, num_classes)


_MLM = (
    *linear("cls.predictions.transform.dense", "head.transform"),
    *norm("cls.predictions.transform.LayerNorm", "head.norm"),
    *table("cls.predictions.decoder.weight", "head.decoder"),
    *table("cls.predictions.bias", "head.bias"),
)

# Of the generator and the discriminator that published encoders were trained as, and of absolute positions.
_LEFT_OVER = (
    *(row.theirs for row in linear("lm_predictions.lm_head.dense", "")),
    *(row.theirs for row in norm("lm_predictions.lm_head.LayerNorm", "")),
    "lm_predictions.lm_head.bias",
    *(row.theirs for name in ("dense", "classifier") for row in linear(f"mask_predictions.{name}", "")),
    *(row.theirs for row in norm("mask_predictions.LayerNorm", "")),
    "deberta.embeddings.position_embeddings.weight",
)

FAMILY = Family(
    model_types=("deberta-v2",),
    classes=("DebertaV2",),
    prefix="deberta.",
    read=_read,
    write=_write,
    embedding=(
        *table("embeddings.word_embeddings.weight", "embedding.word"),
        *table("embeddings.position_embeddings.weight", "embedding.position"),
        *table("embeddings.token_type_embeddings.weight", "embedding.token_type"),
        *norm("embeddings.LayerNorm", "embedding.norm"),
        *table("encoder.rel_embeddings.weight", "relative_embedding.table"),
        *norm("encoder.LayerNorm", "relative_embedding.norm"),
    ),
    layer=_layer,
    layer_names=numbered("encoder.layer"),
    heads={
        "Model": Head(unused=_LEFT_OVER),
        "ForMaskedLM": Head(rows=_MLM),
        "ForSequenceClassification": Head(
            rows=(
                *linear("pooler.dense", "classifier.transform"),
                *linear("classifier", "classifier.output"),
            ),
            classes=_pooled_classes,
        ),
        "ForTokenClassification": Head(rows=tuple(linear("classifier", "classifier.output")), classes=token_classes),
        "ForQuestionAnswering": Head(rows=tuple(linear("qa_outputs", "classifier.output")), classes=token_classes),
    },
    tied="cls.predictions.decoder.weight",
    duplicates={"cls.predictions.decoder.bias": "cls.predictions.bias"},
)
