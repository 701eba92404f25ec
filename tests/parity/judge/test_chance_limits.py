"""The limits on chance are those that they are said to be, to the last factor."""

import math

import numpy as np
import pytest

from parity.judge import chance
from tests.parity.judge.test_chance import slices


def bernstein(variance: float, apart: float) -> float:
    """What a sum of terms of at most 1 has of chances, at most, to be so far above its mean."""
    return math.exp(-(apart**2) / 2 / (variance + apart / 3))


@pytest.mark.parametrize("variance", [0.0, 0.5, 30.0, 1e7])
@pytest.mark.parametrize("probability", [1e-3, 1e-9])
def test_beyond_the_limit_on_either_side_is_what_bernstein_leaves(variance, probability):
    assert 2 * bernstein(variance, float(chance.limit(variance, probability))) == pytest.approx(probability)


def test_sixteen_bits_meet_a_rate_to_within_a_grain():
    between = (np.arange(2.0**16) + 0.5) / 2**16
    assert np.abs(np.round(between * 2**16) / 2**16 - between).max() == chance.GRAIN


def test_a_rate_may_be_a_grain_off_however_many_are_drawn():
    entries = 2**40
    for sign in (1, -1):
        assert chance.rate_excess(round(entries * (0.25 + sign * chance.GRAIN)), entries, 0.25, 1e-9) < 1
        assert chance.rate_excess(round(entries * (0.25 + 2 * sign * chance.GRAIN)), entries, 0.25, 1e-9) > 1


@pytest.mark.parametrize("entries", [10**4, 10**7])
def test_a_rate_off_by_the_resolution_is_missed_as_often_as_is_said(entries):
    rate, each = 0.1, 1e-9
    off = chance.resolution(entries, rate, each) * rate * entries
    variance = entries * rate * (1 - rate)
    allowed = float(chance.limit(variance, each)) + chance.GRAIN * entries
    assert bernstein(variance, off - allowed) == pytest.approx(chance.MISSED)


def test_no_more_than_a_tenth_too_many_are_drawn():
    entries = chance.enough(0.1, 1e-9)
    assert chance.resolution(entries, 0.1, 1e-9) <= chance.RESOLUTION < chance.resolution(entries * 10 // 11, 0.1, 1e-9)


def test_every_pair_has_an_equal_share_of_the_chance():
    dropped = slices(20, 0.1)
    dropped[17] = dropped[3]
    only = np.zeros((20, 20), bool)
    only[3, 17] = True
    assert chance.alike(dropped, 1e-6).excess == chance.alike(dropped, 1e-6 / 190, only).excess


def test_what_is_a_little_beyond_the_limit_is_beyond_it():
    dropped = slices(2, 0.3, entries=2**16)
    dropped[1, :2600] = dropped[0, :2600]
    found = chance.alike(dropped, 1e-6)
    assert 1 < found.excess < 2
    assert found.beyond == 1


def test_more_slices_than_are_counted_at_a_time_are_counted_entry_by_entry(monkeypatch):
    dropped = slices(5, 0.3, entries=11)
    monkeypatch.setattr(chance, "_AT_ONCE", 3)
    np.testing.assert_array_equal(chance._together(dropped), dropped.astype(int) @ dropped.astype(int).T)
