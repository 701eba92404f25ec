"""Small encoders of every published family, drawn at random as fields of a config.json. Data only, no framework."""

from typing import Any

import numpy as np

from jax_encoder.huggingface.families import FAMILIES

# Token 3 pads: transformers gives its row of the word table no gradient, so no case has it at a token's place.
PAD = 3
_SEPARATE_HEADS = ("num_attention_heads", "hidden_size", "num_hidden_layers", "intermediate_size")
_OTHER_NAMES = {
    "distilbert": ("n_heads", "dim", "n_layers", "hidden_dim"),
    "t5": ("num_heads", "d_model", "num_layers", "d_ff"),
}
_LONGEST = {"t5": "n_positions", "neobert": "max_length"}


def draw_fields(family: str, seed: int) -> dict[str, Any]:
    """The fields of a small encoder of a family; no two sizes are equal, nor equal to a case's batch or length."""
    rng = np.random.default_rng((seed, sorted(FAMILIES).index(family)))
    sizes = _OTHER_NAMES.get(family, _SEPARATE_HEADS)
    heads, head_dim = [(2, 10), (3, 8), (4, 6), (6, 8)][int(rng.integers(4))]
    layers = int(rng.integers(2, 5))
    common: dict[str, Any] = {
        "model_type": FAMILIES[family].model_types[0],
        "vocab_size": int(rng.integers(53, 80)),
        _LONGEST.get(family, "max_position_embeddings"): int(rng.integers(33, 41)),
        **dict(zip(sizes, (heads, heads * head_dim, layers, int(rng.integers(26, 32))), strict=True)),
    }
    return common | _OWN[family](rng, heads, layers)


def _bert(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    return {
        "type_vocab_size": int(rng.integers(2, 4)),
        "hidden_act": _one_of(rng, ("gelu", "gelu_new", "relu", "silu")),
        "layer_norm_eps": _one_of(rng, (1e-12, 1e-5)),
        "tie_word_embeddings": bool(rng.integers(4)),
        "pad_token_id": PAD,
    }


def _roberta(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    return _bert(rng, heads, layers) | {"pad_token_id": int(rng.integers(1, 3))}


def _distilbert(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    return {
        "activation": _one_of(rng, ("gelu", "relu")),
        "tie_word_embeddings": bool(rng.integers(4)),
        "pad_token_id": PAD,
    }


def _electra(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    return _bert(rng, heads, layers) | {"embedding_size": int(rng.integers(14, 18)), "hidden_act": "gelu"}


def _albert(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    return _bert(rng, heads, layers) | {
        "embedding_size": int(rng.integers(14, 18)),
        "num_hidden_groups": int(rng.integers(1, layers + 1)),
        "inner_group_num": int(rng.integers(1, 3)),
    }


def _mpnet(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    bert = _bert(rng, heads, layers)
    return {name: bert[name] for name in ("hidden_act", "layer_norm_eps", "tie_word_embeddings")} | {"pad_token_id": 1}


def _modernbert(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    kinds = ["full_attention", *(_one_of(rng, ("full_attention", "sliding_attention")) for _ in range(layers - 1))]
    switches = ("norm_bias", "attention_bias", "mlp_bias", "classifier_bias", "decoder_bias", "tie_word_embeddings")
    return {name: bool(rng.integers(2)) for name in switches} | {
        "hidden_activation": _one_of(rng, ("gelu", "silu")),
        "classifier_activation": _one_of(rng, ("gelu", "relu")),
        "classifier_pooling": _one_of(rng, ("cls", "mean")),
        "norm_eps": _one_of(rng, (1e-5, 1e-3)),
        "local_attention": 2 * int(rng.integers(2, 5)),
        "layer_types": kinds,
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 250.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 40.0},
        },
        "pad_token_id": PAD,
        **dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0),
    }


def _eurobert(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    switches = ("attention_bias", "mlp_bias", "tie_word_embeddings")
    return {name: bool(rng.integers(2)) for name in switches} | {
        "num_key_value_heads": _one_of(rng, [each for each in range(1, heads + 1) if heads % each == 0]),
        "hidden_act": _one_of(rng, ("silu", "gelu")),
        "rms_norm_eps": _one_of(rng, (1e-5, 1e-3)),
        "classifier_pooling": _one_of(rng, ("late", "bos", "mean")),
        "rope_parameters": {"rope_type": "default", "rope_theta": 250.0},
        "pad_token_id": PAD,
        **dict.fromkeys(("bos_token_id", "eos_token_id", "mask_token_id"), 0),
    }


def _deberta(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    relative = {
        "relative_attention": True,
        "position_buckets": 2 * int(rng.integers(3, 6)),
        "max_relative_positions": _one_of(rng, (-1, 11, 23)),
        "pos_att_type": _one_of(rng, ("p2c|c2p", "c2p|p2c")),
        "norm_rel_ebd": _one_of(rng, ("layer_norm", "none")),
        "share_att_key": bool(rng.integers(2)),
    }
    return (
        _bert(rng, heads, layers)
        | (relative if rng.integers(4) else {})
        | {
            "position_biased_input": bool(rng.integers(2)),
            "type_vocab_size": int(rng.integers(0, 4)),
            "layer_norm_eps": 1e-7,
            "pooler_hidden_act": _one_of(rng, ("gelu", "tanh")),
        }
    )


def _t5(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    return {
        "d_kv": int(rng.integers(7, 10)),
        "feed_forward_proj": _one_of(rng, ("gated-gelu", "relu", "gated-silu")),
        "relative_attention_num_buckets": 4 * int(rng.integers(1, 4)),
        "relative_attention_max_distance": int(rng.integers(13, 20)),
        "layer_norm_epsilon": _one_of(rng, (1e-6, 1e-3)),
        "pad_token_id": PAD,
    }


def _jina(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    return _bert(rng, heads, layers) | {
        "position_embedding_type": "alibi",
        "feed_forward_type": _one_of(rng, ("geglu", "reglu")),
    }


def _esm(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    bert = _bert(rng, heads, layers)
    return {name: bert[name] for name in ("layer_norm_eps", "tie_word_embeddings")} | {
        "vocab_size": int(rng.integers(16, 19)),  # so few that the mask token stands in every case
        "position_embedding_type": _one_of(rng, ("absolute", "rotary", "rotary")),
        "emb_layer_norm_before": _one_of(rng, (True, False, None)),
        "token_dropout": _one_of(rng, (True, True, True, False)),
        "rope_theta": 250.0,
        "mask_token_id": 5,
        "pad_token_id": int(rng.integers(1, 3)),
    }


def _nomic(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    bert = _bert(rng, heads, layers)
    return {name: bert[name] for name in ("type_vocab_size", "layer_norm_eps", "pad_token_id")} | {
        "hidden_act": _one_of(rng, ("silu", "gelu")),
        "head_dim": _one_of(rng, (None, 14)),
        "rope_parameters": {"rope_type": "default", "rope_theta": 250.0},
    }


def _gte(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    return _bert(rng, heads, layers) | {
        "type_vocab_size": int(rng.integers(0, 3)),
        "rope_parameters": {"rope_type": "default", "rope_theta": 250.0},
    }


def _neobert(rng: np.random.Generator, heads: int, layers: int) -> dict[str, Any]:
    # The MLP's width is 2 / 3 of this, in multiples of 8.
    return {"intermediate_size": _one_of(rng, (44, 47)), "norm_eps": _one_of(rng, (1e-6, 1e-3)), "pad_token_id": PAD}


_OWN = {
    "bert": _bert,
    "roberta": _roberta,
    "distilbert": _distilbert,
    "electra": _electra,
    "albert": _albert,
    "mpnet": _mpnet,
    "modernbert": _modernbert,
    "eurobert": _eurobert,
    "deberta-v2": _deberta,
    "t5": _t5,
    "jina-bert": _jina,
    "esm": _esm,
    "xlm-roberta-xl": _roberta,
    "nomic_bert": _nomic,
    "gte": _gte,
    "neobert": _neobert,
}


def _one_of(rng: np.random.Generator, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]
