"""A function run by PyTorch and cut at its named values: the counterpart of `parity.graph.jax_graph`, without a graph.

The function's own code runs. A first run notes which call of torch made which named value; in later runs each of these
calls hands on what it is given instead of what it computed, which is kept.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from parity.judge.sites import leaves, paths

Values = dict[str, Tensor]
Function = Callable[[], Any]  # () -> a tree of named tensors, as `parity.judge.sites.flatten` takes it


@dataclasses.dataclass(frozen=True)
class Graph:
    """A function without arguments, and the calls of torch that make its values.

    Attributes:
        names: of its values, in the order they are computed.
        calls: number of a call -> (which of its results, the value's name), for every value that a call makes.
    """

    function: Function
    names: tuple[str, ...]
    calls: Mapping[int, Sequence[tuple[int, str]]]

    def replay(self, given: Mapping[str, Tensor]) -> Values:
        """Computes every value from what is given for those before it, or from its own where nothing is.

        What is given in another shape, as a program with a mistake may have it, is nothing that this one could use.
        """
        with _Force(self.calls, given) as run:
            values = self.function()
        named = dict(zip(self.names, leaves(values), strict=True))
        return named | run.computed


def trace(function: Function) -> Graph:
    """Runs a function once to find out which call makes which value."""
    with _Record() as run:
        values = function()
    places = {id(tensor): (call, index) for call, made in reversed(run.calls) for index, tensor in made}
    calls: dict[int, list[tuple[int, str]]] = {}
    names, taken = paths(values), set()
    for name, tensor in zip(names, leaves(values), strict=True):
        if id(tensor) in places and id(tensor) not in taken:
            taken.add(id(tensor))
            call, index = places[id(tensor)]
            calls.setdefault(call, []).append((index, name))
    return Graph(function, names, calls)


def backward(
    values: Mapping[str, Tensor], losses: Sequence[str], params: Mapping[str, Tensor]
) -> list[tuple[Values, Values]]:
    """Cotangents of all values, and gradients of the parameters, for each of the values `losses`, all scalars."""
    tensors = {**values, **params}
    differentiable = [name for name, tensor in tensors.items() if tensor.requires_grad]
    found = []
    for loss in losses:
        grads = torch.autograd.grad(
            values[loss],
            [tensors[name] for name in differentiable],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        # What torch takes for a constant passes nothing on.
        one = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
        one |= dict(zip(differentiable, grads, strict=True))
        found.append(({name: one[name] for name in values}, {name: one[name] for name in params}))
    return found


def _tensors(result: Any) -> list[tuple[int, Tensor]]:
    results = result if isinstance(result, tuple | list) else [result]
    return [(index, one) for index, one in enumerate(results) if isinstance(one, Tensor)]


class _Record(TorchFunctionMode):
    """Keeps every result of every call, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, list[tuple[int, Tensor]]]] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        self.calls.append((len(self.calls), _tensors(result)))
        return result


class _Force(TorchFunctionMode):
    """Lets chosen calls hand on what is given."""

    def __init__(self, calls: Mapping[int, Sequence[tuple[int, str]]], given: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.calls, self.given = calls, given
        self.computed: Values = {}
        self.count = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        made = self.calls.get(self.count, ())
        self.count += 1
        for index, name in made:
            several = isinstance(result, tuple | list)
            computed = result[index] if several else result
            self.computed[name] = computed
            given = self.given.get(name, computed)
            handed_on = given if given.shape == computed.shape else computed
            result = type(result)([*result[:index], handed_on, *result[index + 1 :]]) if several else handed_on
        return result
