"""Tensors in safetensors files, one or several with an index: https://huggingface.co/docs/safetensors

Pickled weights are read on request only, by torch, and never by running what is in them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jax_encoder.data.files import written_whole
from jax_encoder.errors import InputError

SINGLE, INDEX, PICKLED = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
# What weights may be, and what position buffers of older files are.
_READ = ("F64", "F32", "F16", "BF16", "I64", "I32")
_CONVERT = (
    'python -c "from transformers import AutoModel as M; M.from_pretrained({folder!r}).save_pretrained({folder!r})"'
)
Tensors = dict[str, np.ndarray]


def read_tensors(folder: Path, *, allow_pickle: bool = False) -> Tensors:
    """Reads every tensor of a checkpoint, under its own name and in its own dtype.

    Args:
        folder: holds model.safetensors, or an index and the files that it names.
        allow_pickle: reads pytorch_model.bin, where there is nothing else, through `torch.load(weights_only=True)`.

    Raises:
        InputError: no weights, only pickled ones, or files that are damaged, incomplete or of other dtypes.
    """
    if (folder / SINGLE).is_file():
        return _read_file(folder / SINGLE)
    if (folder / INDEX).is_file():
        return _read_shards(folder / INDEX)
    if (folder / PICKLED).is_file() and allow_pickle:
        return _read_pickled(folder / PICKLED)
    if (folder / PICKLED).is_file():
        raise InputError(
            f"{folder} has only pickled weights, which can run code as they are read. Convert them where transformers "
            f"is installed:\n  {_CONVERT.format(folder=str(folder))}\nor pass allow_pickle=True "
            "(--allow-pickle), which reads them through torch without running anything"
        )
    raise InputError(f"{folder} has no weights: expected {SINGLE}, or {INDEX} and the files that it names")


def write_tensors(tensors: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes one safetensors file, whole or not at all."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    with written_whole(path) as temporary:
        save_file(contiguous, temporary, metadata={"format": "pt"})


def _read_file(path: Path) -> Tensors:
    try:
        with safe_open(path, framework="numpy") as file:
            dtypes = {name: file.get_slice(name).get_dtype() for name in file.offset_keys()}
            strange = {name: dtype for name, dtype in dtypes.items() if dtype not in _READ}
            if strange:
                listed = ", ".join(f"{name} {dtype}" for name, dtype in sorted(strange.items())[:5])
                raise InputError(
                    f"{path}: weights must be of dtype {', '.join(_READ[:4])}, got {listed}: quantised checkpoints are "
                    "not read; take the unquantised one"
                )
            return {name: file.get_tensor(name) for name in dtypes}
    except SafetensorError as error:
        raise InputError(f"{path} is damaged or no safetensors file ({error}): fetch it again") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_shards(path: Path) -> Tensors:
    """The files that an index names; each must hold just what the index says."""
    index = read_json(path)
    places: Any = index.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise InputError(f"{path} must have a weight_map from tensors' names to files' names")
    tensors: Tensors = {}
    for file in sorted(set(places.values())):
        if Path(file).name != file or not (path.parent / file).is_file():
            raise InputError(f"{path} names {file}, which is not beside it: fetch all files of the checkpoint")
        found = _read_file(path.parent / file)
        expected = {name for name, place in places.items() if place == file}
        if found.keys() != expected:
            differing = sorted(found.keys() ^ expected)
            raise InputError(f"{path} and {file} do not belong together: they differ in {', '.join(differing[:5])}")
        tensors |= found
    return tensors


def _read_pickled(path: Path) -> Tensors:
    try:
        import torch
    except ImportError:
        raise InputError(f"reading {path} needs torch: pip install torch") from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler meets
        raise InputError(f"{path} cannot be read as weights only: {str(error).splitlines()[0]}") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path} must hold a table of tensors")
    # numpy lacks bfloat16; float32 holds each of its values.
    half = {name for name, value in state.items() if value.dtype == torch.bfloat16}
    arrays = {name: (value.float() if name in half else value).numpy() for name, value in state.items()}
    return {name: array.astype(ml_dtypes.bfloat16) if name in half else array for name, array in arrays.items()}


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        InputError: no such file, or no JSON object in it.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: a checkpoint's folder has it") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a JSON object, got {type(values).__name__}")
    return values
