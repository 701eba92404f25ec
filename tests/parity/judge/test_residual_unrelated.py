"""What is told where no relation holds of all, and which entries a relation leaves out."""

import numpy as np
import pytest

from parity.judge import residual
from parity.judge.residual import describe, worst_elements
from tests.parity.judge.arrays import AXES, LOWEST, drawn


def test_what_has_no_relation_has_a_correlation():
    expected = 4 + 3 * drawn(0, (50,))
    actual = 2 * expected + drawn(1, (50,)) - 7
    wanted = np.corrcoef(actual, expected)[0, 1]
    assert 0.9 < wanted < 0.999
    assert describe(actual, expected) == (f"no simple relation: correlation {wanted:.3f}",)
    assert describe(-actual, expected) == (f"no simple relation: correlation {-wanted:.3f}",)


def test_a_constant_is_correlated_with_nothing():
    said = ("no simple relation: one side is constant",)
    assert describe(np.full(50, 0.5), drawn(0, (50,))) == said
    assert describe(drawn(0, (50,)), np.full(50, 0.5)) == said


def test_three_numbers_are_enough_to_be_unrelated():
    assert describe(np.array([1.0, 2.0, 4.0]), np.array([3.0, 1.5, 2.5])) == ("no simple relation: correlation -0.143",)
    assert describe(np.array([1.0, 2.0]), np.array([3.0, 1.5])) == ("too few numbers to tell a relation: 2",)


def test_what_is_zero_on_both_sides_takes_no_part():
    expected = drawn(0, (20, 30))
    expected[drawn(1, (20, 30)) > 0.5] = 0
    actual = np.where(expected == 0, 0, expected + 0.5)
    assert describe(actual, expected) == ("JAX is torch + 0.5",)
    assert describe(expected, actual) == ("JAX is torch - 0.5",)


def test_no_number_is_taken_for_what_stands_for_a_fill():
    expected = np.array([-1.5 * 2.0**1023, 1.0, 2.0])
    assert describe(np.array([LOWEST, 1.0, 2.0]), expected) == (
        "the masks differ at 1 of 3 entries only: 0",
        "JAX fills 1 of 3 entries that torch does not; there torch holds -1.34827e+308",
        "the entries that neither fills agree",
    )


@pytest.mark.parametrize(("off", "said"), [(1e-9, "agree"), (1.01e-9, "differ, too")])
def test_beside_masks_that_differ_entries_agree_to_nine_digits(off, said):
    actual, expected = np.array([0.75, off, LOWEST, LOWEST]), np.array([0.75, 0.0, LOWEST, 0.25])
    assert describe(actual, expected)[-1] == f"the entries that neither fills {said}"


def test_of_a_large_array_the_indices_are_told_as_they_are(monkeypatch):
    monkeypatch.setattr(residual, "_MOST_ENTRIES", 400)
    expected = drawn(0)
    actual = expected.copy()
    actual[:, [4, 8]] = expected[:, [8, 4]]
    assert describe(actual, expected, AXES) == ("positions 4 and 8 are swapped", "judged on 240 of 1,560 entries")


def test_the_worst_are_found_wherever_they_stand():
    actual = np.random.default_rng(0).permutation(np.arange(1.0, 1001.0))
    for count in (8, 400, 999, 1000):
        worst = [one.actual for one in worst_elements(actual, np.zeros(1000), count)]
        assert worst == list(range(1000, 1000 - count, -1))


def test_equal_ones_follow_worse_ones_in_the_order_they_stand():
    actual = np.where(np.arange(2000) % 3 == 0, 2.0, 1.0)
    worst = [one.at[0] for one in worst_elements(actual, np.zeros(2000), 1500)]
    assert worst == sorted(range(2000), key=lambda at: (at % 3 > 0, at))[:1500]
