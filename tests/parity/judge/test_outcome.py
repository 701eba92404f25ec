"""What became of a planted mistake: whether it was caught, seen first, located and named, each for itself."""

import re

import pytest

from parity.judge.bug import Bug
from parity.judge.outcome import Found, Outcome, judged, not_comparable
from parity.judge.verdict import Culprit, Explanation
from tests.parity.helpers import agreeing, run_of

BUG = Bug(name="bias-dropped", mistake="the bias is not loaded", where=r"layers\.\d\.key")
NAMED = Explanation("bias-dropped", "the bias is not loaded", "torch", 1e-16)
OTHER = Explanation("other", "something else", "torch", 1e-17)


def found(*differing: str, culprits: tuple[Culprit, ...] = ()) -> Found:
    """A run in which these of five values differ."""
    names = ("embedding", "layers.0.key", "layers.1.key", "layers.11.key", "head")
    return run_of(*(agreeing(name, error=1.0 if name in differing else 1e-15) for name in names), culprits=culprits)


def culprit(site: str, *explanations: Explanation) -> Culprit:
    return Culprit(site, (), agreeing(site, error=1.0), explanations=explanations)


def test_all_four_of_a_mistake_that_is_found():
    run = found("layers.1.key", "head", culprits=(culprit("layers.1.key", NAMED, OTHER),))
    assert isinstance(run, Found)
    assert judged(BUG, "torch", "forward", run) == Outcome(
        *("bias-dropped", "torch", "forward"),
        caught=True,
        first=True,
        located=True,
        named=True,
        said="layers.1.key; layers.1.key (bias-dropped)",
    )


def test_nothing_is_claimed_where_nothing_differs():
    assert judged(BUG, "torch", "forward", found()) == Outcome(
        "bias-dropped", "torch", "forward", caught=False, first=False, located=False, named=False, said="-; -"
    )


@pytest.mark.parametrize(
    ("differing", "pattern", "first"),
    [
        ("layers.0.key", None, True),
        ("layers.11.key", None, False),  # the pattern is matched whole
        ("head", None, False),
        ("head", "head", True),
        ("layers.0.key", "head", False),
    ],
)
def test_the_first_to_differ_must_be_the_one(differing, pattern, first):
    outcome = judged(BUG, "torch", "forward", found(differing), first=pattern)
    assert (outcome.caught, outcome.first, outcome.located) == (True, first, False)
    assert outcome.said == f"{differing}; -"


def test_the_first_is_the_first_computed():
    assert not judged(BUG, "torch", "forward", found("embedding", "layers.0.key")).first
    assert judged(BUG, "torch", "forward", found("layers.0.key", "head")).first


def test_every_culprit_must_be_where_the_mistake_is():
    here, elsewhere = culprit("layers.0.key"), culprit("head")
    for culprits, located in (((here,), True), ((here, elsewhere), False), ((elsewhere,), False), ((), False)):
        assert judged(BUG, "torch", "forward", found("layers.0.key", culprits=culprits)).located == located


@pytest.mark.parametrize(
    ("explanations", "side", "named"),
    [
        ([(NAMED, OTHER)], "torch", True),
        ([(NAMED, OTHER)], "JAX", False),
        ([(OTHER, NAMED)], "torch", False),
        ([(), (NAMED,)], "torch", True),  # the first culprit that has an explanation
        ([(OTHER,), (NAMED,)], "torch", False),
        ([()], "torch", False),
        ([], "torch", False),
    ],
)
def test_the_best_explanation_must_be_the_mistake_on_its_side(explanations, side, named):
    culprits = tuple(culprit("layers.0.key", *one) for one in explanations)
    assert judged(BUG, side, "forward", found("layers.0.key", culprits=culprits)).named == named


def test_what_was_found_is_said_for_a_person():
    culprits = (culprit("layers.0.key", OTHER, NAMED), culprit("head"))
    outcome = judged(BUG, "torch", "backward", found("embedding", "head", culprits=culprits))
    assert outcome.said == "embedding; layers.0.key (other), head (-)"
    assert outcome.tier == "backward"


def test_two_sides_that_cannot_be_brought_together_are_caught_and_no_more():
    assert not_comparable(BUG, "JAX", "forward", "shapes differ") == Outcome(
        "bias-dropped", "JAX", "forward", caught=True, first=False, located=False, named=False, said="shapes differ"
    )


def test_a_mistake_has_no_source_unless_it_is_given():
    assert BUG.source == ""
    assert re.fullmatch(BUG.where, "layers.3.key")
