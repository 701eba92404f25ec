"""Tensors in safetensors files, one or several with an index: https://huggingface.co/docs/safetensors

Pickled weights are read on request only, by torch, and never by running what is in them.
"""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jax_encoder.errors import InputError
from jax_encoder.huggingface.files import inside, read_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
# What numpy can hold. Which of these may be weights, whoever knows their names says.
_READ = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL", "C64")
# What it cannot hold is read as zeros: it is no weight either, but should be told with all else that is wrong.
_UNREAD = {"F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2}
_CONVERT = (
    "import pathlib, torch; from safetensors.torch import save_file; folder = pathlib.Path({folder!r}); "
    "save_file({{name: tensor.clone().contiguous() for file in folder.glob('pytorch_model*.bin') for name, tensor in "
    "torch.load(file, map_location='cpu', weights_only=True).items()}}, folder / {single!r}, {{'format': 'pt'}})"
)
Tensors = dict[str, np.ndarray]


def read_tensors(folder: Path, *, allow_pickle: bool = False) -> Tensors:
    """Reads every tensor of a checkpoint, under its own name and in its own dtype.

    Args:
        folder: holds model.safetensors, or an index and the files that it names.
        allow_pickle: reads pytorch_model.bin, where there is nothing else, through `torch.load(weights_only=True)`.

    Raises:
        InputError: no weights, only pickled ones, or files that are damaged, incomplete or of dtypes unheard of.
    """
    if (folder / SINGLE).is_file():
        return _read_file(folder / SINGLE)
    if (folder / INDEX).is_file():
        return _read_shards(folder / INDEX, _read_file)
    pickled = [name for name in (PICKLED, PICKLED_INDEX) if (folder / name).is_file()]
    if not pickled:
        raise InputError(
            f"{folder} has no weights: expected {SINGLE}, or {INDEX} and the files that it names (pickled ones of the "
            "hub are fetched with allow_pickle=True only)"
        )
    if not allow_pickle:
        command = shlex.quote(_CONVERT.format(folder=str(folder), single=SINGLE))
        raise InputError(
            f"{folder} has only pickled weights, which can run code as they are read. Convert them where torch and "
            f"safetensors are installed:\n  python -c {command}\nor pass allow_pickle=True (--allow-pickle), which "
            "reads them through torch without running anything"
        )
    if PICKLED in pickled:
        return _read_pickled(folder / PICKLED)
    return _read_shards(folder / PICKLED_INDEX, _read_pickled)


def write_tensors(tensors: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes one safetensors file. Raises OSError."""
    try:
        save_file({name: np.asarray(array, order="C") for name, array in tensors.items()}, path, {"format": "pt"})
    except SafetensorError as error:
        raise OSError(str(error)) from None


def _read_file(path: Path) -> Tensors:
    try:
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.offset_keys()}
            dtypes = {name: one.get_dtype() for name, one in slices.items()}
            strange = [f"{name} {dtype}" for name, dtype in dtypes.items() if dtype not in (*_READ, *_UNREAD)]
            if strange:
                raise InputError(
                    f"{path}: weights must be of dtype {', '.join(_READ[:4])}, got {', '.join(sorted(strange)[:5])}: "
                    "quantised checkpoints are not read; take the unquantised one"
                )
            return {
                name: np.zeros(slices[name].get_shape(), _UNREAD[dtype]) if dtype in _UNREAD else file.get_tensor(name)
                for name, dtype in dtypes.items()
            }
    except InputError:
        raise
    except (SafetensorError, ValueError) as error:  # numpy's, of shapes that no array has
        raise InputError(f"{path} is damaged or no safetensors file ({error}): fetch it again") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_shards(path: Path, read: Callable[[Path], Tensors]) -> Tensors:
    """The files that an index names; each must hold just what the index says."""
    places: Any = read_json(path).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise InputError(f"{path} must have a weight_map from tensors' names to files' names")
    names = sorted(set(places.values()))
    if outside := [name for name in names if Path(name).name != name]:
        raise InputError(f"{path} names {', '.join(outside[:5])}: files of a checkpoint lie beside their index")
    if absent := [name for name in names if not (path.parent / name).is_file()]:
        raise InputError(f"{path} names {', '.join(absent[:5])}, not to be found: fetch all files of the checkpoint")
    tensors: Tensors = {}
    for file in names:
        found = read(inside(path.parent, file, path))
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
        said = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{path} cannot be read as weights only: {said[0]}") from None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise InputError(f"{path} must hold a table of tensors by their names")
    arrays: Tensors = {}
    for name, value in state.items():
        # numpy lacks bfloat16; float32 holds each of its values.
        half = value.dtype == torch.bfloat16
        try:
            array = (value.float() if half else value).detach().numpy()
        except (RuntimeError, TypeError) as error:
            raise InputError(f"{path}: {name} is no array of numbers ({error}): take the unquantised one") from None
        arrays[name] = array.astype(ml_dtypes.bfloat16) if half else array
    return arrays
