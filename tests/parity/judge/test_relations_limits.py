"""Where each relation ends: the smallest example that is told, beside the largest that is not."""

import numpy as np
import pytest

from parity.judge.relations import Pair, moves, relations, tables
from parity.judge.support import axes_of
from tests.parity.judge.arrays import drawn


def paired(actual, expected, counts=None, *, axes: str = "", tolerance: float = 1e-9, unit: float = 1.0) -> Pair:
    actual, expected = np.asarray(actual, float), np.asarray(expected, float)
    counts = np.ones(actual.shape, bool) if counts is None else np.asarray(counts, bool)
    return Pair(actual, expected, counts, tolerance, axes_of(actual.shape, axes), unit)


def test_a_difference_of_the_tolerance_counts_as_none():
    pair = paired([1.5, 9.0], [0, 0], [True, False], tolerance=0.5)
    assert pair.explains(np.array([1.0, 0.0]))
    assert not pair.explains(np.array([np.nextafter(1.0, 0.0), 9.0]))
    assert not pair.equals(np.array([1.0, 0.0]))
    assert pair.equals(np.array([1.0, 8.5]))
    assert paired([1.5], [0], [False], tolerance=0.0).explains(np.zeros(1))  # what does not count needs no reason


# One number for all.


def test_three_numbers_stand_in_a_relation_and_two_in_any():
    expected = drawn(0, (4,))
    pair = paired(2 * expected, expected, [True, True, True, False])
    assert relations(pair) == ("JAX is 2 x torch",)
    assert relations(pair._replace(counts=np.array([True, True, False, False]))) == ()


def test_nothing_that_counts_is_no_zero():
    assert relations(paired([1.0, 2.0, 3.5], [2.0, 2.5, 7.5], [False] * 3)) == ()


def test_a_sum_of_squares_that_vanishes_divides_nothing():
    assert relations(paired([1.0, 2.0, 3.0], [1e-200, 3e-200, 2e-200], tolerance=1e-12)) == ()


@pytest.mark.parametrize(("off", "text"), [(9e-10, "JAX is torch negated"), (1.1e-9, "JAX is -1 x torch")])
def test_negated_to_nine_digits(off, text):
    expected = drawn(0, (5,))
    assert relations(paired(-(1 + off) * expected, expected, tolerance=1e-8)) == (text,)


# Rounding.


def clusters(count: int) -> tuple[np.ndarray, np.ndarray]:
    """So many numbers of bfloat16, and ten numbers that are rounded to each."""
    low = np.repeat(0.5 + np.arange(count) / 64, 10)
    return low, low * (1 + 1e-4 * np.abs(drawn(0, low.shape)).clip(0.1, 1))


def test_eight_different_values_tell_a_rounding_and_seven_do_not():
    for count, text in ((8, "rounded to bfloat16"), (7, "")):
        low, high = clusters(count)
        assert relations(paired(low, high)) == (f"JAX is torch {text}",) * bool(text)
        assert relations(paired(high, low)) == (f"torch is JAX {text}",) * bool(text)


def test_whole_numbers_are_not_rounded():
    whole, near = np.arange(1.0, 40.0, 2), np.arange(1.0, 40.0, 2) + 0.01 * drawn(0, (20,))
    assert relations(paired(whole / 64, near / 64, unit=64.0)) == ()
    assert relations(paired(whole / 64, near / 64, unit=16.0)) == ("JAX is torch rounded to bfloat16",)


def test_one_in_a_hundred_may_be_rounded_the_other_way():
    low, high = clusters(10)
    low[0] += 2.0**-8
    assert relations(paired(low, high)) == ("JAX is torch rounded to bfloat16",)
    low[10] += 2.0**-8
    assert relations(paired(low, high)) == ("JAX holds bfloat16 values only, torch does not: computed in bfloat16",)


def test_two_sides_of_low_precision_are_not_roundings_of_each_other():
    low, _ = clusters(10)
    assert relations(paired(low + np.tile([2.0**-8, -(2.0**-8)], 50), low)) == ()


def test_low_precision_values_far_from_the_others_were_not_computed_from_them():
    low, high = clusters(10)
    high[:50] += 0.01
    high[0] = low[0] + 2.0**-5
    assert relations(paired(low, high))[0].endswith("computed in bfloat16")
    high[0] = np.nextafter(high[0], 1.0)
    assert relations(paired(low, high)) == ()
    fraction, exponent = np.frexp(drawn(1))
    unrelated = np.ldexp(np.rint(fraction * 256), exponent - 8)
    assert relations(paired(unrelated, drawn(0))) == ()


# Values elsewhere.


def test_axes_of_two_are_transposed_too():
    expected = drawn(0, (2, 2, 3))
    assert list(moves(paired(expected.swapaxes(0, 1), expected))) == ["axes 0 and 1 are transposed"]


def test_permutations_of_twelve_are_written_out_and_of_thirteen_are_not():
    order = [1, 2, 0, *range(3, 12)]
    (found,) = moves(paired(drawn(0, (12,))[order], drawn(0, (12,)), axes="D"))
    assert found == "channels are permuted: JAX's 0,1,2,3,4,5,6,7,8,9,10,11 are torch's 1,2,0,3,4,5,6,7,8,9,10,11"
    (found,) = moves(paired(drawn(0, (13,))[[*order, 12]], drawn(0, (13,)), axes="D"))
    assert found == "channels are permuted: JAX's channel 0 is torch's channel 1"


def test_interleaving_by_any_divisor():
    expected = drawn(0, (6,))
    for rows in (2, 3):
        order = np.arange(6).reshape(rows, -1).T.ravel()
        (found,) = moves(paired(expected[order], expected, axes="D"))
        assert found.startswith(f"channels are interleaved (those of {6 // rows} x {rows} as {rows} x {6 // rows}): ")


@pytest.mark.parametrize("shape", [(5, 1, 2, 3), (2, 3, 1, 5), (5, 2, 3, 1), (3, 2)])
def test_axes_of_two_are_split_in_the_other_order_whatever_is_beside_them(shape):
    expected = drawn(0, shape)
    i = next(i for i in range(len(shape) - 1) if {*shape[i : i + 2]} == {2, 3})
    (found,) = moves(paired(expected.swapaxes(i, i + 1).reshape(shape), expected))
    names = f"axis {i}'s indices and axis {i + 1}'s indices"
    assert found == f"{names} are split in the other order, ({i}, {i + 1}) as ({i + 1}, {i})"


def test_slices_of_one_sum_are_told_apart():
    expected = np.array([[1.0, 2, 3], [2, 3, 1], [3, 1, 2]])
    (found,) = moves(paired(expected[[2, 0, 1]], expected, axes="BD"))
    assert found == "rows are rolled by 1: JAX's 0,1,2 are torch's 2,0,1"


def test_slices_that_are_nearly_alike_stay_where_they_are():
    expected = drawn(0, (4, 5))
    expected[3] = expected[2] + 1e-12
    actual = expected[[1, 0, 2, 3]]
    actual[2] += 1e-11
    assert list(moves(paired(actual, expected, axes="BD"))) == ["rows 0 and 1 are swapped"]


def test_what_is_where_it_was_has_not_moved():
    assert list(moves(paired(np.ones((1, 1, 4)), np.ones((1, 1, 4))))) == []


def test_what_lies_nowhere_else_has_not_moved():
    assert list(moves(paired(drawn(1), drawn(0)))) == []


# A number for every index of some axes.


def table(shape: tuple[int, ...], axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers, and the same with another offset at every index of an axis."""
    expected = drawn(0, shape)
    return expected + drawn(1, [size if i == axis else 1 for i, size in enumerate(shape)]), expected


def test_every_number_is_seen_twice_on_the_average():
    pair = paired(*table((5, 2), 0), axes="BD")
    (found,) = tables(pair)
    assert found.startswith("JAX is torch plus an offset per row, the same at every channel: ")
    counts = np.ones((5, 2), bool)
    counts[0, 0] = False
    assert tables(pair._replace(counts=counts)) == ()  # nine for five numbers
    counts[0, 1] = False
    assert len(tables(pair._replace(counts=counts))) == 1  # eight for four
    assert tables(paired(*table((3, 2), 0), [[1, 1], [1, 0], [0, 1]])) == ()  # four for three


def test_a_row_that_is_seen_once_or_not_at_all_spoils_no_other():
    actual, expected = np.array([[3.0, 4, 5], [7, 9, 9], [9, 9, 9]]), np.array([[1.0, 2, 3], [2, 9, 9], [9, 9, 9]])
    counts = [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert tables(paired(actual, expected, counts, axes="BD")) == (
        "JAX is torch plus an offset per row, the same at every channel: 2, 5 and 0",
    )
    actual, expected = np.array([[2, 7, 6], [1, 2, 9], [0, 0, 0]]), np.array([[1, 7, 3], [0.25, 0.5, 9], [0, 0, 0]])
    counts = [[1, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert tables(paired(actual, expected, counts, axes="BD")) == (
        "JAX is torch times a factor per row, the same at every channel: 2, 4 and 1",
    )


def test_the_fewest_numbers_are_tried_first():
    expected = drawn(0, (5, 3))
    assert tables(paired(expected + 0.5, expected))[0].startswith("JAX is torch plus an offset per axis 1's index, ")


def test_a_table_without_three_numbers_to_it_is_none():
    actual, expected = table((3, 5), 1)
    counts = np.zeros((3, 5), bool)
    counts[:, 0] = True
    # By rows every number is seen once; by columns one is seen three times.
    assert tables(paired(actual, expected, counts, axes="BD"))[0].startswith("JAX is torch plus an offset per channel")
    counts[2, 0] = False
    assert tables(paired(actual, expected, counts, axes="BD")) == ()


def test_axes_of_one_index_are_not_spoken_of():
    (found,) = tables(paired(*table((1, 1, 1, 1, 1, 1, 2, 3), 6)))
    assert found.startswith("JAX is torch plus an offset per axis 6's index, the same at every axis 7's index: ")


@pytest.mark.parametrize(("axis", "told"), [(5, True), (6, False)])
def test_six_axes_are_enough(axis, told):
    assert len(tables(paired(*table((2,) * 7, axis)))) == told
