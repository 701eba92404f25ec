"""Nested values become named ones, in their order, and nothing is lost or doubled on the way."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from parity.errors import MismatchError
from parity.judge.sites import Site, collect, flatten, leaves, paths


class Inner(NamedTuple):
    zebra: object
    apple: object


class Outer(NamedTuple):
    layers: tuple
    final: object


def test_names_are_paths_in_the_order_computed():
    tree = Outer((Inner(np.zeros(1), np.zeros(2)), Inner(None, np.zeros(3))), np.zeros(4))
    assert [(site.name, site.value.shape) for site in flatten(tree)] == [
        ("layers.0.zebra", (1,)),
        ("layers.0.apple", (2,)),
        ("layers.1.apple", (3,)),
        ("final", (4,)),
    ]


def test_a_name_is_put_before_every_path():
    assert [site.name for site in flatten(Inner(np.zeros(1), (np.zeros(1), np.zeros(1))), "head")] == [
        "head.zebra",
        "head.apple.0",
        "head.apple.1",
    ]
    assert [site.name for site in flatten(np.zeros(1), "output")] == ["output"]


def test_arrays_of_both_frameworks_keep_dtype_and_values():
    for array in (jnp.asarray([1.5, 2.5], jnp.float32), torch.tensor([1.5, 2.5], dtype=torch.float32)):
        [site] = flatten(array, "x")
        assert type(site.value) is np.ndarray
        assert site.value.dtype == np.float32
        assert site.value.tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({"b": np.zeros(1)}, "taps is a dict, must be a tuple, an array or None"),
        ((np.zeros(1), [np.zeros(1)]), r"taps\.1 is a list, must be"),
        (Inner(1.5, None), r"taps\.zebra is a float, must be"),
    ],
)
def test_what_loses_the_order_or_is_no_array_is_refused(tree, text):
    with pytest.raises(MismatchError, match=text):
        flatten(tree, "taps")


def test_an_array_needs_a_name():
    with pytest.raises(MismatchError, match=r"an array of shape \(2, 3\) has no name: give flatten\(\) one"):
        flatten(np.zeros((2, 3)))
    with pytest.raises(MismatchError, match="the tree is a str"):
        flatten("text")


def test_names_and_leaves_of_what_has_a_shape_only():
    shapes = [jax.ShapeDtypeStruct((size,), np.float32) for size in range(4)]
    tree = Outer((Inner(shapes[0], shapes[1]), Inner(None, shapes[2])), shapes[3])
    assert paths(tree) == ("layers.0.zebra", "layers.0.apple", "layers.1.apple", "final")
    assert all(one is other for one, other in zip(leaves(tree), shapes, strict=True))
    with pytest.raises(MismatchError, match=r"^layers\.0 is a float, must be a tuple, an array or None$"):
        paths(Outer((1.5,), None))
    with pytest.raises(MismatchError, match=r"^an array of shape \(3,\) has no name: give flatten\(\) one$"):
        leaves(shapes[3])


def test_collect_joins_in_order():
    left, right = (Site("b", np.zeros(1)),), (Site("a", np.zeros(1)),)
    assert [site.name for site in collect(left, right)] == ["b", "a"]


def test_collect_refuses_doubled_and_empty_names():
    sites = tuple(Site(name, np.zeros(1)) for name in ("a", "b", "", ""))
    with pytest.raises(MismatchError, match=r"every site needs a name of its own: 2 have none, doubled: \['a'\]"):
        collect(sites, (Site("a", np.zeros(1)),))
    with pytest.raises(MismatchError, match=r"every site needs a name of its own: 1 have none, doubled: \[\]$"):
        collect(sites[:3])
    with pytest.raises(MismatchError, match=r"every site needs a name of its own: 0 have none, doubled: \['b'\]$"):
        collect(sites[:2], sites[1:2])
