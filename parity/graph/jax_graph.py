"""A function traced by JAX and cut at its named values, so that every stretch between them can be run alone.

The function's own program is run, equation by equation; nothing is written down a second time. A loop (`lax.scan`) is
one equation and cannot be cut inside: trace a form that spells it out.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal
from jaxtyping import PyTree

from parity.graph.programs import quickly
from parity.judge.sites import paths

Params = dict[str, jax.Array]
Values = dict[str, jax.Array]
Visit = Callable[[str, jax.Array], jax.Array]
PullBack = Callable[[Mapping[str, jax.Array]], tuple[Values, Params]]


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A traced function of parameters and inputs, of the shapes that it was traced with.

    Attributes:
        names: of its values, in the order they are computed.
        reads: value -> the values that it is computed from without another in between.
        readers: parameter -> the values that it enters first.
        whole: whether every run is one compiled program; else it goes equation by equation, of which many are compiled
            already.
    """

    jaxpr: ClosedJaxpr
    names: tuple[str, ...]
    reads: Mapping[str, tuple[str, ...]]
    readers: Mapping[str, tuple[str, ...]]
    places: Mapping[Any, tuple[str, tuple[int, ...]]]  # variable -> the value it holds, and how that is laid out
    aliases: Mapping[str, str]  # a value that is an earlier one -> the earlier
    whole: bool = False

    def compiled(self) -> "Graph":
        """The same, each way to run it compiled as one program: slow the first time, and fast from then on."""
        return self if self.whole else dataclasses.replace(self, whole=True)

    def replay(self, params: Params, inputs: Any, given: Mapping[str, jax.Array]) -> Values:
        """Computes every value from what is given for the values before it, or from its own where nothing is."""
        found = self._replay(params, inputs, dict(given))
        return {name: found[name] for name in self.names}

    def replay_backward(self, params: Params, inputs: Any, given: Mapping[str, jax.Array]) -> PullBack:
        """Pulls cotangents of all values back through the stretches between them, each on what is given.

        Args:
            params: the parameters.
            inputs: the inputs.
            given: every value's, where there is one to give.

        Returns:
            For every loss alike: takes a cotangent for every value, of the shape of what this side computes, to the
            cotangents that the values and the parameters get from the stretches that read them.
        """
        # Equation by equation, going forward is most of it, and is done once.
        local = None if self.whole else self._stretches(params, inputs, dict(given))

        def pull_back(cotangents: Mapping[str, jax.Array]) -> tuple[Values, Params]:
            cut = {name: cotangents[name] for name in self._cuts}
            found = self._replay_backward(params, inputs, dict(given), cut) if local is None else local(cut)
            on_params, on_values = found
            return self._with_aliases(on_values), on_params

        return pull_back

    def backward(self, params: Params, inputs: Any, losses: Sequence[str]) -> Iterator[tuple[Values, Params]]:
        """Cotangents of all values, and gradients of the parameters, for each of the values `losses`, all scalars.

        One after the other, so that a large encoder's need not fit into memory together.
        """
        names = tuple(losses)
        pull_back = None if self.whole else self._pull_back(params, inputs, names)
        for seed in jnp.eye(len(names)):
            if pull_back is None:
                on_params, on_values = self._backward(params, inputs, names, seed)
            else:
                on_params, on_values = pull_back(list(seed))
            yield self._with_aliases(on_values), on_params
            del on_values, on_params

    def reached(self, params: Params, inputs: Any) -> str:
        """The last value that the program comes to before it raises, run equation by equation; empty if it does not."""
        last = ""

        def visit(name: str, value: jax.Array) -> jax.Array:
            nonlocal last
            last = name
            # Or what is raised while the value is computed would be raised later.
            return jax.block_until_ready(value)

        try:
            self._run(params, inputs, visit)
        except Exception:
            return last
        return ""

    @property
    def constants(self) -> frozenset[str]:
        """The values that no parameter enters, directly or through others."""
        varying = {name for readers in self.readers.values() for name in readers}
        for name in self.names:  # in the order computed, so that one pass is enough
            if varying & {*self.reads[name]}:
                varying.add(name)
        return frozenset(self.names) - varying

    @property
    def _cuts(self) -> list[str]:
        return [name for name in self.names if name not in self.aliases]

    def _with_aliases(self, values: Values) -> Values:
        return values | {name: values[root] for name, root in self.aliases.items() if root in values}

    @functools.cached_property
    def _replay(self) -> Callable[[Params, Any, Values], Values]:
        return self._prepared(self._replayed)

    @functools.cached_property
    def _replay_backward(self) -> Callable[[Params, Any, Values, Values], tuple[Params, Values]]:
        def run(params: Params, inputs: Any, given: Values, cotangents: Values) -> tuple[Params, Values]:
            return self._stretches(params, inputs, given)(cotangents)

        return self._prepared(run)

    def _stretches(self, params: Params, inputs: Any, given: Values) -> Callable[[Values], tuple[Params, Values]]:
        """Runs every stretch forward; what it returns pulls cotangents of what they compute back through each."""

        def stretches(params: Params, given: Values) -> Values:
            found = self._replayed(params, inputs, given)
            return {name: found[name] for name in self._cuts}

        return jax.vjp(stretches, params, {name: given[name] for name in self._cuts if name in given})[1]

    @functools.cached_property
    def _backward(self) -> Callable[[Params, Any, tuple[str, ...], jax.Array], tuple[Params, Values]]:
        def run(params: Params, inputs: Any, losses: tuple[str, ...], seed: jax.Array) -> tuple[Params, Values]:
            return self._pull_back(params, inputs, losses)(list(seed))

        return self._prepared(run, static_argnums=2)

    def _pull_back(
        self, params: Params, inputs: Any, losses: tuple[str, ...]
    ) -> Callable[[list[jax.Array]], tuple[Params, Values]]:
        """Runs forward; what it returns pulls cotangents of the losses back to parameters and values."""

        def perturbed(params: Params, deltas: Values) -> list[jax.Array]:
            found: Values = {}

            def visit(name: str, value: jax.Array) -> jax.Array:
                found[name] = value + deltas[name]
                return found[name]

            self._run(params, inputs, visit)
            return [found[loss] for loss in losses]

        zeros = {
            name: jnp.zeros([one.aval.shape[axis] for axis in layout], one.aval.dtype)
            for one, (name, layout) in self.places.items()
        }
        return jax.vjp(perturbed, params, zeros)[1]

    def _prepared(self, function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        return quickly(function, **options) if self.whole else function

    def _replayed(self, params: Params, inputs: Any, given: Values) -> Values:
        found: Values = {}

        def visit(name: str, value: jax.Array) -> jax.Array:
            found[name] = value
            return given.get(name, value)

        self._run(params, inputs, visit)
        # An alias is computed from the earlier value by doing nothing.
        return found | {name: given.get(root, found[root]) for name, root in self.aliases.items()}

    def _run(self, params: Params, inputs: Any, visit: Visit) -> None:
        """Runs the program; `visit` sees every named value when it is computed and says what to go on with."""
        env: dict[Any, jax.Array] = {}

        def read(atom: Any) -> Any:
            return atom.val if isinstance(atom, Literal) else env[atom]

        def write(variable: Any, value: jax.Array) -> None:
            if variable in self.places:
                name, layout = self.places[variable]
                value = visit(name, value.transpose(layout)).transpose(_inverse(layout))
            env[variable] = value

        jaxpr = self.jaxpr.jaxpr
        env.update(zip(jaxpr.constvars, self.jaxpr.consts, strict=True))
        for variable, value in zip(jaxpr.invars, jax.tree.leaves((params, inputs)), strict=True):
            write(variable, value)
        for equation in jaxpr.eqns:
            options = equation.primitive.get_bind_params(equation.params)
            result = equation.primitive.bind(*map(read, equation.invars), **options)
            results = result if equation.primitive.multiple_results else [result]
            for variable, value in zip(equation.outvars, results, strict=True):
                write(variable, value)


def trace(function: Callable[[Params, Any], PyTree], params: Params, inputs: Any, *, compiled: bool = True) -> Graph:
    """Traces `function(params, inputs)`, whose result is a tree of named values (`parity.judge.sites.flatten`).

    A value that is another one with its axes in another order is cut at that other, which the program goes on with.
    """
    jaxpr, shapes = jax.make_jaxpr(function, return_shape=True)(params, inputs)
    names = paths(shapes)
    made = {variable: equation for equation in jaxpr.jaxpr.eqns for variable in equation.outvars}
    places: dict[Any, tuple[str, tuple[int, ...]]] = {}
    aliases: dict[str, str] = {}
    for name, variable in zip(names, jaxpr.jaxpr.outvars, strict=True):
        root, layout = _root(variable, made)
        if root in places:
            aliases[name] = places[root][0]
        else:
            places[root] = (name, layout)
    reads, readers = _dependencies(jaxpr, places, sorted(params))
    reads |= {name: (root,) for name, root in aliases.items()}
    return Graph(jaxpr, names, reads, readers, places, aliases)


def _root(variable: Any, made: Mapping[Any, Any]) -> tuple[Any, tuple[int, ...]]:
    """The variable that is merely laid out another way, and how it is."""
    layout = tuple(range(len(variable.aval.shape)))
    while variable in made and made[variable].primitive.name in ("transpose", "copy"):
        equation = made[variable]
        if equation.primitive.name == "transpose":
            layout = tuple(equation.params["permutation"][axis] for axis in layout)
        variable = equation.invars[0]
    return variable, layout


def _inverse(layout: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(layout.index(axis) for axis in range(len(layout)))


def _dependencies(
    jaxpr: ClosedJaxpr, places: Mapping[Any, tuple[str, tuple[int, ...]]], params: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Which values each value is computed from, and which each parameter enters."""
    order = {name: index for index, (name, _) in enumerate(places.values())}
    sources: dict[Any, frozenset[str]] = {}
    reads: dict[str, tuple[str, ...]] = {}
    readers: dict[str, list[str]] = {name: [] for name in params}

    def settle(variable: Any, found: frozenset[str]) -> None:
        if variable not in places:
            sources[variable] = found
            return
        name = places[variable][0]
        reads[name] = tuple(sorted((one for one in found if one in order), key=order.__getitem__))
        for one in found - order.keys():
            readers[one.removeprefix("param:")].append(name)
        sources[variable] = frozenset({name})

    for index, variable in enumerate(jaxpr.jaxpr.invars):
        settle(variable, frozenset({f"param:{params[index]}"}) if index < len(params) else frozenset())
    for equation in jaxpr.jaxpr.eqns:
        found = frozenset().union(*(sources.get(one, frozenset()) for one in equation.invars if _is_variable(one)))
        for variable in equation.outvars:
            settle(variable, found)
    return reads, {name: tuple(found) for name, found in readers.items()}


def _is_variable(atom: Any) -> bool:
    return not isinstance(atom, Literal)
