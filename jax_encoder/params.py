"""The parameters of a model: nested as its modules are, or each under the path to it, `encoder.layers.mlp.up.kernel`.

Checkpoints hold them by these names.
"""

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx

# Nested dicts of arrays: saved as they are, and readable without this code.
Params = dict[str, Any]
# The same arrays, of numpy or JAX, by name.
Named = Mapping[str, Any]
Shapes = dict[str, tuple[int, ...]]


def params_of(model: nnx.Module) -> Params:
    """A model's parameters, or what stands for them in an abstract one, nested."""
    return nnx.to_pure_dict(nnx.state(model))


def with_params(graph: nnx.GraphDef, params: Params) -> Any:
    """The model of which `nnx.split` left `graph`, with these parameters."""
    return nnx.merge(graph, nnx.State(params))


def named(params: Any) -> dict[str, Any]:
    """Every array of a tree under the path to it.

    >>> named({"head": {"bias": 1.0, "norm": {"scale": 2.0}}})
    {'head.bias': 1.0, 'head.norm.scale': 2.0}
    """
    return {name_of(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


def nested(arrays: Named) -> Params:
    """The inverse of `named`.

    >>> nested({"head.bias": 1.0, "head.norm.scale": 2.0})
    {'head': {'bias': 1.0, 'norm': {'scale': 2.0}}}
    """
    tree: Params = {}
    for name, array in arrays.items():
        *path, last = name.split(".")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[last] = array
    return tree


def shapes(arrays: Named) -> Shapes:
    """The shape of every array."""
    return {name: tuple(array.shape) for name, array in arrays.items()}


def differing(params: Named, expected: Shapes) -> list[str]:
    """The names, sorted, that only one of the two has or whose shapes are not the same."""
    given = shapes(params)
    return sorted(name for name in given | expected if given.get(name) != expected.get(name))


def name_of(path: tuple[Any, ...]) -> str:
    """The name of what lies at a path, as `jax.tree_util` gives it."""
    return jax.tree_util.keystr(path, simple=True, separator=".")
