"""Cotangents of every value and gradients of every parameter, on both sides, under the same names.

`d(mlm)/d(layers.0.attention.key)` is what one unit of change at every entry of that value does to the loss `mlm`;
`d(mlm)/d(encoder.layers.0.attention.key.bias)` the same of a parameter, under torch's name and in torch's layout.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
import torch

from parity.encoder.inputs import array
from parity.encoder.sides import LOSSES
from parity.encoder.table import Table
from parity.graph import jax_graph, torch_graph
from parity.judge.crash import running
from parity.judge.locate import feedable
from parity.judge.sites import Site

Arrays = Mapping[str, np.ndarray]

# A derivative so much smaller than what flows into it is what cancellation left of it, with as many digits fewer.
_CANCELLED = 1e-4


def name_of(loss: str, value: str) -> str:
    """What the derivative is called."""
    return f"d({loss})/d({value})"


def of_torch(
    values: Mapping[str, torch.Tensor], loss: str, params: Mapping[str, torch.Tensor]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The reference's cotangents and gradients of one loss."""
    with running("torch"):
        ((on_values, on_params),) = torch_graph.backward(values, [loss], params)
    return _arrays(on_values), _arrays(on_params)


def _arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: array(one) for name, one in tensors.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class Backward:
    """One loss, backward.

    Attributes:
        loss: its name.
        graph: of our side.
        table: how parameters are called.
    """

    loss: str
    graph: jax_graph.Graph
    table: Table

    @property
    def values(self) -> list[str]:
        """The values that the loss depends on, in the order computed backward."""
        kept = _reached(self.graph, self.loss) - self.graph.constants - {*LOSSES}
        return [name for name in reversed(self.graph.names) if name in kept]

    def ours(self, on_values: jax_graph.Values, on_params: jax_graph.Params) -> tuple[Site, ...]:
        """Our cotangents and gradients, named and laid out as the reference's."""
        named = [Site(name_of(self.loss, name), np.array(on_values[name])) for name in self.values]
        grads = self.table.to_torch({name: np.asarray(grad) for name, grad in on_params.items()})
        return (*named, *self._gradients(grads))

    def theirs(self, on_values: Arrays, on_params: Arrays) -> tuple[Site, ...]:
        """The reference's; what ours knows nothing of is left out only if it is zero."""
        known = [name for name in self.values if name in on_values]
        left_out = {*known, *LOSSES, *self.graph.constants}
        others = [name for name in on_values if name not in left_out and on_values[name].any()]
        named = [Site(name_of(self.loss, name), on_values[name]) for name in (*known, *others)]
        return (*named, *self._gradients(on_params))

    def replay(self, pull_back: Callable[[], jax_graph.PullBack], theirs: Arrays, own: Arrays) -> tuple[Site, ...]:
        """Our cotangents and gradients, each from the reference's values and from its cotangents of what comes after.

        Args:
            pull_back: makes what takes cotangents back, on the reference's values as far as they can stand for ours.
            theirs: the reference's cotangents.
            own: our values, for the shape of what has no such cotangent.
        """
        # All at once: array by array takes longer than the program does for a small encoder.
        cotangents = jax.device_put(
            {
                name: theirs[name] if name in theirs and feedable(value, theirs[name]) else np.zeros_like(value)
                for name, value in own.items()
            }
        )
        with running("JAX"):
            on_values, on_params = jax.block_until_ready(pull_back()(cotangents))
        rest = {name: np.zeros_like(value) for name, value in own.items() if name not in on_values}
        return self.ours(on_values | rest, on_params)

    def scales(self, theirs: Arrays) -> dict[str, float]:
        """How large what flows into each derivative is: one that is truly zero has no scale of its own.

        Such are the gradient of a key's bias, and the cotangent of the only channel that a norm after a ReLU reads.
        What is computed from the little that cancellation left, as from a saturated softmax, inherits its scale.
        """
        readers = _readers(self.graph)
        found = {name: [one for one in readers[name] if one in theirs] for name in self.values}
        for ours, names in self.table.torch_names.items():
            for name in names:
                found[name] = [one for one in self.graph.readers[ours] if one in theirs and _same_layer(name, one)]
        scales: dict[str, float] = {}
        for name, flowing in found.items():
            into = [one for one in flowing if one not in LOSSES]
            cancelled = [one for one in into if _largest(theirs[one]) < _CANCELLED * scales.get(one, 0.0)]
            scales[name] = max(
                (*(_largest(theirs[one]) for one in into), *(scales[one] for one in cancelled)), default=0.0
            )
        return {name_of(self.loss, name): scale for name, scale in scales.items()}

    def _gradients(self, grads: Arrays) -> list[Site]:
        reached = _reached(self.graph, self.loss)
        ours = self.table.torch_names
        used = {
            name
            for param, names in ours.items()
            if any(one in reached for one in self.graph.readers[param])
            for name in names
        }
        known = [name for names in ours.values() for name in names]
        kept = [name for name in known if name in grads and name in used]
        others = [name for name in grads if name not in kept and grads[name].any()]
        return [Site(name_of(self.loss, name), grads[name]) for name in (*reversed(kept), *others)]


def scales_among(gradients: Arrays) -> dict[str, float]:
    """The same without cotangents: the largest gradient of all parameters of a layer, or of all outside of layers."""
    layers: dict[str, list[str]] = {}
    for name in gradients:
        layer = re.search(r"layers\.\d+\.", name)
        layers.setdefault(layer[0] if layer else "", []).append(name)
    return {
        name: max(_largest(gradients[one]) for one in together) for together in layers.values() for name in together
    }


def reads(graph: jax_graph.Graph, table: Table, losses: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What each derivative is computed from: the derivatives by the values that read the value or parameter."""
    readers = _readers(graph)
    readers |= {name: [root, *readers[root]] for name, root in graph.aliases.items()}
    for ours, names in table.torch_names.items():
        for name in names:
            readers[name] = [one for one in graph.readers[ours] if _same_layer(name, one)]
    return {
        name_of(loss, name): tuple(name_of(loss, one) for one in found)
        for loss in losses
        for name, found in readers.items()
    }


def _readers(graph: jax_graph.Graph) -> dict[str, list[str]]:
    """Who reads each value."""
    readers: dict[str, list[str]] = {name: [] for name in graph.names}
    for reader, sources in graph.reads.items():
        for source in sources:
            readers[source].append(reader)
    return readers


def _reached(graph: jax_graph.Graph, loss: str) -> frozenset[str]:
    """All values that a loss is computed from."""
    found, left = set[str](), [loss]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += graph.reads[name]
    return frozenset(found | {name for name, root in graph.aliases.items() if root in found})


def _same_layer(param: str, value: str) -> bool:
    """Whether a value may be computed from a layer's parameter; parameters outside of layers may enter anywhere."""
    layer = re.search(r"layers\.\d+\.", param)
    return layer is None or value.startswith(layer[0])


def _largest(values: np.ndarray) -> float:
    """0 where it cannot be told: what is not finite fails without a scale."""
    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    return largest if np.isfinite(largest) else 0.0
