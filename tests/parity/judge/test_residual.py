"""What is said of a difference as a whole: masks, what is not finite, large arrays, the elements that differ most."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from parity.judge import residual
from parity.judge.residual import describe, worst_elements
from parity.judge.verdict import Element
from tests.parity.judge.arrays import AXES, LOWEST, SEEDS, SEEN_BT, drawn


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
