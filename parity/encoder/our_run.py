"""Our side on one case: what stays the same whatever the reference makes of it."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import jax
import torch

from parity.encoder.inputs import Inputs
from parity.encoder.program import JaxProgram
from parity.encoder.sides import JaxInputs
from parity.graph import jax_graph
from parity.judge.crash import running
from parity.judge.sites import Site


@dataclasses.dataclass(frozen=True, eq=False)
class OurRun:
    """Our program on one case, each part computed when it is first asked for.

    Attributes:
        program: ours.
        inputs: the case.
        params: ours, as this case needs them.
        overrides: the reference's that this case needs others of.
        inadequate: why the case exposes less than it should.
        kept: whether gradients are kept, for mistakes that are made in the reference one after the other; those of a
            large encoder would not fit into memory together.
    """

    program: JaxProgram
    inputs: Inputs
    params: jax_graph.Params
    overrides: dict[str, torch.Tensor]
    inadequate: tuple[str, ...]
    kept: bool
    _gradients: dict[tuple[str, ...], list[tuple[jax_graph.Values, jax_graph.Params]]] = dataclasses.field(
        default_factory=dict, init=False
    )

    @functools.cached_property
    def jax_inputs(self) -> JaxInputs:
        """What the program takes."""
        with running("JAX"), self.program.patch.active():
            return JaxInputs.of(self.inputs)

    @functools.cached_property
    def values(self) -> tuple[Site, ...]:
        """Its values, as the program that is deployed computes them."""
        return self.program.values(self.params, self.jax_inputs)

    def backward(self, losses: Sequence[str]) -> Iterator[tuple[jax_graph.Values, jax_graph.Params]]:
        """Cotangents of all values, and gradients of the parameters, for one loss after the other."""
        if not self.kept:
            return self._pulled_back(losses)
        key = tuple(losses)
        if key not in self._gradients:
            with running("JAX"):
                self._gradients[key] = list(self._pulled_back(losses))
        return iter(self._gradients[key])

    @functools.cached_property
    def as_trained(self) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Loss and gradients of the program that training runs."""
        return self.program.as_trained(self.params, self.inputs)

    def _pulled_back(self, losses: Sequence[str]) -> Iterator[tuple[jax_graph.Values, jax_graph.Params]]:
        return self.program.graph(self.params, self.jax_inputs).backward(self.params, self.jax_inputs, losses)
