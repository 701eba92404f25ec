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
_Calls = Mapping[int, Sequence[tuple[int, str]]]
_SEVERAL = (tuple, list)


@dataclasses.dataclass(frozen=True)
class Graph:
    """A function without arguments, and the calls of torch that make its values.

    Attributes:
        names: of its values, in the order they are computed.
        calls: number of a call -> (which of its results, the value's name), for every value that a call makes.
    """

    function: Function
    names: tuple[str, ...]
    calls: _Calls

    def replay(self, given: Mapping[str, Tensor]) -> Values:
        """Computes every value from what is given for those before it, or from its own where nothing is.

        What is given in another shape, as a program with a mistake may have it, is nothing that this one could use.
        """
        return self._forced(given)[0]

    def like(self, function: Function, given: Mapping[str, Tensor]) -> Values:
        """`trace(function).replay(given)`: in one run if the same calls as here make its values, as they mostly do."""
        try:
            values, names, calls = dataclasses.replace(self, function=function)._forced(given)
        except Exception:
            # Given to another call than the one that makes the value. What the function itself raises, it raises again.
            return trace(function).replay(given)
        same = (names, calls) == (self.names, self.calls)
        return values if same else trace(function).replay(given)

    def _forced(self, given: Mapping[str, Tensor]) -> tuple[Values, tuple[str, ...], _Calls]:
        """The values, their names, and which calls have made them."""
        with _Force(self.calls, given) as run:
            values = self.function()
        names, found = paths(values), leaves(values)
        calls = _makers(names, [run.stands_for.get(id(one), one) for one in found], run.calls)
        return dict(zip(names, found, strict=True)) | run.computed, names, calls


def trace(function: Function) -> Graph:
    """Runs a function once to find out which call makes which value."""
    with _Force({}, {}) as run:
        values = function()
    names = paths(values)
    return Graph(function, names, _makers(names, leaves(values), run.calls))


def _makers(
    names: Sequence[str], tensors: Sequence[Tensor], calls: Sequence[tuple[int, list[tuple[int, Tensor]]]]
) -> _Calls:
    """Which call made each of some tensors first, of all that every call has computed."""
    places = {id(tensor): (call, index) for call, made in reversed(calls) for index, tensor in made}
    found: dict[int, list[tuple[int, str]]] = {}
    taken = set()
    for name, tensor in zip(names, tensors, strict=True):
        if id(tensor) in places and id(tensor) not in taken:
            taken.add(id(tensor))
            call, index = places[id(tensor)]
            found.setdefault(call, []).append((index, name))
    return found


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
    if isinstance(result, Tensor):
        return [(0, result)]
    if not isinstance(result, _SEVERAL):
        return []
    return [(index, one) for index, one in enumerate(result) if isinstance(one, Tensor)]


class _Force(TorchFunctionMode):
    """Lets chosen calls hand on what is given, and keeps every result of every call, in order."""

    def __init__(self, chosen: _Calls, given: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.chosen, self.given = chosen, given
        self.computed: Values = {}
        self.calls: list[tuple[int, list[tuple[int, Tensor]]]] = []
        self.stands_for: dict[int, Tensor] = {}  # id of what was handed on -> what was computed
        self.count = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        call = self.count
        self.count += 1
        if made := _tensors(result):
            self.calls.append((call, made))
        for index, name in self.chosen.get(call, ()):
            several = isinstance(result, _SEVERAL)
            computed = result[index] if several else result
            self.computed[name] = computed
            given = self.given.get(name, computed)
            handed_on = given if given.shape == computed.shape else computed
            if handed_on is not computed:
                self.stands_for[id(handed_on)] = computed
            result = type(result)([*result[:index], handed_on, *result[index + 1 :]]) if several else handed_on
        return result
