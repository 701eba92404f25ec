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


# Its authors' names, which its published files have, alone or beside transformers'.
_OLDER = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "layer_norm_epsilon": "layer_norm_eps",
    "resid_pdrop": "hidden_dropout_prob",
    "embd_pdrop": "hidden_dropout_prob",
    "attn_pdrop": "attention_probs_dropout_prob",
    "rotary_emb_base": "rope_theta",
}
# Their options, each with the value that is computed here and the one that is meant where it is left out.
_SWITCHES: dict[str, tuple[Any, Any]] = {
    "activation_function": ("swiglu", "gelu_new"),
    "causal": (False, False),
    "mlp_fc1_bias": (False, True),
    "mlp_fc2_bias": (False, True),
    "parallel_block": (False, False),
    "parallel_block_tied_norm": (False, False),
    "prenorm": (False, False),
    "qkv_proj_bias": (False, True),
    "rotary_emb_fraction": (1.0, 0.0),
    "rotary_emb_interleaved": (False, False),
    "rotary_emb_scale_base": (None, None),
    "scale_attn_by_inverse_layer_idx": (False, False),
    "scale_attn_weights": (True, True),
    "use_rms_norm": (False, False),
}
# How fast it is computed, how it was trained, and what GPT-2's class would make of its output.
_NOTHING = (
    *("auto_map", "dense_seq_output", "fused_bias_fc", "fused_dropout_add_ln", "use_flash_attn", "use_xentropy"),
    *("pad_vocab_size_multiple", "pad_vocab_to_multiple_of", "reorder_and_upcast_attn", "summary_activation"),
    *("summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj"),
)


def _read_older(fields: Fields) -> None:
    """What its authors' own code reads, in transformers' names."""
    older = "n_embd" in fields.values
    fields.rename(_OLDER)
    for name, (computed, left_out) in _SWITCHES.items():
        fields.choose(name, left_out if older else computed, {computed: None})
    fields.ignore(*_NOTHING)
    trained = fields.number_or_null("max_trained_positions", 2048)
    scaled = fields.take("rotary_scaling_factor", None) is not None
    if older and "max_position_embeddings" not in fields.values:
        # Scaled positions turn as they were trained to, up to that length.
        fields.rename({"max_trained_positions" if scaled else "n_positions": "max_position_embeddings"})
    fields.ignore("n_positions")
    longest = fields.number_or_null("max_position_embeddings", trained)
    if scaled and longest > trained:
        fields.refuse(
            f"max_position_embeddings={longest}: with rotary_scaling_factor, texts of more than {trained} "
            "tokens would have other frequencies"
        )


def _read(fields: Fields) -> EncoderConfig:
    _read_older(fields)
    common = read_common(
        _OPTIONS, fields, {"tie_word_embeddings": ((True,), "the decoder would have words of its own")}
    )
    theta = fields.rope_theta(fields.table("rope_parameters"), "rope_theta", _THETA)
    if fields.values.get("rope_theta", theta) != theta:
        fields.refuse(f"rope_theta or rotary_emb_base is not {theta}, which rope_parameters name")
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
