"""A mistake explains a difference where making it gives the values that were found, on the side that has them."""

import pytest

from parity.judge.compare import SEMANTIC
from parity.judge.explain import Suspect, explain
from parity.judge.verdict import Explanation

SOUND, WRONG, OTHER = 1.0, 3.0, 5.0
DOUBLED = Suspect("doubled", "twice as much")


def residual(one: float, other: float) -> float:
    return abs(one - other)


def named(ours: float, theirs: float, *wrong: float) -> list[tuple[str, str]]:
    suspects = [(Suspect(f"bug {i}", "something"), value) for i, value in enumerate(wrong)]
    return [(one.bug, one.side) for one in explain(suspects, SOUND, (ours, theirs), residual)]


def test_the_side_that_has_the_mistakes_value_makes_it():
    assert explain([(DOUBLED, WRONG)], SOUND, (WRONG + 1e-12, SOUND), residual) == (
        Explanation("doubled", "twice as much", "JAX", pytest.approx(1e-12, rel=1e-3)),
    )
    assert explain([(DOUBLED, WRONG)], SOUND, (SOUND, WRONG), residual) == (
        Explanation("doubled", "twice as much", "torch", 0.0),
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (SOUND, SOUND, []),
        (OTHER, SOUND, []),
        (OTHER, WRONG, []),  # the reference makes it only if ours is sound
        (WRONG, WRONG, [("bug 0", "JAX")]),
        (WRONG, OTHER, [("bug 0", "JAX")]),
    ],
)
def test_who_makes_it(ours, theirs, expected):
    assert named(ours, theirs, WRONG) == expected


def test_all_that_explain_stand_in_the_order_given():
    assert named(WRONG, SOUND, OTHER, WRONG, WRONG) == [("bug 1", "JAX"), ("bug 2", "JAX")]


def test_a_mistake_that_changes_nothing_explains_nothing():
    assert named(SOUND, OTHER, SOUND) == []
    assert named(SOUND, OTHER, SOUND + SEMANTIC / 2) == []
    assert named(SOUND, SOUND, float("nan")) == []
    assert named(WRONG, SOUND, SOUND, WRONG) == [("bug 1", "JAX")]  # and keeps no other from explaining


def exactly(table: dict) -> list[tuple[str, str]]:
    """What explains, if these are the distances: of ours, theirs ("o", "t"), a sound ("s") and the wrong ("w")."""
    found = explain([(DOUBLED, "w")], "s", ("o", "t"), lambda one, other: table[one + other])
    return [(one.bug, one.side) for one in found]


def test_agreement_includes_the_constant_itself_everywhere():
    above = SEMANTIC * 1.01
    assert exactly({"os": SEMANTIC, "ws": 1.0, "ow": 1.0, "tw": SEMANTIC}) == [("doubled", "torch")]
    assert exactly({"os": above, "ws": 1.0, "ow": 1.0, "tw": SEMANTIC}) == []
    assert exactly({"os": SEMANTIC, "ws": 1.0, "ow": 1.0, "tw": above}) == []
    assert exactly({"os": 1.0, "ws": 1.0, "ow": SEMANTIC, "tw": 1.0}) == [("doubled", "JAX")]
    assert exactly({"os": 1.0, "ws": 1.0, "ow": above, "tw": 1.0}) == []
    assert exactly({"os": 1.0, "ws": SEMANTIC, "ow": 0.0, "tw": 1.0}) == []
    assert exactly({"os": 1.0, "ws": above, "ow": 0.0, "tw": 1.0}) == [("doubled", "JAX")]
