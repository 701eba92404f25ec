"""Carries parameters between two naming schemes and layouts by a table, both ways, and proves that nothing is lost.

A table is data: one row per kind of parameter. Which kinds there are, the binding says.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parity.errors import MismatchError

Arrays = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]


def same(array: np.ndarray) -> np.ndarray:
    """The layout is the same on both sides."""
    return array


class Row(NamedTuple):
    r"""One kind of parameter.

    Attributes:
        jax_name: a regular expression, matched whole.
        torch_name: its name there; \1 stands for a group of `jax_name`, {layer} for the layer's index.
        to_torch: lays out one JAX array as torch does; of stacked parameters, one layer's.
        to_jax: the inverse.
        layers: None, or the torch indices of the layers that JAX stacks along a leading axis.
        optional: whether the row may match nothing.
    """

    jax_name: str
    torch_name: str
    to_torch: Callable[[np.ndarray], np.ndarray] = same
    to_jax: Callable[[np.ndarray], np.ndarray] = same
    layers: range | None = None
    optional: bool = False

    def torch_names(self, jax_name: str) -> tuple[str, ...]:
        """What `jax_name`, which the row matches, is called in torch: one name, or one per layer."""
        found = re.fullmatch(self.jax_name, jax_name)
        assert found, f"{jax_name} is not of the kind {self.jax_name}"
        name = found.expand(self.torch_name)
        return (name,) if self.layers is None else tuple(name.replace("{layer}", str(layer)) for layer in self.layers)


@dataclasses.dataclass(frozen=True)
class Table:
    """A one-to-one correspondence between the parameters of two programs; made by `match`.

    Attributes:
        rows: JAX's name -> the row that it matches.
        jax_shapes, torch_shapes: every parameter's shape.
    """

    rows: Mapping[str, Row]
    jax_shapes: Shapes
    torch_shapes: Shapes

    @functools.cached_property
    def torch_names(self) -> dict[str, tuple[str, ...]]:
        """What each of JAX's parameters is called in torch: one name, or one per layer."""
        return {name: row.torch_names(name) for name, row in self.rows.items()}

    def to_torch(self, jax_params: Arrays) -> dict[str, np.ndarray]:
        """Renames and lays out every parameter; values and dtypes stay.

        Raises:
            MismatchError: names or shapes, on either side, are not those that were matched (all are named), or a row's
                function refuses an array or changes its dtype.
        """
        _require("JAX", _shapes(jax_params), self.jax_shapes)
        torch_params = {}
        for name, row in self.rows.items():
            layers = jax_params[name][None] if row.layers is None else jax_params[name]
            for torch_name, layer in zip(self.torch_names[name], layers, strict=True):
                torch_params[torch_name] = _lay_out(row.to_torch, layer, f"JAX's {name}")
        _require("torch", _shapes(torch_params), self.torch_shapes)
        return torch_params

    def to_jax(self, torch_params: Arrays) -> dict[str, np.ndarray]:
        """The inverse of `to_torch`.

        Raises:
            MismatchError: as `to_torch`; or the dtypes of layers that JAX stacks differ.
        """
        _require("torch", _shapes(torch_params), self.torch_shapes)
        jax_params = {}
        for name, row in self.rows.items():
            layers = [_lay_out(row.to_jax, torch_params[one], f"torch's {one}") for one in row.torch_names(name)]
            if len({layer.dtype for layer in layers}) > 1:
                raise MismatchError(f"{name} stacks layers of different dtypes: {[str(one.dtype) for one in layers]}")
            jax_params[name] = layers[0] if row.layers is None else np.stack(layers)
        _require("JAX", _shapes(jax_params), self.jax_shapes)
        return jax_params

    def check_round_trip(self, jax_params: Arrays) -> None:
        """Requires that every parameter comes back from torch byte for byte.

        Raises:
            MismatchError: some do not; all are named.
        """
        back = self.to_jax(self.to_torch(jax_params))
        changed = [
            f"{name} comes back changed from {' and '.join(self.rows[name].torch_names(name))}"
            for name, array in jax_params.items()
            if back[name].dtype != array.dtype or back[name].tobytes() != array.tobytes()
        ]
        _refuse("the weight table loses information; to_jax must undo to_torch", changed)


def match(rows: Sequence[Row], jax_shapes: Shapes, torch_shapes: Shapes) -> Table:
    """Brings the names of both sides together.

    Raises:
        MismatchError: not one to one: a JAX parameter matches no row or several, or has no axis for its layers; two
            JAX parameters become one torch parameter; a torch parameter is made by none, or made but not there; a row
            is not optional and unused. All are named.
    """
    problems = [problem for row in rows for problem in _ill_formed(row)]
    found: dict[str, Row] = {}
    makers: dict[str, list[str]] = {}
    used: set[str] = set()
    for name, shape in jax_shapes.items():
        fitting = [row for row in rows if re.fullmatch(row.jax_name, name)]
        used.update(row.jax_name for row in fitting)
        if len(fitting) != 1:
            patterns = ", ".join(row.jax_name for row in fitting) or "none"
            problems.append(f"JAX's {name} {list(shape)} must match exactly one row, matches {patterns}")
            continue
        row = found[name] = fitting[0]
        if row.layers is not None and not (row.layers and shape[:1] == (len(row.layers),)):
            problems.append(f"JAX's {name} {list(shape)} must stack its layers, {row.layers}, along its first axis")
        for torch_name in row.torch_names(name):
            makers.setdefault(torch_name, []).append(name)
    problems += [f"torch's {name} is made from both {' and '.join(m)}" for name, m in makers.items() if len(m) > 1]
    problems += [
        f"torch has no {name}, made from JAX's {m[0]}" for name, m in makers.items() if name not in torch_shapes
    ]
    problems += [f"nothing makes torch's {name} {list(s)}" for name, s in torch_shapes.items() if name not in makers]
    problems += [f"row {row.jax_name} matches nothing" for row in rows if not (row.optional or row.jax_name in used)]
    _refuse("the parameters of the two sides are not one to one", problems)
    return Table(found, dict(jax_shapes), dict(torch_shapes))


def _ill_formed(row: Row) -> list[str]:
    if (row.layers is not None) != ("{layer}" in row.torch_name):
        return [f"row {row.jax_name}: {{layer}} in {row.torch_name} and layers={row.layers} need each other"]
    return []


def _lay_out(function: Callable[[np.ndarray], np.ndarray], array: np.ndarray, whose: str) -> np.ndarray:
    """A contiguous copy in the other side's layout."""
    try:
        moved = function(array)
    except ValueError as error:
        raise MismatchError(f"{whose} {list(array.shape)} does not fit the layout of its row: {error}") from error
    if moved.dtype != array.dtype:
        raise MismatchError(f"the row of {whose} turns {array.dtype} into {moved.dtype}, must only lay values out")
    return moved.copy()


def _shapes(params: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in params.items()}


def _require(side: str, given: Shapes, expected: Shapes) -> None:
    """Refuses parameters other than those that were matched."""
    problems = [f"{side}'s {name} is unknown" for name in given if name not in expected]
    problems += [f"{side}'s {name} is missing" for name in expected if name not in given]
    problems += [
        f"{side}'s {name} must have shape {list(expected[name])}, has {list(shape)}"
        for name, shape in given.items()
        if name in expected and shape != expected[name]
    ]
    _refuse("the parameters are not those that were matched", problems)


def _refuse(what: str, problems: list[str]) -> None:
    if problems:
        raise MismatchError("\n".join([f"{what}:", *(f"  {problem}" for problem in problems)]))
