"""Tensors of a published checkpoint to our parameters and back: every one exactly once, or none at all."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import ml_dtypes
import numpy as np

from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.huggingface.family import Family, Head
from jax_encoder.huggingface.rows import Row
from jax_encoder.huggingface.tensors import Tensors
from jax_encoder.model import Params, Parts, shapes_of

# TensorFlow's names, in files as old as BERT's own.
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_FLOATS = (np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
_LISTED = 8


@dataclasses.dataclass(frozen=True)
class Form:
    """How a file differs from the names of its family, so that it can be written as it was.

    Attributes:
        names: a tensor's name in the family -> its name in the file, where they differ.
        repeated: tensors that the file has although another holds the same.
        buffers: tensors that are no parameters.
    """

    names: Mapping[str, str]
    repeated: tuple[str, ...]
    buffers: Mapping[str, np.ndarray]


NEW = Form({}, (), {})


class Carried(NamedTuple):
    """What a file holds, as ours."""

    parts: Parts
    params: dict[str, np.ndarray]
    form: Form


def carry_in(tensors: Tensors, family: Family, config: EncoderConfig, head: Head, parts: Parts, source: str) -> Carried:
    """Turns a file's tensors into our parameters, in their own dtype.

    Args:
        tensors: by the file's names.
        family: whose names these are.
        config: of the encoder.
        head: of the class that the file is of.
        parts: of the model; optional ones that the file has are added.
        source: who it is, for messages.

    Raises:
        InputError: a tensor is missing, unknown, doubled but different, misshapen, not of a float dtype or not finite;
            all are named.
    """
    problems: list[str] = []
    found, form = _known_names(tensors, family, config, problems)
    parts = _with_optional(parts, head, found)
    shapes = _single_shapes(shapes_of(config, parts), config)
    rows = [row for row in family.rows(config, head) if any(name in shapes for name in row.ours)]
    problems += _listed("is missing", (row.theirs for row in rows if row.theirs not in found))
    problems += _listed(
        "is not known here", (form.names.get(name, name) for name in found.keys() - {row.theirs for row in rows})
    )
    params: dict[str, np.ndarray] = {}
    for row in rows:
        if row.theirs in found:
            params |= _laid_out(row, found[row.theirs], shapes, problems)
    if problems:
        raise InputError("\n  ".join([f"{source} does not hold what its config says:", *problems]))
    return Carried(parts, _stacked(params, shapes_of(config, parts), config), form)


def carry_out(params: Params, family: Family, config: EncoderConfig, head: Head, parts: Parts, form: Form) -> Tensors:
    """Turns our parameters into a file's tensors; the inverse of `carry_in`."""
    single = unstacked(params, config)
    tensors = {
        row.theirs: row.join(single) for row in family.rows(config, head) if all(name in single for name in row.ours)
    }
    # transformers repeats biases by itself only where it ties the decoder, too.
    for name in (*form.repeated, *(() if config.mlm_tied else family.duplicates)):
        if _original(name, family) in tensors:
            tensors[name] = tensors[_original(name, family)]
    return {form.names.get(name, name): array for name, array in tensors.items()} | dict(form.buffers)


def _known_names(tensors: Tensors, family: Family, config: EncoderConfig, problems: list[str]) -> tuple[Tensors, Form]:
    """The tensors by the family's names, without those that repeat another or are no parameters."""
    prefixed = any(name.startswith(family.prefix) for name in tensors)
    found, names, buffers, repeated = {}, {}, {}, []
    for name, array in tensors.items():
        if name.rsplit(".", 1)[-1] in family.buffers:
            buffers[name] = array
            if not _is_buffer(array):
                problems.append(f"{name} must number the positions, or be 0")
            continue
        known = name if prefixed else family.prefix + name
        for old, new in _OLD_NAMES.items():
            known = known.removesuffix(old) + new if known.endswith(old) else known
        found[known] = array
        if known != name:
            names[known] = name
    ties = {family.tied: _original(family.tied, family)} if config.mlm_tied else {}
    for name, original in (family.duplicates | ties).items():
        if name not in found:
            continue
        array = found.pop(name)
        if original not in found:
            found[original] = array
            names[original] = names.get(name, name)
        elif array.shape == found[original].shape and array.tobytes() == found[original].tobytes():
            repeated.append(name)
        else:
            problems.append(f"{name} should repeat {original}, but differs: is tie_word_embeddings false?")
    return found, Form(names, tuple(repeated), buffers)


def _original(name: str, family: Family) -> str:
    """Which tensor another one repeats."""
    if name in family.duplicates:
        return family.duplicates[name]
    return family.prefix + next(row.theirs for row in family.embedding if row.ours == ("embedding.word",))


def _is_buffer(array: np.ndarray) -> bool:
    flat = array.reshape(-1)
    return array.dtype.kind == "i" and (not flat.any() or bool((flat == np.arange(flat.size)).all()))


def _with_optional(parts: Parts, head: Head, found: Tensors) -> Parts:
    """Adds the optional parts of which the file has any tensor."""
    for group in head.optional:
        if any(row.theirs in found for row in group):
            parts = parts._replace(**{group[0].ours[0].split(".")[0]: True})
    return parts


def _laid_out(
    row: Row, tensor: np.ndarray, shapes: Mapping[str, tuple[int, ...]], problems: list[str]
) -> dict[str, np.ndarray]:
    """Our parameters from one tensor; none if it does not fit."""
    if tensor.dtype not in _FLOATS:
        problems.append(f"{row.theirs} is {tensor.dtype}; weights are float64, float32, float16 or bfloat16")
        return {}
    try:
        params = row.split(tensor)
    except ValueError:
        params = {}
    wrong = [name for name in row.ours if name not in params or params[name].shape != shapes.get(name)]
    if wrong:
        problems.append(f"{row.theirs} has shape {list(tensor.shape)}, which does not fit the config's sizes")
        return {}
    if not np.isfinite(tensor.astype(np.float32) if tensor.dtype.kind == "V" else tensor).all():
        problems.append(f"{row.theirs} holds NaN or infinity: the checkpoint is damaged")
    return params


def _listed(what: str, names: Iterable[str]) -> list[str]:
    every = sorted(names)
    more = [f"and {len(every) - _LISTED} more {what}"] if len(every) > _LISTED else []
    return [f"{name} {what}" for name in every[:_LISTED]] + more


def _single_shapes(shapes: Mapping[str, tuple[int, ...]], config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Shapes with layers counted one by one."""
    single: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        single |= {one: shape if place is None else shape[1:] for one, place in _singles(name, config)}
    return single


def unstacked(params: Params, config: EncoderConfig) -> dict[str, np.ndarray]:
    """Parameters with layers counted one by one."""
    single: dict[str, np.ndarray] = {}
    for name, array in params.items():
        single |= {one: array if place is None else array[place] for one, place in _singles(name, config)}
    return single


def _singles(name: str, config: EncoderConfig) -> list[tuple[str, int | None]]:
    """A parameter's names with layers counted one by one, and their places along its leading axis."""
    if name.startswith("encoder.first."):
        return [(name.replace("encoder.first.", "encoder.layers.0."), None)]
    if not name.startswith("encoder.layers."):
        return [(name, None)]
    rest, peeled = name.removeprefix("encoder.layers."), 0 if config.first_attention_norm else 1
    count = len(set(config.layer_groups)) - peeled
    return [(f"encoder.layers.{place + peeled}.{rest}", place) for place in range(count)]


def _stacked(params: Params, shapes: Mapping[str, tuple[int, ...]], config: EncoderConfig) -> dict[str, np.ndarray]:
    """The inverse of `unstacked`; layers of one kind have one dtype, the widest."""
    stacked = {}
    for name in shapes:
        singles = _singles(name, config)
        arrays = [params[one] for one, _ in singles]
        stacked[name] = arrays[0] if singles[0][1] is None else np.stack(arrays)
    return stacked
