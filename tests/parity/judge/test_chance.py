"""Limits hold for the very distributions that they are said to hold for, and show what they are meant to show."""

import math

import numpy as np
import pytest

from parity.judge import chance

CHANCE = 1e-3


def log_choose(n: int, k: np.ndarray) -> np.ndarray:
    return np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in k])


def beyond(counts: np.ndarray, log_weights: np.ndarray, mean: float, allowed: float) -> float:
    """The share of a distribution that is farther from its mean than is allowed."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights[np.abs(counts - mean) > allowed].sum() / weights.sum())


@pytest.mark.parametrize("entries", [10, 200, 5000])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_a_sound_rate_is_beyond_the_limit_no_more_often_than_said(entries, rate):
    counts = np.arange(entries + 1)
    weights = log_choose(entries, counts) + counts * math.log(rate) + (entries - counts) * math.log(1 - rate)
    allowed = float(chance.limit(entries * rate * (1 - rate), CHANCE))
    assert beyond(counts, weights, entries * rate, allowed) <= CHANCE


@pytest.mark.parametrize(("entries", "first", "second"), [(30, 3, 5), (400, 40, 40), (4000, 300, 2900), (4000, 5, 9)])
def test_independent_slices_are_alike_no_more_often_than_said(entries, first, second):
    counts = np.arange(max(0, first + second - entries), min(first, second) + 1)
    weights = log_choose(second, counts) + log_choose(entries - second, first - counts)
    expected = first * second / entries
    allowed = float(chance.limit(expected * (1 - max(first, second) / entries), CHANCE))
    assert beyond(counts, weights, expected, allowed) <= CHANCE


def test_the_limit_is_no_wider_than_it_need_be():
    entries, rate = 10**7, 0.1
    deviation = math.sqrt(entries * rate * (1 - rate))
    assert 6 < float(chance.limit(entries * rate * (1 - rate), 1e-9)) / deviation < 6.6  # the normal curve's is 6.1


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("off", [0.99, 1.01])
def test_a_rate_that_is_off_by_a_hundredth_of_itself_is_beyond_the_limit(rate, off):
    each = 1e-9
    entries = chance.enough(rate, each)
    wrong = rate * off
    spread = math.sqrt(entries * wrong * (1 - wrong))
    unlucky = entries * wrong + (3.5 if off < 1 else -3.5) * spread  # one draw in some thousands is nearer
    assert chance.rate_excess(round(unlucky), entries, rate, each) > 1
    assert chance.rate_excess(round(entries * rate), entries, rate, each) < 1e-3
    assert chance.resolution(entries // 4, rate, each) > chance.RESOLUTION


def test_what_no_number_of_draws_can_tell_is_not_drawn():
    entries = chance.enough(1e-4, 1e-9)
    assert entries == 2**25
    assert chance.resolution(entries, 1e-4, 1e-9) > chance.RESOLUTION


def slices(count: int, rate: float, entries: int = 4096, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, entries)) < rate


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.95])
def test_independent_slices_are_not_alike(rate):
    found = chance.alike(slices(20, rate), 1e-6)
    assert found.excess < 1
    assert (found.beyond, found.pairs, found.blind) == (0, 190, 0)


def test_two_slices_of_many_that_are_the_same_are_found():
    dropped = slices(20, 0.1)
    dropped[17] = dropped[3]
    found = chance.alike(dropped, 1e-6)
    assert found.pair == (3, 17)
    assert found.share == 1
    assert found.correlation == pytest.approx(1)
    assert found.beyond == 1


def test_opposites_are_alike_but_not_the_same():
    one = slices(1, 0.4)[0]
    found = chance.alike(np.stack([one, ~one]), 1e-6)
    assert found.excess > 1
    assert found.correlation == pytest.approx(-1)
    assert found.share < 0


def test_one_that_drops_all_that_the_other_does_shares_all_that_it_can():
    bits = np.random.default_rng(0).random(4096)
    found = chance.alike(np.stack([bits < 0.1, bits < 0.3]), 1e-6)
    assert found.share == 1
    assert found.correlation < 0.6


def test_a_tenth_in_common_is_beyond_chance():
    dropped = slices(2, 0.3, entries=2**16)
    dropped[1, :6554] = dropped[0, :6554]
    found = chance.alike(dropped, 1e-6)
    assert found.excess > 1
    assert found.share == pytest.approx(0.1, abs=0.02)


def test_what_drops_too_little_to_tell_is_blind():
    dropped = slices(3, 0.1, entries=64)
    assert chance.alike(dropped, 1e-6).blind == 3
    nothing = chance.alike(np.zeros((2, 64), bool), 1e-6)
    assert (nothing.excess, nothing.share, nothing.correlation, nothing.blind) == (0, 0, 0, 1)


def test_only_the_pairs_that_are_asked_for_are_compared():
    dropped = slices(4, 0.2)
    dropped[1] = dropped[0]
    pairs = np.zeros((4, 4), bool)
    pairs[2, 3] = pairs[0, 2] = True
    found = chance.alike(dropped, 1e-6, pairs)
    assert found.pairs == 2
    assert found.excess < 1


def test_counting_in_parts_and_by_pairs_is_counting(monkeypatch):
    dropped = slices(5, 0.3, entries=1001)
    whole = dropped.astype(int) @ dropped.astype(int).T
    monkeypatch.setattr(chance, "_AT_ONCE", 500)
    np.testing.assert_array_equal(chance._together(dropped), whole)
    assert chance._together(dropped[:2])[0, 1] == whole[0, 1]
