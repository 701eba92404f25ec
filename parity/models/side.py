"""What a comparison asks of either side, whatever it is written in."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from parity.errors import UsageError
from parity.models.program import Cotangents, Program

Arrays = dict[str, np.ndarray]
# How inputs are handed over: names in the order of positional arguments, or an input's name -> the argument's.
Names = Sequence[str] | Mapping[str, str] | None


@runtime_checkable
class Side(Protocol):
    """One of the two.

    Attributes:
        framework: "JAX", "torch" or "ONNX".
        params: every parameter and buffer of floats, in float64.
        buffers: the names of those that are no parameters.
    """

    framework: str
    params: Arrays
    buffers: frozenset[str]

    def run(
        self,
        inputs: Arrays,
        params: Arrays,
        cotangents: Cotangents | None = None,
        given: Mapping[int, np.ndarray] | None = None,
    ) -> Program:
        """Runs once, in float64; backward too if there are cotangents, with given values in the place of some."""


def bind(
    function: Callable[..., Any], inputs: Iterable[str], names: Names, skip: int = 0
) -> tuple[list[str], dict[str, str]]:
    """Which inputs go by position, and under which name the others go.

    Args:
        function: what they are for.
        inputs: their names.
        names: how to hand them over; None: each under its own name.
        skip: positional arguments that are no inputs.

    Raises:
        UsageError: the function takes no argument of that name, or misses one.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())[skip:]
    except (TypeError, ValueError):
        parameters = [inspect.Parameter("anything", inspect.Parameter.VAR_KEYWORD)]
    anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    taken = [one.name for one in parameters if one.kind is not inspect.Parameter.VAR_POSITIONAL]
    needed = {one.name for one in parameters if one.default is inspect.Parameter.empty and one.name in taken}
    return bind_names(inputs, names, None if anything else taken, needed)


def bind_names(
    inputs: Iterable[str], names: Names, taken: Sequence[str] | None, needed: Iterable[str]
) -> tuple[list[str], dict[str, str]]:
    """The same for what takes inputs of these names; None takes any.

    Raises:
        UsageError: an input is not taken, or one is missing.
    """
    inputs = list(inputs)
    if names is not None and not isinstance(names, Mapping):
        _refuse_others(
            set(inputs) ^ set(names), f"inputs by position must be all of {sorted(inputs)}, got {list(names)}"
        )
        return list(names), {}
    renamed = {name: (names or {}).get(name, name) for name in inputs}
    if taken is None:
        return [], renamed
    unknown, missing = set(renamed.values()) - set(taken), set(needed) - set(renamed.values())
    how = "say inputs={'a name here': 'its name there'} or inputs=[names in order]"
    what = f"it takes {', '.join(taken) or 'nothing'}; {how}"
    _refuse_others(unknown, f"it takes no {', '.join(sorted(unknown))}: {what}")
    _refuse_others(missing, f"nothing is given for {', '.join(sorted(missing))}: {what}")
    return [], renamed


def _refuse_others(others: Iterable[str], message: str) -> None:
    if set(others):
        raise UsageError(message)


def in_float64(value: Any) -> np.ndarray:
    """Floats in float64, whole numbers in int64, the rest as it is."""
    array = np.asarray(value)
    if array.dtype.kind in "fV" or array.dtype.name == "bfloat16":
        return array.astype(np.float64)
    return array.astype(np.int64) if array.dtype.kind in "iu" else array
