"""Culprits by hand: which of several differences are made, and which have merely arrived."""

import itertools

import numpy as np
import pytest

from parity.judge.locate import culprits, feedable, is_derivative, loss_of, value_of
from tests.parity import helpers as toy

READS = {
    "a": (),
    "b": ("a",),
    "c": ("b",),
    "alias": ("b",),
    "d(l)/d(c)": (),
    "d(l)/d(b)": ("d(l)/d(c)",),
    "d(l)/d(a)": ("d(l)/d(b)",),
    "d(l)/d(w)": ("d(l)/d(c)",),  # a parameter that enters c
    "d(l)/d(v)": (),  # one that enters nothing
}
FED = {name: True for name in READS if name not in ("d(l)/d(w)", "d(l)/d(v)")}


def made(free: str, local: str, **changes) -> list[str]:
    """The culprits if these sites differ by themselves, and these on what they are fed."""

    def comparisons(differing: str):
        return [
            toy.agreeing(site, error=1.0 if site in differing.split() else 0.0)
            for site in (*READS, "extra", "d(l)/d(extra)")
        ]

    options = {"fed": FED, "reads": READS, "aliases": {"alias": "b"}} | changes
    return [one.site for one in culprits(comparisons(free), comparisons(local), **options)]


@pytest.mark.parametrize(
    ("free", "local", "expected"),
    [
        ("a b c", "a", ["a"]),
        ("b c", "b c", ["b", "c"]),
        ("b c", "", []),
        ("c", "b c", ["c"]),  # differs on what it is fed, but not by itself
        ("b d(l)/d(a)", "b d(l)/d(a)", ["b"]),  # another function has another derivative
        ("b d(l)/d(b)", "b d(l)/d(b)", ["b"]),  # and its value may be read by others
        ("c d(l)/d(w)", "c d(l)/d(w)", ["c"]),
        ("d(l)/d(w)", "d(l)/d(w)", ["d(l)/d(w)"]),
        ("a d(l)/d(w)", "a d(l)/d(w)", ["a", "d(l)/d(w)"]),
        ("d(l)/d(b) d(l)/d(a)", "d(l)/d(b)", ["d(l)/d(b)"]),
        ("alias c", "alias c", ["alias"]),  # c reads b, which the reference gives two values
        ("extra d(l)/d(extra)", "extra d(l)/d(extra)", ["extra"]),
        ("a d(l)/d(extra)", "a d(l)/d(extra)", ["a"]),  # by something that ours has not got
        ("d(l)/d(extra)", "d(l)/d(extra)", ["d(l)/d(extra)"]),
        ("c d(l)/d(v)", "c d(l)/d(v)", ["c"]),  # the reference computes c with v
        ("d(l)/d(v)", "d(l)/d(v)", ["d(l)/d(v)"]),
    ],
)
def test_culprits(free, local, expected):
    assert made(free, local) == expected


def test_what_could_not_be_fed_is_not_judged():
    assert made("b c", "b c", fed=FED | {"b": False}) == ["b"]
    assert made("d(l)/d(a)", "d(l)/d(a)", fed=FED | {"d(l)/d(b)": False}) == []
    assert made("d(l)/d(a)", "d(l)/d(a)", fed=FED | {"a": False}) == []
    assert made("d(l)/d(a)", "d(l)/d(a)") == ["d(l)/d(a)"]


def test_a_derivative_needs_its_value_those_after_it_and_what_they_read():
    one = "d(l)/d(a)"
    reads = READS | {"b": ("a", "other"), "other": ()}
    fed = FED | {"other": True}
    assert made(one, one, reads=reads, fed=fed) == [one]
    for name in ("a", "b", "other", "d(l)/d(b)"):
        assert made(one, one, reads=reads, fed=fed | {name: False}) == []
    for name in ("c", "alias", "d(l)/d(c)"):
        assert made(one, one, reads=reads, fed=fed | {name: False}) == [one]
    assert made("d(l)/d(c)", "d(l)/d(c)") == ["d(l)/d(c)"]
    assert made("d(l)/d(c)", "d(l)/d(c)", fed=FED | {"c": False}) == []


def test_a_mistaken_block_may_read_what_came_before_it_in_its_layer():
    """A residual that is added once more gives what it adds another derivative, although ours reads it there never."""
    names = ("layers.0.norm", "layers.0.key", "layers.0.sum", "layers.1.norm", "layers.1.key", "layers.1.sum")
    reads = {name: names[max(0, index - 1) : index] for index, name in enumerate(names)}
    reads |= {f"d(l)/d({name})": (f"d(l)/d({after})",) for name, after in itertools.pairwise(names)}
    fed = dict.fromkeys(reads, True) | {f"d(l)/d({names[-1]})": True}

    def found(*sites):
        compared = [toy.agreeing(site, error=1.0) for site in sites]
        return [one.site for one in culprits(compared, compared, fed, reads, {})]

    assert found("layers.1.sum", "d(l)/d(layers.1.norm)") == ["layers.1.sum"]
    assert found("layers.1.sum", "d(l)/d(layers.0.norm)") == ["layers.1.sum", "d(l)/d(layers.0.norm)"]
    assert found("layers.0.sum", "d(l)/d(layers.1.norm)") == ["layers.0.sum", "d(l)/d(layers.1.norm)"]
    assert found("layers.1.norm", "d(l)/d(layers.1.key)") == ["layers.1.norm", "d(l)/d(layers.1.key)"]


def test_what_reads_a_value_that_nobody_has_is_not_judged():
    assert made("a c", "a c", reads=READS | {"c": ("gone",)}) == ["a"]


def test_feedable():
    ours = np.ones((2, 3))
    assert feedable(ours, np.zeros((2, 3)))
    assert not feedable(ours, np.ones((3, 2)))
    assert not feedable(ours, np.ones((2, 3), np.float32))
    assert not feedable(ours, np.array([[1, 2, np.nan]] * 2))


def test_names_of_derivatives():
    assert is_derivative("d(mlm)/d(layers.0.attention.key)")
    assert not is_derivative("layers.0.attention.key")
    assert value_of("d(mlm)/d(layers.0.attention.key)") == "layers.0.attention.key"
    assert value_of("embedding.word") == "embedding.word"
    assert loss_of("d(mlm)/d(layers.0.attention.key)") == "mlm"
    assert loss_of("embedding.word") == ""
