"""What is said of a difference is what was done to the array, and nothing is said of arrays that are unrelated."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parity.judge import residual
from parity.judge.relations import fitting_shapes, number
from parity.judge.residual import describe, worst_elements
from parity.judge.support import axes_of, indices
from parity.judge.verdict import Element

LOWEST = float(np.finfo(np.float64).min)
SHAPE, AXES = (5, 13, 3, 8), "BTNH"
LENGTHS = np.array([13, 10, 7, 4, 2])
SEEN_BT = np.arange(13) < LENGTHS[:, None]


def drawn(seed: int, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


SEEDS = st.integers(0, 2**32)
FACTORS = st.floats(-4, 4).filter(lambda c: min(abs(c), abs(c - 1), abs(c + 1)) > 1e-3)
PLACES = st.integers(0, len(SHAPE) - 1)
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


@given(SEEDS, PLACES, st.data())
def test_only_some_indices(seed, place, data):
    expected, size = drawn(seed), SHAPE[place]
    chosen = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=size - 1)))
    actual = expected.copy()
    at = (slice(None),) * place + (chosen,)
    actual[at] = drawn(seed + 1)[at]
    axis = axes_of(SHAPE, AXES)[place]
    found = describe(actual, expected, AXES)
    assert found[0] == f"they differ only at {indices(np.array(chosen), axis)}"
    assert found[1].startswith("there: no simple relation: correlation ")
    actual[at] = expected[at] * 0.5
    assert describe(actual, expected, AXES) == (found[0], "there: JAX is 0.5 x torch")
    actual[at] = 0
    assert describe(actual, expected, AXES) == (found[0], "there: JAX is zero, torch is not")


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ([2], "head 2 (of 20)"),
        ([1, 3], "heads 1 and 3 (of 20)"),
        ([1, 3, 5], "heads 1, 3 and 5 (of 20)"),
        ([0, 1, 2, 3], "heads 0 to 3 (of 20)"),
        (range(0, 20, 2), "heads 0 to 18, every second (of 20)"),
        (range(1, 20, 4), "heads 1 to 17, one in 4 (of 20)"),
        (range(5, 20), "heads from 5 on (of 20)"),
        ([0, 1, 4, 5, 6, 8, 9, 11, 15], "heads 0, 1, 4, 5, ... (9 in all) (of 20)"),
    ],
)
def test_indices_in_words(chosen, text):
    assert indices(np.array(chosen), axes_of((20,), "N")[0]) == text


def test_several_axes_at_once():
    actual, expected = drawn(0), drawn(0)
    actual[2, 5:, 1] += 1
    assert describe(actual, expected, AXES) == (
        "they differ only at row 2 (of 5) and positions from 5 on (of 13) and head 1 (of 3)",
        "there: JAX is torch + 1",
    )
    assert describe(actual, expected)[0] == (
        "they differ only at axis 0's index 2 (of 5) and axis 1's indices from 5 on (of 13) and axis 2's index 1 (of 3)"
    )


@given(SEEDS)
def test_only_padding(seed):
    expected = np.where(SEEN_BT[..., None, None], drawn(seed), 0)
    end = "they differ only at the end of each row: positions from 13, 10, 7, 4 and 2 on"
    actual = np.where(SEEN_BT[..., None, None], expected, drawn(seed + 1))
    assert describe(actual, expected, AXES) == (end, "there: torch is zero, JAX is not")
    padding = "they differ only at positions that are padding, at every one"
    assert describe(actual, expected, AXES, SEEN_BT) == (padding, "there: torch is zero, JAX is not")
    actual[4, 12] = expected[4, 12]
    assert describe(actual, expected, AXES, SEEN_BT)[0] == "they differ only at positions that are padding"
    start = "they differ only at the start of each row: the first 13, 10, 7, 4 and 2 positions"
    bias = np.where(SEEN_BT[..., None, None], drawn(seed + 2, (3, 8)), 0)
    found = describe(expected + bias, expected, AXES)
    assert found[0] == start
    assert found[1].startswith("there: JAX is torch plus an offset per head and head channel, the same at every row")
    tokens = "they differ only at positions that are tokens, at every one"
    assert describe(expected + bias, expected, AXES, SEEN_BT)[0] == tokens


def test_what_the_mask_says_is_said_of_queries_and_of_keys():
    scores_BNTS, rest_BNTS = drawn(0, (5, 3, 13, 13)), drawn(1, (5, 3, 13, 13))
    for at, words in ((SEEN_BT[:, None, :, None], "positions"), (SEEN_BT[:, None, None, :], "key positions")):
        actual = np.where(at, scores_BNTS, rest_BNTS)
        found = describe(actual, scores_BNTS, "BNTS", SEEN_BT)
        assert found[0] == f"they differ only at {words} that are padding, at every one"
    # The end of every row, but of other lengths than the mask's: neither padding nor tokens, and no guess.
    shorter_BT = np.arange(13) < LENGTHS[:, None] - 1
    actual = np.where(shorter_BT[:, None, :, None], scores_BNTS, rest_BNTS)
    end = "they differ only at the end of each row: positions from 12, 9, 6, 3 and 1 on"
    assert describe(actual, scores_BNTS, "BNTS", SEEN_BT)[0] == end
    # A mask without padding has nothing to tell apart.
    assert describe(actual, scores_BNTS, "BNTS", np.ones_like(SEEN_BT))[0] == end
    one = scores_BNTS.copy()
    one[4, 0, 12, 3] += 1
    assert describe(one, scores_BNTS, "BNTS", SEEN_BT)[:3] == (
        "they differ at 1 of 2,535 entries only: (4, 0, 12, 3)",
        "they differ only at positions that are padding",
        "they differ only at key positions that are padding",
    )


def test_distances_between_query_and_key():
    scores_BNTS, rest_BNTS = drawn(0, (5, 3, 13, 13)), drawn(1, (5, 3, 13, 13))
    distances = np.arange(13) - np.arange(13)[:, None]
    for differs, text in (
        (distances > 0, "only at keys after their query"),
        (distances < 0, "only at keys before their query"),
        (distances == 0, "only at a query's own position"),
        (abs(distances) == 4, "only at keys 4 away from their query"),
        (abs(distances) >= 4, "only at keys 4 or more away from their query"),
        (abs(distances) <= 2, "only at keys up to 2 away from their query"),
    ):
        actual = np.where(differs, rest_BNTS, scores_BNTS)
        assert describe(actual, scores_BNTS, "BNTS")[0] == f"they differ {text}"
        assert describe(actual.swapaxes(2, 3), scores_BNTS.swapaxes(2, 3), "BNST")[0] == f"they differ {text}"


@given(SEEDS, st.lists(st.tuples(*(st.integers(0, size - 1) for size in SHAPE)), min_size=3, max_size=5, unique=True))
def test_single_entries(seed, places):
    assume(all(len(set(axis)) > 1 for axis in zip(*places, strict=True)))
    actual, expected = drawn(seed), drawn(seed)
    for place in places:
        actual[place] += 1
    at = ", ".join(map(str, sorted(places)))
    assert describe(actual, expected, AXES) == (
        f"they differ at {len(places)} of 1,560 entries only: {at}",
        "there: JAX is torch + 1",
    )


def test_one_entry_and_many_scattered_ones():
    actual, expected = drawn(0, (40,)), drawn(0, (40,))
    expected[7], actual[7] = 0.5, 1.5
    assert describe(actual, expected, "T") == (
        "they differ at 1 of 40 entries only: 7",
        "there: too few numbers to tell a relation: 1",
    )
    actual, expected = drawn(0, (40, 40)), drawn(0, (40, 40))
    actual.flat[::39] = drawn(1, (42,))
    assert describe(actual, expected, "TD")[0] == "they differ at 42 of 1,600 entries only, scattered"


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


def test_masks_that_fill_different_entries():
    scores_BNTS = drawn(0, (5, 3, 13, 13))
    seen = SEEN_BT[:, None, None, :]
    masked = np.where(seen, scores_BNTS, LOWEST)
    assert describe(np.where(seen, LOWEST, scores_BNTS), masked, "BNTS") == (
        "the mask is inverted: each side fills what the other leaves",
    )
    end = "the masks differ only at the end of each row: key positions from 13, 10, 7, 4 and 2 on"
    assert describe(masked, np.where(seen, scores_BNTS, 0.0), "BNTS") == (
        end,
        "JAX fills 1,131 of 2,535 entries that torch does not; there torch holds 0",
        "the entries that neither fills agree",
    )
    assert describe(scores_BNTS * 2, masked, "BNTS") == (
        end,
        "torch fills 1,131 of 2,535 entries that JAX does not",
        "the entries that neither fills differ, too",
    )


def test_a_factor_is_never_one_of_fills():
    """Half the entries are filled on one side: a factor over the others would be one of what is no difference."""
    scores_BNTS = drawn(0, (5, 3, 13, 13))
    masked = np.where(SEEN_BT[:, None, None, :], scores_BNTS, LOWEST)
    for fill in (-1e30, -1e9, -1e4):
        filled = np.where(masked == LOWEST, fill, scores_BNTS)
        said = f"JAX fills with -1.79769e+308, torch with {fill:.6g}"
        assert describe(masked, filled, "BNTS") == (said, "all other entries agree")
        assert describe(np.where(masked == LOWEST, LOWEST, 2 * scores_BNTS), filled, "BNTS") == (
            said,
            "JAX is 2 x torch",
        )


def test_fills_on_both_sides_take_no_part():
    masked = np.where(SEEN_BT[:, None, None, :], drawn(0, (5, 3, 13, 13)), LOWEST)
    half = np.where(masked == LOWEST, LOWEST, masked / 2)
    assert describe(half, masked, "BNTS") == ("JAX is 0.5 x torch",)


def test_what_is_not_finite():
    actual, expected = drawn(0), drawn(0)
    actual[1, 2, 0, 3] = math.nan
    assert describe(actual, expected, AXES) == (
        "not finite: JAX at 1 of 1,560 entries, torch at 0",
        "only one side is not finite at 1 of 1,560 entries only: (1, 2, 0, 3)",
        "where both are finite they agree",
    )
    expected[1, 2, 0, 3], actual[0] = math.inf, 0
    assert describe(actual, expected, AXES) == (
        "not finite: JAX at 1 of 1,560 entries, torch at 1, the same",
        "where both are finite they differ, too",
    )
    assert describe(np.full(3, math.nan), np.ones(3)) == ("not finite: JAX at 3 of 3 entries, torch at 0",)


@pytest.mark.parametrize(
    ("actual", "expected", "fit"),
    [
        ((13, 5, 20), (5, 13, 20), "a transposition fits"),
        ((5, 13, 24), (5, 13, 3, 8), "a reshape fits"),
        ((5, 1, 20), (5, 13, 20), "they broadcast: an axis was summed or kept as 1"),
        ((5, 20), (5, 13, 20), "one has an axis more"),
        ((5, 12, 20), (5, 13, 20), "neither a transposition nor a reshape fits"),
    ],
)
def test_shapes_that_differ(actual, expected, fit):
    assert fitting_shapes(actual, expected) == fit
    found = describe(np.zeros(actual), np.ones(expected))
    assert found == (f"shapes differ: JAX {actual}, torch {expected}; {fit}",)


def test_other_kinds_of_arrays():
    assert describe(np.arange(2), np.array(["a", "b"])) == ("torch gives <U1: only real numbers have differences",)
    assert describe(np.ones(2, complex), np.ones(2)) == ("JAX gives complex128: only real numbers have differences",)
    assert describe(np.zeros((0, 2)), np.zeros((0, 2))) == ("nothing to describe: both have shape (0, 2)",)
    assert describe(drawn(0), drawn(0), AXES) == ("no difference",)
    assert describe(np.arange(13) + 2, np.arange(13), "T") == ("JAX is torch + 2",)
    assert describe(~SEEN_BT, SEEN_BT, "BT") == ("JAX is torch negated",)
    assert describe(SEEN_BT[::-1], SEEN_BT, "BT")[0].startswith("rows are reversed: ")


@given(SEEDS, st.sampled_from(["float32", "int8", "uint64", "bool"]), st.sampled_from([1.0, 0.0, math.inf, 1e300]))
def test_nothing_raises(seed, dtype, size):
    with np.errstate(all="ignore"):
        actual, expected = ((drawn(seed + i, (3, 4)) * size).astype(dtype) for i in range(2))
    assert all(describe(actual, expected, "BT"))
    assert len(worst_elements(actual, expected, 3)) <= 3


def test_large_arrays_are_judged_by_a_part(monkeypatch):
    monkeypatch.setattr(residual, "_MOST_ENTRIES", 400)
    expected = drawn(0)
    assert describe(expected * 0.5, expected, AXES) == ("JAX is 0.5 x torch", "judged on 240 of 1,560 entries")
    actual = expected.copy()
    actual[:, 5:, 1] += drawn(1, (8,))
    found = describe(actual, expected, AXES)
    assert found[0] == "they differ only at positions from 5 on (of 13) and head 1 (of 3)"
    assert found[1].startswith("there: JAX is torch plus an offset per head channel")
    bias = describe(expected + drawn(1, (8,)), expected, AXES)
    assert bias[0].startswith("JAX is torch plus an offset per head channel")
    assert bias[1] == "judged on 240 of 1,560 entries"


def test_factors_have_names():
    assert [number(value) for value in (8**-0.5, 24**0.5, 1 / 3, 2.0, -1 / 3, 0.123, 1e9 / 3)] == [
        "0.353553 (1/sqrt(8))",
        "4.89898 (sqrt(24))",
        "0.333333 (1/3)",
        "2",
        "-0.333333",
        "0.123",
        "3.33333e+08",
    ]
    assert number(0.1234567) == "0.123457"


def test_the_elements_that_differ_most():
    expected = np.zeros((2, 3))
    actual = np.array([[0.0, 3.0, -1.0], [3.0, 0.0, 2.0]])
    assert worst_elements(actual, expected, 3) == (
        Element((0, 1), 3.0, 0.0),
        Element((1, 0), 3.0, 0.0),
        Element((1, 2), 2.0, 0.0),
    )
    assert len(worst_elements(actual, expected, 9)) == 4
    assert worst_elements(actual, expected, 0) == ()
    assert worst_elements(actual, actual.copy(), 3) == ()
    assert worst_elements(actual, np.zeros(6), 3) == ()
    actual[1, 1] = math.nan
    assert worst_elements(actual, expected, 1)[0].at == (1, 1)
    assert worst_elements(np.array([1, 2]), np.array([1, 5]), 2) == (Element((1,), 2, 5),)
    filled = np.array([LOWEST, 1.0])
    assert worst_elements(filled, np.array([LOWEST, 2.0]), 2) == (Element((1,), 1.0, 2.0),)
