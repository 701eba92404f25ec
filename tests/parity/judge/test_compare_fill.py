"""A mask's fill agrees, sets no scale, and no other number may pass as one."""

import numpy as np
import pytest

from parity.judge.compare import SEMANTIC, Comparison, compare, unknown_fill

LOWEST = np.finfo(np.float64).min
RNG = np.random.default_rng(0)


def run(actual, expected) -> Comparison:
    return compare("site", np.asarray(actual), np.asarray(expected), allowed=SEMANTIC)


def test_fill_agrees_and_does_not_set_the_scale():
    expected = np.array([1.0, LOWEST, 2.0])
    comparison = run(expected + [1e-6, 0, 0], expected)
    assert (comparison.compared, comparison.scale, comparison.spread) == (2, 2.0, 1.0)
    assert comparison.worst_index == (0,)
    assert not comparison.agrees
    assert run(expected.copy(), expected).agrees


def test_nothing_but_fill_agrees_but_compares_nothing():
    comparison = run(np.full((2, 2), LOWEST), np.full((2, 2), LOWEST))
    assert (comparison.agrees, comparison.compared, comparison.error) == (True, 0, 0.0)


@pytest.mark.parametrize("swapped", [False, True])
def test_fill_on_one_side_fails(swapped):
    filled, free = np.array([LOWEST, LOWEST, 1.0]), np.array([LOWEST, 3.0, 1.0])
    comparison = run(free, filled) if swapped else run(filled, free)
    assert comparison.problem == "masked on one side only at 1 of 3 entries"
    assert comparison.worst_index == (1,)
    assert not comparison.agrees


def test_an_inverted_mask_fails():
    scores, mask = RNG.standard_normal((3, 4)), RNG.random((3, 4)) < 0.5
    comparison = run(np.where(mask, scores, LOWEST), np.where(~mask, scores, LOWEST))
    assert comparison.problem == "masked on one side only at 12 of 12 entries"


@pytest.mark.parametrize("sides", ["both", "actual"])
def test_another_fill_cannot_hide_differences_behind_its_scale(sides):
    expected = np.array([1.0, -1e9, 2.0, -1e9])
    actual = np.array([1.1, -1e9, 2.0, -1e9])
    if sides == "actual":
        actual, expected = np.array([1.0, -1e9, 2.0, -1e9]), np.array([1.0, -1.0, 2.0, -1.0])
    comparison = run(actual, expected)
    assert comparison.problem == (
        "2 entries hold exactly -1e+09, all others at most 2: "
        "a mask's fill must be float64's lowest value, so as not to set the scale"
    )
    assert not comparison.agrees


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([-1e9, 1.0, 2.0], False),  # one entry may have any value
        ([-1000.0, -1000.0, 1.0], False),
        ([-1000.5, -1000.5, 1.0], True),
        ([-1000.5, -1000.5, 0.001], True),  # in units of 1, if all others are smaller
        ([-999.5, -999.5, 0.001], False),
        ([-3000.0, -3000.0, 3.0], False),  # in units of the largest other, if that is larger
        ([-3000.5, -3000.5, -3.0], True),
        ([-3000.5, -3000.5, 0.0], False),  # nothing that it could hide
        ([-5000.0, -5000.0, -5000.0], False),
    ],
)
def test_what_counts_as_another_fill(values, problem):
    found = run(values, values).problem
    assert bool(found) == problem
    assert found.startswith("2 entries hold exactly ") == problem


def test_a_fill_on_the_references_side_alone_is_named_too():
    assert run([1.0, -1.0, 2.0, -1.0], [1.0, -1e9, 2.0, -1e9]).problem.startswith("2 entries hold exactly -1e+09")


def test_no_entries_hold_no_fill():
    assert unknown_fill(np.zeros(0)) == ""


def test_many_entries_are_counted_in_thousands():
    filled = np.append(np.full(1234, -1e9), 1.0)
    assert run(filled, filled.copy()).problem.startswith("1,234 entries hold exactly -1e+09, all others at most 1: ")
    assert run(np.full(1234, np.nan), np.ones(1234)).problem == "not finite at 1,234 of 1,234 entries"
