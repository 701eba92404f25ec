"""A JAX model or function as one side of a comparison: NNX, Linen, any callable pytree, any function."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from flax import linen, nnx

from parity.errors import UsageError
from parity.models import jax_program
from parity.models.program import Cotangents, Program
from parity.models.side import Arrays, Names, bind, in_float64

_Build = Callable[[Any], Callable[..., Any]]  # the leaves' tree -> what is called with the inputs


@dataclasses.dataclass(eq=False)
class JaxSide:
    """A model, with its parameters, or a function."""

    model: Any
    variables: Any = None
    names: Names = None
    framework: str = "JAX"
    params: Arrays = dataclasses.field(init=False)
    buffers: frozenset[str] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        tree, self._build, self._called, self._skip = _opened(self.model, self.variables)
        found, self._treedef = jax.tree_util.tree_flatten_with_path(tree)
        self._names = [_name(path) for path, _ in found]
        self._values = [value for _, value in found]
        self.params = {
            name: in_float64(value) for name, value in zip(self._names, self._values, strict=True) if _is_float(value)
        }
        self.buffers = frozenset(name for name in self.params if "batch_stats" in name)
        # Of the last run: the inputs' shapes, where the cotangents came from, the program, and the cotangents.
        self._traced: tuple[Any, Any, jax_program.Traced, list[np.ndarray]] | None = None

    def run(
        self,
        inputs: Arrays,
        params: Arrays,
        cotangents: Cotangents | None = None,
        given: Mapping[int, np.ndarray] | None = None,
    ) -> Program:
        """Runs once, in float64; backward too if there are cotangents, with given values in the place of some."""
        arrays = {name: in_float64(value) for name, value in inputs.items()}
        shapes = {name: (value.shape, value.dtype) for name, value in arrays.items()}
        with _session():
            if self._traced is None or self._traced[:2] != (shapes, cotangents):
                traced, values = self._trace(arrays, params, cotangents)
                self._traced = (shapes, cotangents, traced, values[len(params) + len(arrays) :])
            _, _, traced, seeds = self._traced
            return jax_program.run(traced, [*params.values(), *arrays.values(), *seeds], given)

    def _trace(
        self, inputs: Arrays, params: Arrays, cotangents: Cotangents | None
    ) -> tuple[jax_program.Traced, list[np.ndarray]]:
        try:
            return jax_program.trace(self._function, params, inputs, cotangents)
        except TypeError:
            # A loop whose carry is cast inside has one dtype only: traced as it is, it is still run in float64.
            small, given = ({name: _smaller(value) for name, value in one.items()} for one in (params, inputs))
            with contextlib.suppress(TypeError):
                traced, values = jax_program.trace(self._function, small, given, cotangents)
                return traced, [*params.values(), *inputs.values(), *values[len(params) + len(inputs) :]]
            raise

    def _function(self, params: Any, inputs: Any) -> Any:
        leaves = [params.get(name, value) for name, value in zip(self._names, self._values, strict=True)]
        positional, renamed = bind(self._called, inputs, self.names, self._skip)
        function = self._build(jax.tree_util.tree_unflatten(self._treedef, leaves))
        return function(*(inputs[one] for one in positional), **{there: inputs[one] for one, there in renamed.items()})


@contextlib.contextmanager
def _session() -> Iterator[None]:
    """float64, and no rule about dtypes that a user's code need not keep; only while it runs."""
    settings = (jax.enable_x64(True), jax.default_matmul_precision("highest"))
    with settings[0], settings[1], jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _opened(model: Any, variables: Any) -> tuple[Any, _Build, Callable[..., Any], int]:
    """The tree of a model's leaves, how to call it with others, what its arguments are read from, and its first."""
    if isinstance(model, nnx.Module):
        graph, state = nnx.split(model)
        return state, lambda tree: _with_paths(nnx.merge(graph, tree)), type(model).__call__, 1
    if isinstance(model, linen.Module):
        if variables is None:
            raise UsageError("a Linen module has no parameters of its own: parity.jax(module, variables)")
        return variables, lambda tree: lambda *args, **named: model.apply(tree, *args, **named), type(model).__call__, 1
    if variables is not None:
        return variables, lambda tree: lambda *args, **named: model(tree, *args, **named), model, 1
    leaves = jax.tree_util.tree_leaves(model)
    if leaves and leaves[0] is not model:  # a callable pytree, as Equinox has them
        return model, lambda tree: tree, type(model).__call__, 1
    return (), lambda _: model, model, 0


def _with_paths(model: Any) -> Callable[..., Any]:
    """Calls an NNX model so that every operation knows the path of its module."""
    paths = {id(node): ".".join(map(str, path)) for path, node in nnx.iter_graph(model) if isinstance(node, nnx.Module)}
    classes = {type(node) for _, node in nnx.iter_graph(model) if isinstance(node, nnx.Module)}

    def call(*args: Any, **named: Any) -> Any:
        with contextlib.ExitStack() as stack:
            for one in classes:
                if hasattr(one, "__call__"):  # noqa: B004 - a class can always be called
                    stack.enter_context(_scoped(one, paths))
            return model(*args, **named)

    return call


@contextlib.contextmanager
def _scoped(of: Any, paths: Mapping[int, str]) -> Iterator[None]:
    """While it lasts, calls of a class are named after the object's path."""
    own, plain = "__call__" in vars(of), of.__call__

    def call(self: Any, *args: Any, **named: Any) -> Any:
        path = paths.get(id(self), "")
        with jax.named_scope(f"{jax_program.PATH}{path}") if path else contextlib.nullcontext():
            return plain(self, *args, **named)

    of.__call__ = call
    try:
        yield
    finally:
        if own:
            of.__call__ = plain
        else:
            del of.__call__


def _name(path: Any) -> str:
    """`layers.0.kernel`, without what a tree of variables puts around it."""
    parts = [str(getattr(one, "key", getattr(one, "name", getattr(one, "idx", one)))) for one in path]
    if parts and parts[0] == "params":
        parts = parts[1:]
    if parts and parts[-1] in ("value", "raw_value"):
        parts = parts[:-1]
    return ".".join(parts) or "parameter"


def _is_float(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return dtype is not None and jax.numpy.issubdtype(dtype, jax.numpy.floating)


def _smaller(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float32) if value.dtype == np.float64 else value
