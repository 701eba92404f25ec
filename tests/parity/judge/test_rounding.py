import math

import numpy as np
import pytest
from ml_dtypes import bfloat16

from parity.errors import MismatchError
from parity.judge.rounding import (
    DIGITS,
    FLOOR,
    MULTIPLE,
    BugTrace,
    PrecisionTrace,
    allowed,
    epsilon,
    explain,
    measure,
    ratio,
)
from parity.judge.sites import Site
from parity.judge.verdict import SiteError

RNG = np.random.default_rng(0)
EXACT = RNG.standard_normal((5, 7))
LOWEST = {dtype: float(np.finfo(dtype).min) for dtype in (np.float64, np.float32)}


def noisy(size: float, seed: int, exact: np.ndarray = EXACT) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(exact.shape)
    return (exact * (1 + size * noise)).astype(np.float32)


def traced(ours, theirs, exact=EXACT, name: str = "x") -> PrecisionTrace:
    return PrecisionTrace((Site(name, exact),), (Site(name, ours),), (Site(name, theirs),))


def test_epsilons_are_those_of_the_dtypes():
    assert epsilon("float32") == np.finfo(np.float32).eps
    assert epsilon("bfloat16") == 2.0**-7 == float(bfloat16(1.0078125)) - 1
    assert set(DIGITS) == {"float32", "bfloat16"}


def test_an_error_is_the_root_mean_square_in_units_of_the_references():
    ours, theirs = EXACT.copy().astype(np.float32), noisy(1e-5, 1)
    exact = ours.astype(np.float64)
    ours[2, 3] += 0.5
    [error] = measure(traced(ours, theirs, exact), "float32")
    assert error.ours == pytest.approx(0.5 / math.sqrt((exact**2).sum()), rel=1e-6)
    assert error.theirs == pytest.approx(np.sqrt(((theirs - exact) ** 2).mean() / (exact**2).mean()))
    assert error.allowed == MULTIPLE * error.theirs
    assert not error.agrees
    assert ratio(error) == pytest.approx(error.ours / error.theirs)


def test_as_much_rounding_as_theirs_agrees_and_much_more_does_not():
    for size in (1e-7, 1e-4):
        [fair] = measure(traced(noisy(size, 1), noisy(size, 2)), "float32")
        assert fair.agrees
        [too_much] = measure(traced(noisy(3 * MULTIPLE * size, 1), noisy(size, 2)), "float32")
        assert not too_much.agrees


def test_where_theirs_is_exact_one_rounding_is_allowed():
    exact = EXACT.astype(np.float32).astype(np.float64)
    [error] = measure(traced(exact.astype(bfloat16), exact.astype(np.float32), exact), "bfloat16")
    assert error.theirs == 0
    assert 0 < error.ours < error.allowed == MULTIPLE * FLOOR * epsilon("bfloat16")
    [error] = measure(traced(exact.astype(bfloat16), exact.astype(np.float32), exact), "float32")
    assert not error.agrees


def test_a_masks_fill_takes_no_part_whatever_it_was_made_in():
    fill = RNG.random(EXACT.shape) < 0.5
    exact = np.where(fill, LOWEST[np.float64], EXACT)
    theirs = np.where(fill, np.float32(LOWEST[np.float32]), noisy(1e-7, 1))
    narrow = np.where(fill, float(np.array(-3.3895313892515355e38)), EXACT).astype(bfloat16)
    for ours in (theirs.copy(), narrow, narrow.astype(np.float32)):
        [error] = measure(traced(ours, theirs, exact), "bfloat16")
        assert error.agrees
        assert error.ours < 0.01
    everything = np.full_like(EXACT, LOWEST[np.float64])
    [error] = measure(
        traced(np.full_like(theirs, LOWEST[np.float32]), theirs * 0 + LOWEST[np.float32], everything), "float32"
    )
    assert (error.ours, error.theirs) == (0, 0)


def test_fill_adds_nothing_to_the_error_and_nothing_to_its_unit():
    exact = np.array([2.0, LOWEST[np.float64], LOWEST[np.float64]])
    ours = np.array([2.5, LOWEST[np.float32], LOWEST[np.float32]], np.float32)
    [error] = measure(traced(ours, ours, exact), "float32")
    assert (error.ours, error.theirs) == (0.25, 0.25)


@pytest.mark.parametrize("value", [math.inf, 1e200])
def test_a_reference_without_a_size_fails_and_warns_of_nothing(value):
    exact = np.array([value, 1.0])
    with np.errstate(over="ignore"):
        ours = exact.astype(np.float32)
    [error] = measure(traced(ours, ours.copy(), exact), "float32")
    assert (error.ours, error.agrees) == (math.inf, False)
    [error] = measure(traced(np.ones(2, np.float32), ours, exact), "float32")
    assert (error.ours, error.agrees) == (math.inf, False)


def with_entry(value: float) -> np.ndarray:
    array = noisy(1e-7, 1)
    array[1, 2] = value
    return array


UNUSABLE = {
    "nan": with_entry(math.nan),
    "inf": with_entry(math.inf),
    "fill": with_entry(LOWEST[np.float32]),
    "float64": EXACT.copy(),
    "shape": noisy(1e-7, 1).T,
    "broadcast": noisy(1e-7, 1)[:1],
}


@pytest.mark.parametrize("wrong", UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_measured_fails_on_either_side(wrong):
    good = noisy(1e-7, 2)
    [ours] = measure(traced(wrong, good), "float32")
    assert (ours.ours, ours.agrees, ratio(ours)) == (math.inf, False, math.inf)
    [theirs] = measure(traced(good, wrong), "float32")
    assert math.isnan(theirs.theirs)
    assert not theirs.agrees
    assert ratio(theirs) == math.inf


def test_nan_everywhere_in_all_three_fails():
    nothing = np.full((2, 2), math.nan)
    [error] = measure(traced(nothing.astype(np.float32), nothing.astype(np.float32), nothing), "float32")
    assert not error.agrees


def test_an_empty_value_fails():
    empty = np.zeros((0, 3))
    [error] = measure(traced(empty.astype(np.float32), empty.astype(np.float32), empty), "float32")
    assert not error.agrees


def test_a_value_of_zero_must_be_zero():
    zero = np.zeros((2, 3))
    [error] = measure(traced(zero.astype(np.float32), zero.astype(np.float32), zero), "float32")
    assert (error.ours, error.agrees) == (0, True)
    [error] = measure(traced(noisy(1e-7, 1)[:2, :3], zero.astype(np.float32), zero), "float32")
    assert (error.ours, error.agrees) == (math.inf, False)


def sites(names: str) -> tuple[Site, ...]:
    return tuple(Site(name, noisy(1e-7, ord(name))) for name in names)


def reference(names: str) -> tuple[Site, ...]:
    return tuple(Site(name, EXACT) for name in names)


@pytest.mark.parametrize(
    ("ours", "theirs", "failing"),
    [
        ("abc", "abc", ""),
        ("ab", "abc", "c"),
        ("abc", "ac", "b"),
        ("abcd", "abc", "d"),
        ("abc", "abcd", "d"),
        ("adbc", "abc", "d"),
        ("abc", "dabc", "d"),
        ("acb", "abc", "bc"),
        ("abc", "bac", "ab"),
        ("", "abc", "abc"),
    ],
)
def test_names_and_their_order_must_be_the_references(ours, theirs, failing):
    errors = measure(PrecisionTrace(reference("abc"), sites(ours), sites(theirs)), "float32")
    assert "".join(error.site for error in errors if not error.agrees) == failing


def test_nothing_to_measure_and_doubled_names_are_refused():
    with pytest.raises(MismatchError, match=r"^the reference computes no value: there is no error to measure$"):
        measure(PrecisionTrace((), (), ()), "float32")
    with pytest.raises(MismatchError, match="doubled"):
        measure(PrecisionTrace(reference("a"), sites("aa"), sites("a")), "float32")


def test_allowed_grows_with_theirs_from_the_floor_on():
    assert allowed(0.0, "float32") == allowed(FLOOR * 2.0**-23, "float32") == MULTIPLE * FLOOR * 2.0**-23
    assert allowed(1e-3, "float32") == MULTIPLE * 1e-3
    assert math.isnan(allowed(math.nan, "float32"))
    # As calibrated, in figures: sixteen times what theirs is, or what four units in the last place are.
    assert (allowed(1e-3, "bfloat16"), allowed(0.0, "bfloat16")) == (0.03125, 0.03125)
    assert (allowed(1e-3, "float32"), allowed(0.0, "float32")) == (0.016, 2.0**-21)


def test_where_nothing_is_allowed_the_ratio_is_infinite():
    assert ratio(SiteError("x", 1e-3, 0.0, 0.0)) == math.inf
    assert ratio(SiteError("x", 0.5, 0.25, 2.0)) == 4.0


def bug(name: str, value: np.ndarray) -> BugTrace:
    return BugTrace(name, f"{name} it is", (Site("x", value),))


def test_the_mistake_that_gives_our_values_explains_them():
    ours = EXACT.astype(bfloat16).astype(np.float32)
    trace = traced(ours, noisy(1e-7, 1))
    nearly = bug("nearly", ours + np.float32(1e-4) * noisy(1, 3))
    bugs = [nearly, bug("exactly", ours.copy()), bug("not", noisy(1e-7, 4)), bug("other", ours[:1])]
    first, second = explain(trace, "x", bugs)
    assert (first.bug, first.mistake, first.side, first.residual) == ("exactly", "exactly it is", "JAX", 0)
    assert second.bug == "nearly"
    assert explain(trace, "x", [nearly, bug("exactly", ours.copy()), bug("nearly", ours.copy())])[0].residual == 0
    forms = [bug("two forms", ours.copy()), nearly, bug("two forms", ours + np.float32(3e-4) * noisy(1, 5))]
    assert [one.bug for one in explain(trace, "x", forms)] == ["two forms", "nearly"]
    assert explain(trace, "x", [*bugs, BugTrace("", "", (Site("x", ours),))]) == ()
    assert 0 < second.residual < 1e-3


@pytest.mark.parametrize(
    ("value", "size", "explained"),
    [
        *((1.5, 3, True), (1.25, 3, True), (1.75, 3, True), (1.2421875, 3, False), (1.7578125, 3, False)),
        *((1.5, 2, False), (1.5, 1, False)),  # of one number or two nothing is told
    ],
)
def test_half_of_the_error_must_go(value, size, explained):
    trace = traced(np.full(size, 1.5, np.float32), np.ones(size, np.float32), np.ones(size))
    found = explain(trace, "x", [bug("it", np.full(size, value, np.float32))])
    assert [one.residual for one in found] == [abs(value - 1.5)] * explained


def test_a_mistake_that_gives_other_sites_or_shapes_explains_nothing():
    trace = traced(np.full((3, 1), 1.5, np.float32), np.ones((3, 1), np.float32), np.ones((3, 1)))
    same, elsewhere = (Site(name, np.full((3, 1), 1.5, np.float32)) for name in "xy")
    narrow = Site("x", np.float32([[1.5]]))
    for sites_of_bug, explained in (((same,), True), ((elsewhere,), False), ((narrow,), False), ((), False)):
        assert bool(explain(trace, "x", [BugTrace("it", "it is", sites_of_bug)])) == explained


def test_what_cannot_be_measured_is_not_explained():
    wrong = with_entry(math.nan)
    assert explain(traced(wrong, noisy(1e-7, 1)), "x", [bug("same", wrong)]) == ()
    assert explain(traced(noisy(1e-3, 1), noisy(1e-7, 1)), "y", [bug("same", noisy(1e-3, 1))]) == ()
