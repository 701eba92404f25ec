"""Tensors of a published checkpoint to our parameters and back: every one exactly once, or none at all."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.huggingface.family import Family, Head
from jax_encoder.huggingface.rows import Row
from jax_encoder.huggingface.tensors import Tensors
from jax_encoder.model import Parts, shapes_of
from jax_encoder.params import Named, Shapes, differing

# TensorFlow's names, in files as old as BERT's own.
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_FLOATS = (np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
_LISTED = 8
# Tracing a model takes far longer than reading a small one's file.
_shapes = functools.lru_cache(maxsize=256)(shapes_of)


@dataclasses.dataclass(frozen=True)
class Form:
    """How a file differs from the names of its family, so that it can be written as it was.

    Attributes:
        names: a tensor's name in the family -> its name in the file, where they differ.
        repeated: tensors that the file has although another holds the same.
        kept: tensors that are no parameters here: positions, and what the class computes nothing with.
    """

    names: Mapping[str, str]
    repeated: tuple[str, ...]
    kept: Mapping[str, np.ndarray]


NEW = Form({}, (), {})


class Carried(NamedTuple):
    """What a file holds, as ours."""

    parts: Parts
    params: dict[str, np.ndarray]
    form: Form


def carry_in(tensors: Tensors, family: Family, config: EncoderConfig, head: Head, parts: Parts, source: str) -> Carried:
    """Turns a file's tensors into our parameters, in their own dtype; layers of unlike dtypes get one that holds all.

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
    found, form = _known_names(tensors, family, config, head, problems)
    parts = _with_optional(parts, head, found)
    shapes = _single_shapes(_shapes(config, parts), config)
    rows = [row for row in family.rows(config, head) if any(name in shapes for name in row.ours)]
    problems += _listed(f"{row.theirs} is missing" for row in rows if row.theirs not in found)
    unknown = found.keys() - {row.theirs for row in rows}
    # Of a part that the class has under other configs.
    left_out = unknown & set(head.unused)
    kept = {form.names.get(name, name): found[name] for name in sorted(left_out)}
    form, unknown = dataclasses.replace(form, kept={**form.kept, **kept}), unknown - left_out
    problems += _listed(f"{name} is not known here" for name in sorted(form.names.get(name, name) for name in unknown))
    params: dict[str, np.ndarray] = {}
    unfit: list[str] = []
    for row in rows:
        if row.theirs in found:
            name = form.names.get(row.theirs, row.theirs)
            params |= _laid_out(row, name, found[row.theirs], shapes, unfit)
    problems += _listed(unfit)
    if problems:
        raise InputError("\n  ".join([f"{source} does not hold what its config says:", *problems]))
    return Carried(parts, _stacked(params, _shapes(config, parts), config), form)


def carry_out(params: Named, family: Family, config: EncoderConfig, head: Head, parts: Parts, form: Form) -> Tensors:
    """Turns our parameters into a file's tensors; the inverse of `carry_in`.

    Raises:
        InputError: these are not the parameters of such a model, or the class has no tensors for some; all are named.
    """
    if names := differing(params, _shapes(config, parts)):
        raise InputError("\n  ".join(["these are not the parameters of such a model; they differ in:", *names]))
    single = unstacked(params, config)
    rows = [row for row in family.rows(config, head) if all(name in single for name in row.ours)]
    if left := single.keys() - {name for row in rows for name in row.ours}:
        raise InputError("\n  ".join([f"this class of {family.name} has no tensors for:", *sorted(left)]))
    tensors = {row.theirs: row.join(single) for row in rows}
    # transformers repeats biases by itself only where it ties the decoder, too.
    for name in (*form.repeated, *(() if config.mlm_tied else family.duplicates)):
        if _original(name, family) in tensors:
            tensors.setdefault(name, tensors[_original(name, family)])
    kept = family.constants(config) if form is NEW else form.kept
    return {form.names.get(name, name): array for name, array in tensors.items()} | dict(kept)


def _known_names(
    tensors: Tensors, family: Family, config: EncoderConfig, head: Head, problems: list[str]
) -> tuple[Tensors, Form]:
    """The tensors by the family's names, without those that repeat another or are no parameters."""
    prefixed = any(name.startswith(family.prefix) for name in tensors)
    known_rows = {row.theirs for row in family.rows(config, head)}
    found: Tensors = {}
    names: dict[str, str] = {}
    kept: Tensors = {}
    for name, array in tensors.items():
        if name.rsplit(".", 1)[-1] in family.buffers:
            kept[name] = array
            problems += _buffer_problems(name, array)
            continue
        if name in head.unused and name not in known_rows:
            kept[name] = array
            problems += _value_problems(name, array)
            continue
        known = name if prefixed else family.prefix + name
        for old, new in _OLD_NAMES.items():
            known = known.removesuffix(old) + new if known.endswith(old) else known
        if known in found:
            problems.append(f"{name} and {names.get(known, known)} are two names of one tensor")
        found[known] = array
        if known != name:
            names[known] = name
    repeated = _drop_repeated(found, names, kept, family, config, problems)
    return found, Form(names, repeated, kept)


def _drop_repeated(
    found: Tensors,
    names: dict[str, str],
    kept: Tensors,
    family: Family,
    config: EncoderConfig,
    problems: list[str],
) -> tuple[str, ...]:
    """Takes out what another tensor holds as well, and says what that was."""
    repeated = []
    ties = {family.tied: _original(family.tied, family)} if config.mlm_tied else {}
    for name, original in (family.duplicates | ties).items():
        if name not in found:
            continue
        array = found.pop(name)
        if original in found and _same(array, found[original]):
            repeated.append(name)
        elif original in found and config.mlm_tied:
            hint = ": is tie_word_embeddings false?" if name in ties else ""
            problems.append(f"{names.get(name, name)} should repeat {original}, but differs{hint}")
        else:
            # transformers computes with a decoder's own bias; the one beside it, if any, is of no use there.
            if original in found:
                kept[names.pop(original, original)] = found[original]
            found[original] = array
            names[original] = names.get(name, name)
    return tuple(repeated)


def _original(name: str, family: Family) -> str:
    """Which tensor another one repeats."""
    if name in family.duplicates:
        return family.duplicates[name]
    return family.prefix + next(row.theirs for row in family.embedding if row.ours == ("embedding.word",))


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def _buffer_problems(name: str, array: np.ndarray) -> list[str]:
    """Positions count from 0 and token types are 0, or the model would compute something else."""
    expected, said = (np.arange(array.size), "number the positions") if name.endswith("position_ids") else (0, "be 0")
    if name.endswith("inv_freq"):  # the family has looked at them
        return []
    fits = array.dtype.kind == "i" and bool((array.reshape(-1) == expected).all())
    return [] if fits else [f"{name} must {said}"]


def _value_problems(name: str, array: np.ndarray) -> list[str]:
    """Weights are finite numbers of the usual dtypes."""
    if array.dtype not in _FLOATS:
        return [f"{name} is {array.dtype}; weights are float64, float32, float16 or bfloat16, and not quantised"]
    if not np.isfinite(array.astype(np.float32) if array.dtype.kind == "V" else array).all():
        return [f"{name} holds NaN or infinity: the checkpoint is damaged"]
    return []


def _with_optional(parts: Parts, head: Head, found: Tensors) -> Parts:
    """Adds the optional parts of which the file has any tensor."""
    for group in head.optional:
        if any(row.theirs in found for row in group):
            added: Any = {group[0].ours[0].split(".")[0]: True}
            parts = parts._replace(**added)
    return parts


def _laid_out(row: Row, name: str, tensor: np.ndarray, shapes: Shapes, problems: list[str]) -> dict[str, np.ndarray]:
    """Our parameters from one tensor, whose name in the file is `name`; none if it does not fit."""
    problems += _value_problems(name, tensor)
    try:
        params = row.split(tensor)
        fits = all(params[one].shape == shapes.get(one) for one in row.ours)
        # A layout may not mind axes of length 1, or split ones: the way back shows them.
        fits = fits and row.join(params).shape == tensor.shape
    except (ValueError, IndexError, TypeError):  # what numpy says to too few axes, or sizes that do not divide
        fits = False
    if fits:
        return params
    problems.append(f"{name} has shape {list(tensor.shape)}, which does not fit the config's sizes")
    return {}


def _listed(problems: Iterable[str]) -> list[str]:
    """Problems of one kind, the rest counted where they are many."""
    every = list(problems)
    return every[:_LISTED] + ([f"and {len(every) - _LISTED} more like this"] if len(every) > _LISTED else [])


def _single_shapes(shapes: Shapes, config: EncoderConfig) -> Shapes:
    """Shapes with layers counted one by one."""
    single: Shapes = {}
    for name, shape in shapes.items():
        single |= {one: shape if place is None else shape[1:] for one, place in _singles(name, config)}
    return single


def unstacked(params: Named, config: EncoderConfig) -> dict[str, np.ndarray]:
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


def _stacked(params: Named, shapes: Shapes, config: EncoderConfig) -> dict[str, np.ndarray]:
    """The inverse of `unstacked`; layers of unlike dtypes get one that holds all of their values."""
    stacked = {}
    for name in shapes:
        singles = _singles(name, config)
        arrays = [params[one] for one, _ in singles]
        if len({array.dtype for array in arrays}) > 1:
            wide = np.float64 if any(array.dtype == np.float64 for array in arrays) else np.float32
            arrays = [array.astype(wide) for array in arrays]
        stacked[name] = arrays[0] if singles[0][1] is None else np.stack(arrays)
    return stacked
