"""How exact a relation must be to be told, how much of a large array is looked at, and how much is said."""

import numpy as np
import pytest

from parity.judge.residual import describe, worst_elements
from tests.parity.judge.arrays import LOWEST, drawn

# Magnitudes up to 0.75, so that what is told relative to the arrays' scale is told relative to 1.
EXPECTED = drawn(0, (20, 30)).clip(-3, 3) / 4


def with_one_off(values: np.ndarray, off: float) -> np.ndarray:
    values = values.copy()
    values[3, 4] += off
    return values


@pytest.mark.parametrize(("off", "told"), [(0.9e-9, True), (1.1e-9, False)])
def test_a_relation_holds_to_nine_digits_of_the_scale(off, told):
    found = describe(with_one_off(EXPECTED / 2, off), EXPECTED)
    assert found == ("JAX is 0.5 x torch",) if told else found[0].startswith("no simple relation")


@pytest.mark.parametrize(("part", "told"), [(0.9, True), (1.1, False)])
def test_a_relation_leaves_a_thousandth_of_the_difference(part, told):
    actual = EXPECTED * (1 + 1e-8)
    off = part * 1e-3 * np.abs(actual - EXPECTED).max()
    found = describe(with_one_off(actual, off), EXPECTED)
    assert found == ("JAX is (1 + 1e-08) x torch",) if told else found[0].startswith("no simple relation")


def test_the_scale_is_that_of_the_larger_side():
    for unit in (2.0**40, 2.0**-40):
        assert describe(unit * EXPECTED, EXPECTED)[0].endswith(" x torch")
        assert describe(unit * EXPECTED + unit / 8, unit * EXPECTED) == (f"JAX is torch + {unit / 8:.6g}",)


def test_offsets_are_told_up_to_the_largest_number():
    expected = np.array([1e308, 3e307, 5e307, 2e307])
    assert describe(expected + 5e307, expected) == ("JAX is torch + 5e+307",)
    assert describe(-expected, expected) == ("JAX is torch negated",)
    tiny = np.array([5e-324, 1e-323, 3e-323, 0.0])
    assert describe(2 * tiny, tiny) == ("JAX is 2 x torch",)


def test_half_a_million_entries_are_looked_at_and_of_more_every_second():
    expected = drawn(0, (2**19 + 1,))
    assert describe(expected[1:] / 2, expected[1:]) == ("JAX is 0.5 x torch",)
    assert describe(expected / 2, expected) == ("JAX is 0.5 x torch", "judged on 262,145 of 524,289 entries")


def test_a_difference_that_lies_between_the_entries_looked_at_is_no_move():
    expected_TS = drawn(0, (2**10, 2**10))
    expected_TS[0, ::2] = LOWEST
    masked_TS = expected_TS.copy()
    masked_TS[1, 3] = LOWEST
    assert describe(masked_TS, expected_TS, "TS") == (
        "the masks differ at 1 of 1,048,576 entries only: (1, 3)",
        "JAX fills 1 of 1,048,576 entries that torch does not; there torch holds " + f"{expected_TS[1, 3]:.6g}",
        "the entries that neither fills agree",
    )
    expected_BD = drawn(0, (2, 2**20))
    actual_BD = expected_BD.copy()
    actual_BD[1, 1::2] *= 3
    assert (
        describe(actual_BD, expected_BD, "BD")[0]
        == "they differ only at row 1 (of 2) and channels 1 to 1048575, every second (of 1,048,576)"
    )


def test_no_more_than_four_findings_are_told():
    scores_BNTS, seen_BS = drawn(0, (3, 2, 9, 9)), np.arange(9) < np.array([[1], [1], [2]])
    distances = np.arange(9) - np.arange(9)[:, None]
    differs = ~seen_BS[:, None, :, None] & ~seen_BS[:, None, None, :] & (distances > 0) & (distances < 3)
    actual = np.where(differs & np.array([False, True])[:, None, None], 2 * scores_BNTS, scores_BNTS)
    assert describe(actual, scores_BNTS, "BNTS", seen_BS) == (
        "they differ only at positions that are padding",
        "they differ only at key positions that are padding",
        "they differ only at keys after their query",
        "they differ only at keys up to 2 away from their query",  # not: only at head 1; there: JAX is 2 x torch
    )
    assert describe(actual[:, 1:], scores_BNTS[:, 1:], "BNTS")[-1] == "there: JAX is 2 x torch"


def test_thousands_of_entries_are_counted_in_thousands():
    actual = np.zeros((40, 50))
    actual[:30] = np.nan
    assert describe(actual, np.zeros((40, 50)))[0] == "not finite: JAX at 1,500 of 2,000 entries, torch at 0"
    assert describe(np.zeros((40, 50)), actual)[0] == "not finite: JAX at 0 of 2,000 entries, torch at 1,500"


def test_a_fill_of_its_own_is_told_where_it_is_one():
    values = drawn(0, (8,)).clip(-1, 1)
    filled = np.append(values, [-1e9, -1e9, -1e9])
    assert describe(filled, np.append(values, [-1e5] * 3)) == (
        "JAX fills with -1e+09, torch with -100000",
        "all other entries agree",
    )
    # One entry may have any value, and so may integers: neither is a fill.
    assert describe(np.append(values, -1e9), np.append(values, -1e5))[0].startswith("they differ at 1 of 9 entries")
    assert describe(np.array([-900, -900, 1, 2]), np.array([-900, -900, 1, 3]))[0].startswith("they differ at 1 of 4")


def test_one_entry_may_be_filled_with_the_lowest_value():
    values = drawn(0, (8,))
    single, double = float(np.finfo(np.float32).min), LOWEST
    assert describe(np.append(2 * values, double), np.append(values, double)) == ("JAX is 2 x torch",)
    narrow = np.append(np.float32(values), np.float32(single))
    assert describe(narrow, np.append(narrow[:-1].astype(np.float64), double)) == (
        "JAX fills with -3.40282e+38, torch with -1.79769e+308",
        "all other entries agree",
    )


def test_arrays_of_fill_alone_have_nothing_else_to_tell():
    filled = np.full(5, np.finfo(np.float32).min)
    assert describe(filled, np.full(5, LOWEST)) == (
        "JAX fills with -3.40282e+38, torch with -1.79769e+308",
        "all other entries agree",
    )
    assert describe(filled, filled.copy()) == ("no difference",)


def test_a_difference_of_the_tolerance_counts_as_none():
    expected = np.append(drawn(0, (18,)).clip(-0.5, 0.5), [0.75, 0.0])
    actual = expected + np.append(np.zeros(18), [2.0**-20, 1e-3 * 2.0**-20])
    assert describe(actual, expected)[0] == "they differ at 1 of 20 entries only: 18"
    actual[19] = np.nextafter(actual[19], 1.0)
    assert describe(actual, expected)[0] == "they differ only at axis 0's indices 18 and 19 (of 20)"


def test_what_is_not_finite_on_one_side_only_is_told_from_what_is_on_both():
    actual, expected = drawn(0, (30,)), drawn(0, (30,))
    actual[3] = expected[3] = np.nan
    actual[7], expected[8] = np.nan, np.inf
    assert describe(actual, expected, "D")[:2] == (
        "not finite: JAX at 2 of 30 entries, torch at 2",
        "only one side is not finite only at channels 7 and 8 (of 30)",
    )


def test_the_worst_of_many_and_of_none():
    expected = np.zeros(100)
    actual = np.where(np.arange(100) % 7 == 0, np.arange(100.0), 0.0)
    assert [one.at for one in worst_elements(actual, expected, 3)] == [(98,), (91,), (84,)]
    assert [one.at for one in worst_elements(-actual, expected, 14)] == [(i,) for i in range(98, 0, -7)]
    assert [one.at for one in worst_elements(actual, expected, 15)] == [(i,) for i in range(98, 0, -7)]
    one = np.array([LOWEST, np.inf, -np.inf, 1.0])
    assert [each.at for each in worst_elements(one, np.array([LOWEST, np.inf, np.inf, 2.0]), 4)] == [(2,), (3,)]


def test_the_worst_of_a_large_array_are_those_that_sorting_gives():
    actual, expected = drawn(0, (40, 50)), drawn(1, (40, 50))
    worst = sorted(np.ndindex(40, 50), key=lambda at: -abs(actual[at] - expected[at]))[:9]
    assert [one.at for one in worst_elements(actual, expected, 9)] == worst
    alike = worst_elements(np.ones((40, 50)), np.zeros((40, 50)), 60)
    assert [one.at for one in alike] == list(np.ndindex(40, 50))[:60]  # in the order they stand
