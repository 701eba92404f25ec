"""How one array becomes the other is said as it was done, and nothing is said of arrays that are unrelated."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parity.judge.relations import fitting_shapes
from parity.judge.residual import describe
from tests.parity.judge.arrays import AXES, LOWEST, PLACES, SEEDS, SHAPE, drawn

FACTORS = st.floats(-4, 4).filter(lambda c: min(abs(c), abs(c - 1), abs(c + 1)) > 1e-3)
MANY = ("rows", "positions", "heads", "head channels")


@given(SEEDS, FACTORS)
def test_a_factor(seed, factor):
    expected = drawn(seed)
    found = describe(factor * expected, expected, AXES)
    assert len(found) == 1
    assert float(found[0].split()[2]) == pytest.approx(factor, rel=1e-5)
    assert found[0].startswith("JAX is ")
    assert found[0].endswith(" x torch")
    assert describe(-expected, expected, AXES) == ("JAX is torch negated",)


@given(SEEDS, st.floats(-3, 3).filter(lambda c: abs(c) > 1e-3))
def test_an_offset(seed, offset):
    expected = drawn(seed)
    sign = "+" if offset > 0 else "-"
    assert describe(expected + offset, expected, AXES) == (f"JAX is torch {sign} {abs(offset):.6g}",)


@given(SEEDS, st.sets(PLACES, min_size=1, max_size=3))
def test_an_offset_for_every_index_of_some_axes(seed, kept):
    expected = drawn(seed)
    offsets = drawn(seed + 1, [size if i in kept else 1 for i, size in enumerate(SHAPE)])
    words = ("row", "position", "head", "head channel")
    here, rest = (" and ".join(w for i, w in enumerate(words) if (i in kept) is side) for side in (True, False))
    (found,) = describe(expected + offsets, expected, AXES)
    assert found.startswith(
        f"JAX is torch plus an offset per {here}, the same at every {rest}: {offsets.flat[0]:.5g}"[:-2]
    )
    (found,) = describe(expected * offsets, expected, AXES)
    assert found.startswith(f"JAX is torch times a factor per {here}, the same at every {rest}: ")


@given(SEEDS, PLACES, st.data())
def test_a_permutation(seed, place, data):
    expected, size = drawn(seed), SHAPE[place]
    order = np.array(data.draw(st.permutations(range(size))))
    assume((order != np.arange(size)).any())
    (found,) = describe(expected.take(order, place), expected, AXES)
    moved = np.flatnonzero(order != np.arange(size))
    if len(moved) == 2:
        assert found == f"{MANY[place]} {moved[0]} and {moved[1]} are swapped"
    elif size == 13:
        assert found.partition(": ")[2] == f"JAX's position {moved[0]} is torch's position {order[moved[0]]}"
    else:
        ours = ",".join(map(str, range(size)))
        assert found.endswith(f": JAX's {ours} are torch's {','.join(map(str, order))}")
        assert found.startswith(f"{MANY[place]} are ")


@given(SEEDS, st.integers(1, 12))
def test_a_roll_and_a_reversal(seed, shift):
    expected = drawn(seed)
    kind = f"rolled by {min(shift, 13 - shift)}"
    assert describe(np.roll(expected, shift, 1), expected, AXES)[0].startswith(
        f"positions are {kind}: JAX's position 0"
    )
    assert describe(expected[:, ::-1], expected, AXES)[0].startswith("positions are reversed: JAX's position 0 is")


def test_named_permutations():
    expected = drawn(0)
    assert describe(expected[:, :, [2, 0, 1]], expected, AXES) == (
        "heads are rolled by 1: JAX's 0,1,2 are torch's 2,0,1",
    )
    assert describe(expected[..., [0, 2, 4, 6, 1, 3, 5, 7]], expected, AXES) == (
        "head channels are interleaved (those of 2 x 4 as 4 x 2): JAX's 0,1,2,3,4,5,6,7 are torch's 0,2,4,6,1,3,5,7",
    )
    assert describe(expected[..., [1, 2, 0, 3, 4, 5, 6, 7]], expected, AXES) == (
        "head channels are permuted: JAX's 0,1,2,3,4,5,6,7 are torch's 1,2,0,3,4,5,6,7",
    )


def test_a_permutation_of_slices_of_which_some_are_equal():
    expected = drawn(0)
    expected[:, [1, 4, 6]] = 0
    assert describe(np.roll(expected, 1, 1), expected, AXES)[0].startswith("positions are ")


@given(SEEDS)
def test_transposed_axes(seed):
    scores_BNTS = drawn(seed, (5, 3, 13, 13))
    assert describe(scores_BNTS.swapaxes(2, 3), scores_BNTS, "BNTS") == ("axes T and S are transposed",)
    assert describe(scores_BNTS.swapaxes(2, 3), scores_BNTS) == ("axes 2 and 3 are transposed",)
    masked_BNTS = np.where(np.tri(13, dtype=bool), scores_BNTS, LOWEST)
    assert describe(masked_BNTS.swapaxes(2, 3), masked_BNTS, "BNTS") == ("axes T and S are transposed",)


@given(SEEDS)
def test_axes_that_are_split_in_the_other_order(seed):
    expected = drawn(seed)
    lines = ("heads and head channels are split in the other order, (N, H) as (H, N)",)
    assert describe(expected.swapaxes(2, 3).reshape(SHAPE), expected, AXES) == lines
    assert describe(expected.reshape(5, 13, 8, 3).swapaxes(2, 3), expected, AXES) == lines


def rounded(values: np.ndarray, bits: int) -> np.ndarray:
    fraction, exponent = np.frexp(values)
    return np.ldexp(np.rint(fraction * 2 ** (bits + 1)), exponent - bits - 1)


@given(SEEDS, st.sampled_from([("bfloat16", 7), ("float16 or TF32", 10), ("float32", 23)]))
def test_low_precision(seed, precision):
    name, bits = precision
    expected = drawn(seed)
    assert describe(rounded(expected, bits), expected, AXES) == (f"JAX is torch rounded to {name}",)
    assert describe(expected, rounded(expected, bits), AXES) == (f"torch is JAX rounded to {name}",)
    elsewhere = rounded(expected * (1 + 2.0**-bits * drawn(seed + 1)), bits)
    assert describe(elsewhere, expected, AXES) == (f"JAX holds {name} values only, torch does not: computed in {name}",)


@pytest.mark.parametrize("noise", [1e-7, 1e-5, 3e-4, 1e-3, 0.1])
def test_the_size_alone_of_a_difference_is_no_rounding(noise):
    expected = np.clip(drawn(0), -1, 1)
    (found,) = describe(expected + noise * np.clip(drawn(1), -1, 1), expected, AXES)
    assert found.startswith("no simple relation: correlation ")
    assert "round" not in found


@pytest.mark.parametrize("size", [1, 2])
def test_one_or_two_numbers_are_told_nothing_of(size):
    expected = drawn(0, (size,))
    for actual in (2 * expected, expected + 1, expected[::-1] + 0.5):
        assert describe(actual, expected) == (f"too few numbers to tell a relation: {size}",)
    assert describe(np.array(2.0), np.array(4.0)) == ("too few numbers to tell a relation: 1",)


@given(SEEDS, st.sampled_from([1.0, 1e-3, 1e-9, 1e-12, 1e150, 1e-300]), st.booleans())
def test_nothing_is_found_between_arrays_that_are_unrelated(seed, size, near):
    expected = drawn(seed) * size
    actual = expected + 1e-10 * drawn(seed + 1) * size if near else drawn(seed + 1) * size
    (found,) = describe(actual, expected, AXES)
    assert found.startswith("no simple relation: correlation ")


def test_a_factor_survives_rounding_and_a_random_remainder_does_not_pass_as_one():
    expected = drawn(0)
    noisy = expected * 0.5 * (1 + 1e-11 * drawn(1))
    assert describe(noisy, expected, AXES) == ("JAX is 0.5 x torch",)
    assert describe(expected * (1 + 1e-7), expected, AXES) == ("JAX is (1 + 1e-07) x torch",)
    assert describe(expected * (1 - 1e-7), expected, AXES) == ("JAX is (1 - 1e-07) x torch",)
    assert describe(expected * 0.5 + 1e-6 * drawn(1), expected, AXES)[0].startswith("no simple relation")


def test_a_side_of_one_value():
    assert describe(np.ones(SHAPE), drawn(0), AXES) == ("no simple relation: one side is constant",)
    assert describe(np.zeros(SHAPE), drawn(0), AXES) == ("JAX is zero, torch is not",)
    assert describe(drawn(0), np.zeros(SHAPE), AXES) == ("torch is zero, JAX is not",)


@pytest.mark.parametrize(
    ("actual", "expected", "fit"),
    [
        ((13, 5, 20), (5, 13, 20), "a transposition fits"),
        ((5, 13, 24), (5, 13, 3, 8), "a reshape fits"),
        ((5, 1, 20), (5, 13, 20), "they broadcast: an axis was summed or kept as 1"),
        ((5, 20), (5, 13, 20), "one has an axis more"),
        ((5, 13, 20), (13, 20), "one has an axis more"),
        ((5, 1, 20), (5, 13, 20, 1), "one has an axis more"),
        ((5,), (5, 13, 20), "neither a transposition nor a reshape fits"),
        ((7, 20), (5, 13, 20), "neither a transposition nor a reshape fits"),
        ((5, 12, 20), (5, 13, 20), "neither a transposition nor a reshape fits"),
    ],
)
def test_shapes_that_differ(actual, expected, fit):
    assert fitting_shapes(actual, expected) == fit
    found = describe(np.zeros(actual), np.ones(expected))
    assert found == (f"shapes differ: JAX {actual}, torch {expected}; {fit}",)
