"""Our nested parameters as arrays under one name each, and back."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def named(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Every array under the path to it; `prefix` is put before every name.

    >>> named({"head": {"bias": np.zeros(2)}}, "lm.")
    {'lm.head.bias': array([0., 0.])}
    """
    flat = jax.tree_util.tree_leaves_with_path(tree)
    return {prefix + jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in flat}


def nested(arrays: Mapping[str, np.ndarray], prefix: str = "") -> dict[str, Any]:
    """The inverse of `named`."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *path, last = name.removeprefix(prefix).split(".")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[last] = array
    return tree
