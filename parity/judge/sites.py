"""Intermediate values as an ordered list of named arrays."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from parity.errors import MismatchError


class Site(NamedTuple):
    """One value that a program computes. The name is the path to it: `layers.1.attention.key`."""

    name: str
    value: np.ndarray


def flatten(tree: Any, name: str = "") -> tuple[Site, ...]:
    """Lists the arrays in nested tuples in the order they stand, leaving out None.

    >>> class Taps(NamedTuple):
    ...     key: np.ndarray
    ...     rotated: np.ndarray | None
    >>> [site.name for site in flatten((Taps(np.ones(2), None), Taps(np.ones(2), np.ones(3))), "layers")]
    ['layers.0.key', 'layers.1.key', 'layers.1.rotated']

    Args:
        tree: NamedTuples and tuples, nested as you like, of arrays that numpy can read (`__array__`) and None.
        name: put before every path.

    Raises:
        MismatchError: an array without a name, or something that is none of these. Dictionaries are refused because
            jax sorts them: the order in which values are computed would be lost.
    """
    return tuple(Site(path, np.asarray(leaf)) for path, leaf in _walk(tree, name, "__array__"))


def paths(tree: Any) -> tuple[str, ...]:
    """The names that `flatten` would give; the leaves need a shape only."""
    return tuple(path for path, _ in _walk(tree, "", "shape"))


def leaves(tree: Any) -> tuple[Any, ...]:
    """What stands at these names, as it is."""
    return tuple(leaf for _, leaf in _walk(tree, "", "shape"))


def _walk(tree: Any, name: str, needed: str) -> Iterator[tuple[str, Any]]:
    if tree is None:
        return
    if isinstance(tree, tuple):
        fields = getattr(tree, "_fields", range(len(tree)))
        for field, child in zip(fields, tree, strict=True):
            yield from _walk(child, f"{name}.{field}" if name else str(field), needed)
        return
    if not hasattr(tree, needed):
        raise MismatchError(f"{name or 'the tree'} is a {type(tree).__name__}, must be a tuple, an array or None")
    if not name:
        raise MismatchError(f"an array of shape {tuple(tree.shape)} has no name: give flatten() one")
    yield name, tree


def collect(*groups: Sequence[Site]) -> tuple[Site, ...]:
    """Joins lists of sites.

    Raises:
        MismatchError: a name is empty, or stands for two values.
    """
    sites = tuple(site for group in groups for site in group)
    counts = Counter(site.name for site in sites)
    doubled = [name for name, count in counts.items() if name and count > 1]
    if doubled or counts[""]:
        raise MismatchError(f"every site needs a name of its own: {counts['']} have none, doubled: {doubled}")
    return sites
