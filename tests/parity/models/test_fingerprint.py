"""What a value is, whatever its layout."""

import numpy as np
import pytest

from parity.models.fingerprint import fingerprint

VALUES = np.random.default_rng(0).normal(size=(3, 5, 8))


@pytest.mark.parametrize(
    "moved",
    [
        VALUES.T,
        VALUES.reshape(15, 8),
        np.broadcast_to(VALUES, (7, *VALUES.shape)),
        np.stack([VALUES] * 3),
        VALUES + 1e-14,
    ],
    ids=["transposed", "reshaped", "broadcast", "stacked", "rounded"],
)
def test_layouts_of_one_value_are_equal(moved):
    assert fingerprint(VALUES).equals(fingerprint(moved))


@pytest.mark.parametrize(
    "other",
    [VALUES * (1 + 1e-8), VALUES + 1e-8, -VALUES, VALUES[:2], np.where(VALUES > 2, 0, VALUES), np.zeros(3)],
    ids=["scaled", "shifted", "negated", "fewer", "masked", "zero"],
)
def test_other_values_are_not(other):
    assert not fingerprint(VALUES).equals(fingerprint(other))


def test_few_entries_that_differ_are_told_among_many():
    """As in a softmax that is nearly 0 or 1 everywhere."""
    rare = np.zeros((400, 500))
    rare[:, 3] = 1.0
    other = rare.copy()
    other[7, 3:5] += [-1e-5, 1e-5]
    assert not fingerprint(rare).equals(fingerprint(other))


def test_every_fill_of_a_mask_is_one():
    filled = [
        np.where(VALUES > 0, fill, VALUES) for fill in (-np.inf, np.finfo(np.float32).min, np.finfo(np.float64).min)
    ]
    assert fingerprint(filled[0]).equals(fingerprint(filled[1]))
    assert fingerprint(filled[0]).equals(fingerprint(filled[2]))
    assert not fingerprint(filled[0]).equals(fingerprint(np.where(VALUES > 0, -1e9, VALUES)))


def test_rounding_of_a_sum_is_zero():
    noise = [np.random.default_rng(seed).normal(size=8) * 1e-17 for seed in (1, 2)]
    assert not fingerprint(noise[0]).equals(fingerprint(noise[1]))
    assert fingerprint(noise[0], summed=1.0).equals(fingerprint(noise[1], summed=0.5))
    assert fingerprint(noise[0], summed=1.0).zero


def test_what_has_no_fingerprint():
    assert fingerprint(np.zeros((0, 3))) is None
    assert fingerprint(np.zeros(3, complex)) is None


def test_distance_is_relative_and_infinite_beside_a_fill():
    assert fingerprint(VALUES).distance(fingerprint(VALUES * 1.1)) == pytest.approx(0.1 / 1.1)
    assert fingerprint(VALUES).distance(fingerprint(np.where(VALUES > 0, -np.inf, VALUES))) == np.inf
