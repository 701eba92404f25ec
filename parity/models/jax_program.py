"""A JAX function traced, and its program run in float64, equation by equation: into every call, rule and loop."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from parity.models import primitives
from parity.models.literals import as_written
from parity.models.program import Cast, Cotangents, Node, Place, Program
from parity.models.trees import flatten, innermost

_SMALLER = ("float32", "float16", "bfloat16")
_TOLD = ("new_dtype", "preferred_element_type", "dtype")  # parameters that may say: compute in fewer digits
_RANDOM = ("random_bits", "threefry2x32", "random_gamma", "rng_bit_generator", "rng_uniform")
_OPAQUE = ("pallas_call", "custom_call", "ffi_call", "pure_callback", "io_callback", "custom_partitioning")
# How a module's path stands among the names that JAX keeps for every operation.
PATH = "@"
_PATHS = re.compile(rf"{PATH}([\w.\[\]'\"-]*)")

Leaves = dict[str, np.ndarray]


class Traced(NamedTuple):
    """A function's program, and what its arguments and results are called."""

    jaxpr: ClosedJaxpr
    leaves: tuple[tuple[str, str], ...]  # kind and name of each argument
    outputs: tuple[str, ...]
    gradients: tuple[str, ...]


def trace(
    function: Callable[[Leaves, Leaves], Any], params: Leaves, inputs: Leaves, cotangents: Cotangents | None = None
) -> tuple[Traced, list[np.ndarray]]:
    """Traces `function(params, inputs)`; backward as well if there are cotangents. Also returns the arguments."""
    names: list[str] = []

    def forward(params: Leaves, inputs: Leaves) -> list[Any]:
        found = flatten(function(params, inputs), lambda leaf: isinstance(leaf, jax.Array | np.ndarray))
        names[:] = list(found)
        return list(found.values())

    leaves = [*(("parameter", name) for name in params), *(("input", name) for name in inputs)]
    values = [*params.values(), *inputs.values()]

    def split(flat: Sequence[Any]) -> tuple[Leaves, Leaves]:
        return dict(zip(params, flat, strict=False)), dict(zip(inputs, flat[len(params) :], strict=True))

    if cotangents is None:
        jaxpr = jax.make_jaxpr(lambda flat: forward(*split(flat)))(values)
        return Traced(jaxpr, tuple(leaves), tuple(names), ()), values
    shapes = jax.eval_shape(lambda flat: forward(*split(flat)), values)
    floats = [place for place, shape in enumerate(shapes) if jax.numpy.issubdtype(shape.dtype, jax.numpy.floating)]
    seeds = [cotangents(names[place], place, shapes[place].shape) for place in floats]
    by = [place for place, value in enumerate(values) if value.dtype.kind == "f"]

    def both(flat: list[Any], seeds: list[Any]) -> tuple[list[Any], list[Any]]:
        def of_floats(chosen: list[Any]) -> tuple[list[Any], list[Any]]:
            every = list(flat)
            for place, value in zip(by, chosen, strict=True):
                every[place] = value
            found = forward(*split(every))
            return [found[place] for place in floats], found

        out, pull_back, found = jax.vjp(of_floats, [flat[place] for place in by], has_aux=True)
        given = [seed.astype(one.dtype) for seed, one in zip(seeds, out, strict=True)]
        return found, pull_back(given)[0]

    jaxpr = jax.make_jaxpr(both)(values, seeds)
    kinds = [*leaves, *(("cotangent", names[place]) for place in floats)]
    gradients = tuple(leaves[place][1] for place in by)
    return Traced(jaxpr, tuple(kinds), tuple(names), gradients), [*values, *seeds]


def run(traced: Traced, values: Sequence[np.ndarray], given: Mapping[int, np.ndarray] | None = None) -> Program:
    """Runs a traced program; with values to go on with in the place of those computed, by their numbers."""
    runner = _Runner(given or {})
    arguments = [runner.leaf(kind, value, name) for (kind, name), value in zip(traced.leaves, values, strict=True)]
    found = runner.run(traced.jaxpr.jaxpr, runner.constants(traced.jaxpr), arguments, Place())
    program = runner.program
    count = len(traced.outputs)
    for named, nodes in ((traced.outputs, found[:count]), (traced.gradients, found[count:])):
        into = program.outputs if named is traced.outputs else program.gradients
        for name, node in zip(named, nodes, strict=True):
            into[name] = node.index
            program.results[node.index] = runner.values[node.index]
    return program


class _Runner:
    """Runs equations and notes what each computes. Values are kept as long as a program may still read them."""

    def __init__(self, given: Mapping[int, np.ndarray]) -> None:
        self.program = Program()
        self.given = given
        self.values: dict[int, np.ndarray] = {}

    def leaf(self, kind: Any, value: Any, name: str = "") -> Node:
        """A value that is given."""
        return self._add(kind, kind, _wide(value), name=name)

    def constants(self, jaxpr: ClosedJaxpr) -> list[Node]:
        return [self.leaf("constant", value) for value in jaxpr.consts]

    def note(self, op: str, value: np.ndarray, reads: Sequence[Node], place: Place, **rest: Any) -> Node:
        """A value that was computed."""
        forced = self.given.get(len(self.program.nodes))
        if forced is not None and forced.shape == value.shape:
            value = forced
        return self._add("operation", op, value, [one.index for one in reads], place=place, **rest)

    def _add(self, kind: Any, op: str, value: np.ndarray, reads: Sequence[int] = (), **rest: Any) -> Node:
        node = self.program.add(kind, op, value, reads, **rest)
        self.values[node.index] = value
        return node

    def run(self, jaxpr: Any, constants: Sequence[Node], arguments: Sequence[Node], outer: Place) -> list[Node]:
        """Runs the equations of one program; `outer` is where it is called."""
        env: dict[Any, Node] = dict(zip(jaxpr.constvars, constants, strict=True))
        env.update(zip(jaxpr.invars, arguments, strict=True))
        literals: dict[int, Node] = {}

        def read(atom: Any) -> Node:
            if not isinstance(atom, Literal):
                return env[atom]
            if id(atom) not in literals:
                literals[id(atom)] = self.leaf("constant", as_written(atom.val))
            return literals[id(atom)]

        for equation in jaxpr.eqns:
            place, backward = _place(equation, outer)
            results = self._equation(equation, [read(atom) for atom in equation.invars], place, backward)
            env.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, reads: list[Node], place: Place, backward: bool) -> list[Node]:
        from parity.models import loops

        name, params = equation.primitive.name, equation.params
        if name in loops.LOOPS:
            return loops.LOOPS[name](self, params, reads, place)
        inner = _inner(equation)
        if inner is not None:
            return self.run(inner.jaxpr, self.constants(inner), reads, place)
        self._remark(name, params, reads, place)
        wide = {key: _widened(key, value) for key, value in params.items()}
        arrays = tuple(self.values[one.index] for one in reads)
        if primitives.known(name, arrays):
            results = [primitives.compute(name, arrays, wide)]
        else:
            options = equation.primitive.get_bind_params(wide)
            found = (
                equation.primitive.bind(*options[0], *arrays, **options[1])
                if isinstance(options, tuple)
                else (equation.primitive.bind(*arrays, **options))
            )
            results = list(found) if equation.primitive.multiple_results else [found]
        plain = {key: value for key, value in params.items() if isinstance(value, bool | int | float | str | tuple)}
        return [self.note(name, _wide(one), reads, place, options=plain, backward=backward) for one in results]

    def _remark(self, name: str, params: Mapping[str, Any], reads: list[Node], place: Place) -> None:
        for key in _TOLD:
            dtype = str(np.dtype(params[key])) if _is_dtype(params.get(key)) else ""
            if dtype in _SMALLER and (name != "convert_element_type" or self.values[reads[0].index].dtype.kind == "f"):
                self.program.casts[Cast(dtype, place)] = None
        if name in _RANDOM:
            self.program.random.append(len(self.program.nodes))
        if name in _OPAQUE:
            self.program.opaque[name] = place


def _inner(equation: Any) -> ClosedJaxpr | None:
    """The program that an equation calls as it is, if it does."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        found = equation.params.get(key)
        if found is not None and equation.primitive.name not in _OPAQUE:
            return found if hasattr(found, "consts") else ClosedJaxpr(found, ())
    return None


def _is_dtype(value: Any) -> bool:
    return value is not None and (isinstance(value, np.dtype) or hasattr(value, "dtype") or isinstance(value, type))


def _widened(key: str, value: Any) -> Any:
    smaller = key in _TOLD and _is_dtype(value) and str(np.dtype(value)) in _SMALLER
    return np.dtype(np.float64) if smaller else value


def _wide(value: Any) -> Any:
    """An array in float64 if it is of floats; a random key stays what it is."""
    dtype = getattr(value, "dtype", None)
    if dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        return value
    array = np.asarray(value)
    return array.astype(np.float64) if str(array.dtype) in _SMALLER else array


def _place(equation: Any, outer: Place) -> tuple[Place, bool]:
    """Where an equation is written, and whether it goes backward."""
    stack = str(equation.source_info.name_stack)
    paths = _PATHS.findall(stack)
    traceback, line = equation.source_info.traceback, ""
    if traceback is not None:
        line = innermost([(one.file_name, one.line_num) for one in traceback.frames])
    return Place(paths[-1] if paths else outer.module, line or outer.line), "transpose(" in stack
