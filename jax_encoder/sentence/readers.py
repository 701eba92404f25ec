"""Modules from their files, one function each; a module that changes nothing is None."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jaxtyping import Array

from jax_encoder.errors import InputError
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.files import read_json, read_json_if_there
from jax_encoder.huggingface.tensors import read_tensors
from jax_encoder.sentence.modules import (
    ACTIVATIONS,
    MODES,
    SENTENCE,
    Dense,
    LayerNorm,
    Module,
    Normalize,
    Pooling,
    WeightedLayerPooling,
)

_SIZES = frozenset(("word_embedding_dimension", "embedding_dimension"))
# In the order in which several are joined.
_OLDER_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_FLOATS = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)


def _fields(values: dict[str, Any], path: Path, irrelevant: frozenset[str] = frozenset()) -> Fields:
    return Fields(values, str(path), irrelevant)


def _pooling(place: Path, allow_pickle: bool) -> Module:
    values = read_json(place / "config.json")
    fields = _fields(values, place / "config.json", _SIZES)
    chosen = [mode for name, mode in _OLDER_MODES.items() if fields.take(name, False)]
    named = fields.take("pooling_mode", chosen or "mean")
    modes = [named] if isinstance(named, str) else named
    if not isinstance(modes, list) or not modes or not all(mode in MODES for mode in modes):
        fields.refuse(f"pooling_mode={named!r}: must be one or several of {', '.join(MODES)}")
        modes = ["mean"]
    prompt = fields.choose("include_prompt", True, {True: True, False: False})
    fields.finish()
    return Pooling(modes=tuple(modes), include_prompt=prompt)


def _dense(place: Path, allow_pickle: bool) -> Module:
    fields = _fields(read_json(place / "config.json"), place / "config.json")
    inputs, outputs = fields.number("in_features", 0), fields.number("out_features", 0)
    with_bias = fields.choose("bias", True, {True: True, False: False})
    adds = fields.choose("use_residual", False, {False: False, True: True})
    named = fields.take("activation_function", "torch.nn.modules.activation.Tanh")
    activation = str(named).rsplit(".", 1)[-1]
    if not str(named).startswith("torch.") or activation not in ACTIVATIONS:
        fields.refuse(f"activation_function={named!r}: must be one of torch's {', '.join(ACTIVATIONS)}")
    reads = str(fields.take("module_input_name", SENTENCE))
    writes = fields.take("module_output_name", None)
    fields.finish()
    shapes = {"linear.weight": (outputs, inputs)} | ({"linear.bias": (outputs,)} if with_bias else {})
    shapes |= {"residual.weight": (outputs, inputs)} if adds and inputs != outputs else {}
    tensors = _tensors(place, shapes, allow_pickle)
    return Dense(
        kernel=tensors["linear.weight"].T,
        bias=tensors.get("linear.bias"),
        residual=tensors["residual.weight"].T if "residual.weight" in tensors else None,
        activation=activation,
        reads=reads,
        writes=reads if writes is None else str(writes),
        adds_input=adds,
    )


def _layer_norm(place: Path, allow_pickle: bool) -> Module:
    fields = _fields(read_json(place / "config.json"), place / "config.json")
    size = fields.number("dimension", 0)
    fields.finish()
    tensors = _tensors(place, {"norm.weight": (size,), "norm.bias": (size,)}, allow_pickle)
    return LayerNorm(scale=tensors["norm.weight"], bias=tensors["norm.bias"])


def _normalize(place: Path, allow_pickle: bool) -> Module:
    fields = _fields(read_json_if_there(place / "config.json"), place / "config.json")  # older ones have no such file
    reads = fields.take("module_input_name", None) or SENTENCE
    writes = fields.take("module_output_name", None) or reads
    fields.finish()
    return Normalize(reads=str(reads), writes=str(writes))


def _weighted_layers(place: Path, allow_pickle: bool) -> Module:
    fields = _fields(read_json(place / "config.json"), place / "config.json", _SIZES)
    start, layers = fields.number("layer_start", 4), fields.number("num_hidden_layers", 12)
    fields.finish()
    tensors = _tensors(place, {"layer_weights": (layers + 1 - start,)}, allow_pickle)
    return WeightedLayerPooling(weights=tensors["layer_weights"], start=start)


def _dropout(place: Path, allow_pickle: bool) -> None:
    fields = _fields(read_json_if_there(place / "config.json"), place / "config.json", frozenset(("dropout",)))
    fields.finish()


def _tensors(place: Path, shapes: Mapping[str, tuple[int, ...]], allow_pickle: bool) -> dict[str, Array]:
    """The module's weights in float32, if they are what its config says."""
    tensors = read_tensors(place, allow_pickle=allow_pickle)
    found = {name: array.shape for name, array in tensors.items()}
    if found != shapes:
        raise InputError(f"{place} must hold tensors {shapes}, as its config.json says, got {found}")
    for name, array in tensors.items():
        if array.dtype not in _FLOATS or not np.isfinite(array.astype(np.float64)).all():
            raise InputError(f"{place}: {name} must be finite numbers, not quantised, got {array.dtype}")
    return {name: jnp.asarray(array.astype(np.float32)) for name, array in tensors.items()}


READERS: dict[str, Callable[[Path, bool], Module | None]] = {
    "Pooling": _pooling,
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Normalize": _normalize,
    "Dropout": _dropout,
    "WeightedLayerPooling": _weighted_layers,
}
