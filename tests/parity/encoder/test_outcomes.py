"""The judge is judged: every mistake of the catalogue is made, and must be caught, located and named."""

import functools
import re

import pytest

from parity.encoder.bugs.catalogue import MODEL_BUGS, find
from parity.encoder.outcomes import outcome
from parity.encoder.pair import Pair
from parity.encoder.variants import variants
from parity.errors import UsageError

# What cannot be named, and why.
UNNAMED = {
    ("norm-fast-variance", "JAX"): "what it leaves is rounding, and every way to write it rounds in its own way",
}
FAST = ("gelu-tanh", "key-bias-dropped", "untied")
PLANTS = [(bug.name, side) for bug in MODEL_BUGS for side in ("torch", "JAX")[: 1 + (bug.in_jax is not None)]]


@functools.cache
def pair_of(variant: str) -> Pair:
    return Pair.build(variants()[variant], whole=False)


@pytest.mark.parametrize(
    ("name", "side"), [pytest.param(*one, marks=() if one[0] in FAST else pytest.mark.slow) for one in PLANTS]
)
def test_a_planted_mistake(name, side):
    bug = find(name)
    found = outcome(bug, side, pair_of(bug.variant))
    assert found.caught, "nothing differs"
    assert found.first, found.said
    assert found.located, found.said
    assert found.named == ((name, side) not in UNNAMED), found.said


def test_the_catalogue():
    names = [bug.name for bug in MODEL_BUGS]
    assert len(set(names)) == len(names) >= 60
    assert sum(bug.in_jax is not None for bug in MODEL_BUGS) >= 40
    for bug in MODEL_BUGS:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", bug.name)
        assert bug.mistake
        assert not bug.mistake.endswith(".")
        assert bug.variant in variants()
        assert bug.applies(variants()[bug.variant]), f"{bug.name} cannot be made in its own variant"


def test_an_unknown_mistake_is_refused():
    with pytest.raises(UsageError, match="no bug is called gelu-tan; there are: norm-eps-1e-5, "):
        find("gelu-tan")
