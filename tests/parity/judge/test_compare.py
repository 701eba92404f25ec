import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from parity.judge.compare import SEMANTIC, STATISTIC, Comparison, compare

LOWEST = np.finfo(np.float64).min
RNG = np.random.default_rng(0)
FINITE = st.floats(-1e3, 1e3, allow_subnormal=False)


def run(actual, expected, **options) -> Comparison:
    return compare("site", np.asarray(actual), np.asarray(expected), **({"allowed": SEMANTIC} | options))


def test_records_the_worst_entry():
    expected = np.array([[1.0, -4.0, 2.0], [0.5, 3.0, 1.0]])
    actual = expected + [[0, 0, 0], [0, -1e-3, 1e-4]]
    assert run(actual, expected) == Comparison(
        site="site",
        shape=(2, 3),
        dtype="float64",
        error=abs(actual[1, 1] - 3.0) / 4,
        allowed=1e-10,
        worst_index=(1, 1),
        actual=actual[1, 1],
        expected=3.0,
        compared=6,
        scale=4.0,
        spread=7.0,
    )
    assert not run(actual, expected).agrees


@hypothesis.given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=0), elements=FINITE))
def test_equal_arrays_agree_at_error_zero(array):
    comparison = run(array, array.copy())
    assert (comparison.error, comparison.problem, comparison.agrees) == (0.0, "", True)
    assert comparison.compared == array.size


@hypothesis.given(hnp.arrays(np.float64, hnp.array_shapes(), elements=FINITE), st.data())
def test_one_changed_entry_is_found_and_named(array, data):
    scale = np.abs(array).max()
    hypothesis.assume(scale > 1e-3)
    where = tuple(data.draw(st.integers(0, size - 1)) for size in array.shape)
    changed = array.copy()
    changed[where] += 1e-9 * scale
    comparison = run(changed, array)
    assert not comparison.agrees
    assert comparison.worst_index == where
    assert comparison.error == pytest.approx(1e-9, rel=1e-2)


@hypothesis.given(hnp.arrays(np.float64, hnp.array_shapes(), elements=FINITE))
def test_the_error_does_not_depend_on_order_or_unit(array):
    other = array + 1e-7 * np.cos(np.arange(array.size)).reshape(array.shape)
    hypothesis.assume(np.abs(other).max() > 1e-3)
    error = run(array, other).error
    assert run(array.ravel()[::-1].copy(), other.ravel()[::-1].copy()).error == error
    assert run(array * 2.0**-20, other * 2.0**-20).error == error


# Checkers that lied.


@pytest.mark.parametrize("sides", [("actual",), ("expected",), ("actual", "expected")])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_agrees(sides, value):
    arrays = {"actual": np.ones((2, 3)), "expected": np.ones((2, 3))}
    for side in sides:
        arrays[side][1, 2] = value
    comparison = run(**arrays, allowed=0.999)
    assert not comparison.agrees
    assert comparison.problem == "not finite at 1 of 6 entries"
    assert comparison.worst_index == (1, 2)
    assert comparison.error == math.inf


def test_an_error_of_nan_does_not_agree():
    assert not run([1.0], [1.0])._replace(error=math.nan).agrees


def test_signed_differences_do_not_cancel():
    comparison = run([1.0, 2.0, 3.0], [1.5, 1.5, 3.0])
    assert comparison.error == pytest.approx(1 / 6)
    assert not comparison.agrees


def test_nothing_is_cropped_to_a_common_shape():
    whole = RNG.standard_normal((4, 3))
    comparison = run(whole[:2].copy(), whole)
    assert not comparison.agrees
    assert comparison == Comparison(
        *("site", (2, 3), "float64", math.inf, SEMANTIC, None, None, None),
        compared=0,
        scale=0.0,
        spread=0.0,
        problem="JAX gives float64[2, 3], torch gives float64[4, 3]",
    )


@pytest.mark.parametrize(("left", "right"), [((3, 1), (3, 3)), ((3,), (1, 3)), ((), (1,)), ((2, 3), (3, 2))])
def test_nothing_is_broadcast_or_reshaped(left, right):
    comparison = run(np.ones(left), np.ones(right))
    assert comparison.problem == f"JAX gives float64{list(left)}, torch gives float64{list(right)}"
    assert not comparison.agrees


def test_a_square_array_is_not_transposed_to_fit():
    square = RNG.standard_normal((4, 4))
    assert not run(square.T.copy(), square).agrees


def test_a_mean_that_agrees_does_not_help():
    array = RNG.standard_normal(100)
    assert not run(array[::-1].copy(), array).agrees


@pytest.mark.parametrize(
    ("left", "right"), [("float32", "float64"), ("int32", "int64"), ("bool", "int8"), ("float64", "int64")]
)
def test_dtypes_are_not_cast(left, right):
    comparison = run(np.ones(2, left), np.ones(2, right))
    assert comparison.problem == f"JAX gives {left}[2], torch gives {right}[2]"
    assert not comparison.agrees


def test_a_dtype_that_drifted_on_both_sides_fails():
    single = np.ones(2, np.float32)
    comparison = run(single, single.copy(), dtype=np.dtype(np.float64))
    assert comparison.problem == "both sides give float32, must be float64"
    assert not comparison.agrees
    assert run(np.arange(2), np.arange(2), dtype=np.dtype(np.float64)).agrees


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_every_floating_dtype_is_accepted_where_none_is_asked_for(dtype):
    assert run(np.ones(2, dtype), np.ones(2, dtype)).agrees


@pytest.mark.parametrize("dtype", ["complex128", "object", "datetime64[s]", "S3"])
def test_what_cannot_be_judged_fails(dtype):
    array = np.zeros(2, dtype)
    comparison = run(array, array.copy())
    assert comparison.problem == f"{array.dtype} cannot be compared: must be float, integer or bool"
    assert not comparison.agrees


def test_empty_arrays_fail():
    comparison = run(np.ones((2, 0)), np.ones((2, 0)))
    assert comparison.problem == "nothing to compare: both sides give float64[2, 0]"
    assert not comparison.agrees


def test_an_array_compared_with_itself_fails():
    array = RNG.standard_normal((4, 4))
    assert run(array, array).problem == "both sides give the same memory: an array was compared with itself"
    assert not run(array[1:], array[:-1]).agrees


def test_a_masked_array_cannot_hide_entries():
    hidden = np.ma.masked_array([1.0, 2.0], mask=[False, True])
    comparison = compare("site", hidden, np.array([1.0, 5.0]), allowed=SEMANTIC)
    assert comparison.problem == "JAX gives a MaskedArray, which may hide entries; must be a plain array"
    comparison = compare("site", np.array([1.0, 5.0]), hidden, allowed=SEMANTIC)
    assert comparison.problem.startswith("torch gives a MaskedArray")


@pytest.mark.parametrize("allowed", [-1e-3, 1.0, math.inf, math.nan])
def test_a_tolerance_that_decides_by_itself_is_refused(allowed):
    with pytest.raises(ValueError, match="site: allowed must be at least 0 and below 1, got"):
        run([1.0], [1.0], allowed=allowed)


def test_nothing_at_all_may_be_allowed():
    assert run([1.0], [1.0], allowed=0.0).agrees
    assert not run([1.0], [np.nextafter(1.0, 2.0)], allowed=0.0).agrees


def test_an_error_of_what_is_allowed_agrees_and_the_next_larger_does_not():
    assert run([1.5], [1.0], allowed=0.5).agrees
    assert not run([np.nextafter(1.5, 2.0)], [1.0], allowed=0.5).agrees


# Scale.


def test_a_least_scale_is_for_what_cancels():
    assert run([1e-17], [-1e-17]).error == 2.0
    cancelled = run([1e-17], [-1e-17], scale=4.0)
    assert (cancelled.error, cancelled.scale) == (5e-18, 4.0)
    assert run([8.5], [8.0], scale=4.0).error == 0.0625


@pytest.mark.parametrize("scale", [-1.0, math.inf, math.nan])
def test_a_scale_that_decides_by_itself_is_refused(scale):
    with pytest.raises(ValueError, match="site: scale must be at least 0 and finite, got"):
        run([1.0], [1.0], scale=scale)


def test_zeros_agree_with_zeros_only():
    assert run(np.zeros(3), np.zeros(3)).error == 0.0
    comparison = run([0.0, 1e-300, 0.0], np.zeros(3))
    assert (comparison.error, comparison.worst_index, comparison.agrees) == (math.inf, (1,), False)
    assert not run(np.zeros(3), [0.0, 1e-300, 0.0]).agrees


def test_differences_beyond_the_largest_float_fail():
    comparison = run([1e308], [-1e308])
    assert (comparison.error, comparison.agrees) == (math.inf, False)


# Integers and booleans.


@pytest.mark.parametrize(
    ("actual", "expected", "error", "where"),
    [
        (np.array([1, 2, 3, 4]), np.array([1, 2, 4, 4]), 0.25, (2,)),
        (np.array([True, False]), np.array([False, True]), 1.0, (0,)),
        (np.array([2**63], np.uint64), np.array([0], np.uint64), 1.0, (0,)),
    ],
)
def test_integers_and_booleans_are_exact(actual, expected, error, where):
    comparison = run(actual, expected, allowed=0.5)
    assert (comparison.error, comparison.allowed, comparison.worst_index) == (error, 0.0, where)
    assert (comparison.actual, comparison.expected) == (actual[where], expected[where])
    assert comparison.compared == expected.size
    assert not comparison.agrees


def test_a_statistic_agrees_up_to_what_chance_leaves():
    by_chance = [Comparison("site", (), "bool", error, STATISTIC) for error in (0.0, 1.0, 1.0 + 1e-15)]
    assert [(one.by_chance, one.agrees) for one in by_chance] == [(True, True), (True, True), (True, False)]
    assert not run([1.0], [1.0]).by_chance


def test_equal_integers_agree():
    comparison = run(np.array([-7, 2, 2]), np.array([-7, 2, 2]))
    assert (comparison.agrees, comparison.scale, comparison.spread) == (True, 7.0, 9.0)
    flags = run(np.array([True, False]), np.array([True, False]))
    assert (flags.agrees, flags.scale, flags.spread) == (True, 1.0, 1.0)
