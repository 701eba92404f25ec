"""What several tests of published checkpoints need: tiny ones of every class, and what their files hold."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from jax_encoder import huggingface
from jax_encoder.errors import InputError
from jax_encoder.huggingface.tensors import read_tensors

WEIGHTS, CONFIG = "model.safetensors", "config.json"
NO_WEIGHTS = "has no weights"
# Tensors of the pretraining file.
WORD, DECODER = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"
BIAS, DECODER_BIAS = "cls.predictions.bias", "cls.predictions.decoder.bias"
POSITION_IDS, TYPE_IDS = "bert.embeddings.position_ids", "bert.embeddings.token_type_ids"
QUERY = "bert.encoder.layer.1.attention.self.query"
_SIZES = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 17,
}
_SPECIAL = ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "mask_token_id")
_IDS = dict.fromkeys(_SPECIAL, 1)
# What transformers' config of each model type is asked for; no two sizes are equal.
SMALL: dict[str, dict[str, Any]] = {
    "bert": _SIZES,
    "roberta": _SIZES,
    "xlm-roberta": _SIZES,
    "camembert": _SIZES,
    "distilbert": {
        "vocab_size": 31,
        "dim": 12,
        "n_layers": 2,
        "n_heads": 3,
        "hidden_dim": 20,
        "max_position_embeddings": 17,
    },
    "electra": _SIZES | {"embedding_size": 8},
    "albert": _SIZES | {"embedding_size": 8, "num_hidden_groups": 2},
    "mpnet": _SIZES,
    "deberta-v2": _SIZES
    | {"relative_attention": True, "position_buckets": 6, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm"}
    | {"share_att_key": False, "position_biased_input": False, "type_vocab_size": 0},
    "t5": {"vocab_size": 31, "d_model": 12, "num_layers": 2, "num_heads": 3, "d_kv": 5, "d_ff": 20, "n_positions": 17}
    | {"feed_forward_proj": "gated-gelu"},
    "modernbert": _SIZES | _IDS,
    "esm": _SIZES | {"position_embedding_type": "rotary", "token_dropout": True, "pad_token_id": 1, "mask_token_id": 4},
    "xlm-roberta-xl": _SIZES,
    "nomic_bert": _SIZES,
    "gte": _SIZES,
    "neobert": {name: size for name, size in _SIZES.items() if name != "max_position_embeddings"}
    | {"max_length": 17, "pad_token_id": 1, "norm_eps": 1e-6},
    "eurobert": _SIZES | {"num_attention_heads": 6, "num_key_value_heads": 3, "mlp_bias": True} | _IDS,
}
# Of classes that no transformers has: what their model type's config lacks.
_OF_AUTHORS = {"JinaBert": {"position_embedding_type": "alibi", "feed_forward_type": "geglu"}, "NeoBERT": {}}
CLASSES = [
    (model_type, begins + suffix)
    for family in huggingface.FAMILIES.values()
    for model_type, begins in zip(family.model_types, family.classes, strict=True)
    for suffix in family.heads
]


def save_with_transformers(architecture: str, model_type: str, folder: Path, **fields: Any) -> None:
    """A tiny model of transformers' class, or of its authors', every parameter random, as transformers writes it."""
    import torch
    import transformers

    from parity.published import authors

    apart = next((own for name, own in _OF_AUTHORS.items() if architecture.startswith(name)), None)
    values = SMALL[model_type] | (apart or {}) | fields
    if apart is None:
        model = getattr(transformers, architecture)(transformers.AutoConfig.for_model(model_type, **values))
    else:
        model = authors.build(architecture, values, num_classes=2)
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for param in model.parameters():
            param.normal_(generator=drawn)
    transformers.utils.logging.disable_progress_bar()
    if model_type == "neobert":  # a module and no more
        tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        write(
            folder, {"model_type": model_type, "dtype": "float32", **values, "architectures": [architecture]}, tensors
        )
        return
    model.save_pretrained(folder)
    if apart is not None:
        (folder / CONFIG).write_text(json.dumps(fields_in(folder) | apart | {"architectures": [architecture]}))


def tensors_in(folder: Path) -> dict[str, np.ndarray]:
    """What a checkpoint's file holds."""
    return load_file(folder / WEIGHTS)


def fields_in(folder: Path) -> dict[str, Any]:
    """What its config.json says."""
    return json.loads((folder / CONFIG).read_text())


def write(folder: Path, fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Path:
    """A checkpoint's folder, made without any code of ours."""
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(fields))
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    save_file(contiguous, folder / WEIGHTS, {"format": "pt"})
    return folder


def config_only(folder: Path, values: dict[str, Any], **changed: Any) -> Path:
    """A folder without weights: what is wrong with its config is told before that."""
    (folder / CONFIG).write_text(json.dumps(values | changed))
    return folder


def refusal(folder: Path, **arguments: Any) -> str:
    """What loading the folder is refused with."""
    try:
        huggingface.load(folder, **arguments)
    except InputError as error:
        return str(error)
    raise AssertionError("this should have been refused")


def assert_same_tensors(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> None:
    """The same names, dtypes, shapes and bits."""
    assert sorted(one) == sorted(other)
    for name in one:
        assert same(one[name], other[name]), name


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def assert_saved_as_it_was(folder: Path, tmp_path: Path) -> huggingface.Checkpoint:
    """Loads, saves, and loads again: the same tensors by the same names. Returns what was loaded."""
    loaded = huggingface.load(folder)
    huggingface.save(loaded, tmp_path / "again")
    assert_same_tensors(tensors_in(tmp_path / "again"), read_tensors(folder))
    assert fields_in(tmp_path / "again") == fields_in(folder)
    again = huggingface.load(tmp_path / "again")
    assert_same_tensors(again.params, loaded.params)
    assert (again.config, again.parts) == (loaded.config, loaded.parts)
    return loaded
