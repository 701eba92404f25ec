"""Which differences reach nothing, by hand: a loss of two values, of which one is masked out."""

import numpy as np
import pytest

from parity.judge.check import Compared, compare_trace
from parity.judge.compare import SEMANTIC
from parity.judge.inert import where_different
from parity.judge.sites import Site
from parity.judge.subject import Part, Structure, Trace

LOWEST = float(np.finfo(np.float64).min)
# scores -> masked -> weights -> loss
READS = {
    "scores": (),
    "masked": ("scores",),
    "weights": ("masked",),
    "loss": ("weights",),
    "d(loss)/d(weights)": (),
    "d(loss)/d(masked)": ("d(loss)/d(weights)",),
    "d(loss)/d(scores)": ("d(loss)/d(masked)",),
    "d(loss)/d(w)": ("d(loss)/d(scores)",),
}
FORWARD = {
    "scores": [1.0, 2.0, 3.0, 4.0],
    "masked": [1.0, 2.0, LOWEST, LOWEST],
    "weights": [0.3, 0.7, 0.0, 0.0],
    "loss": [0.25],
}
BACKWARD = {
    "d(loss)/d(weights)": [0.5, -0.25, 0.75, 1.0],
    "d(loss)/d(masked)": [0.5, -0.5, 0.0, 0.0],
    "d(loss)/d(scores)": [0.5, -0.5, 0.0, -0.0],
    "d(loss)/d(w)": [0.125, 3.0],
}


def sites(values: dict, changes: dict) -> tuple[Site, ...]:
    return tuple(Site(name, np.array(changes.get(name, value))) for name, value in values.items())


def compared(ours: dict | None = None, theirs: dict | None = None, *, backward=BACKWARD, reads=READS) -> Compared:
    """Compares after these changes on either side."""
    ours, theirs = ours or {}, theirs or {}
    parts = [Part(sites(values, ours), sites(values, theirs)) for values in (FORWARD, backward)]
    return traced(parts, reads)


def traced(parts: list[Part], reads=READS) -> Compared:
    structure = Structure(reads, lambda site: "")
    return compare_trace(Trace(parts, structure=lambda: structure))


PADDED = {"scores": [1.0, 2.0, 7.0, 4.0]}
FILLED = {"masked": [1.0, 2.0, -1e30, -1e30]}


@pytest.mark.parametrize("change", [PADDED, FILLED, PADDED | FILLED])
def test_what_reaches_nothing(change):
    for sides in (({}, change), (change, {})):
        found = compared(*sides)
        assert found.inert == tuple(name for name in FORWARD if name in change)
        assert found.differing == ()
    assert found.outputs == ("weights", "loss")


@pytest.mark.parametrize("cotangent", [[0.5, -0.5, 1e-300, 0.0], [0.5, -0.5, np.nan, 0.0]])
def test_the_derivative_must_be_exactly_zero_on_both_sides(cotangent):
    derivative = {"d(loss)/d(scores)": cotangent}
    assert compared({}, PADDED | derivative).inert == ()
    assert compared(derivative, PADDED).inert == ()
    assert compared(derivative, PADDED | derivative).inert == ()


def test_another_entry_has_another_derivative():
    assert compared({}, {"scores": [1.0, 7.0, 3.0, 4.0]}).inert == ()
    found = compared({}, {"scores": [1.0, 7.0, 5.0, 4.0]})
    assert (found.inert, [one.site for one in found.differing]) == ((), ["scores"])


def test_what_is_computed_from_it_must_agree():
    """As behind a `stop_gradient`: no derivative, and still another output."""
    behind = {"masked": [1.0, 2.0, LOWEST, 5.0], "weights": [0.3, 0.6, 0.0, 0.1]}
    assert compared({}, PADDED | behind).inert == ()
    assert compared({}, PADDED | {"loss": [0.5]}).inert == ("scores",), "a loss that another value made wrong"
    # Nothing is inert that something reads which is not.
    assert compared({}, PADDED | {"masked": [1.0, 2.5, LOWEST, LOWEST]}).inert == ()


def test_small_values_differ_as_large_ones_do():
    small = {"scores": [1e-12, 2e-12, 3e-12, 4e-12]}
    assert compared(small, {"scores": [1e-12, 2e-12, 9e-12, 4e-12]}).inert == ("scores",)
    assert compared(small, {"scores": [1e-12, 9e-12, 3e-12, 4e-12]}).inert == ()


def test_a_derivative_of_another_shape_says_nothing():
    derivative = {"d(loss)/d(scores)": [[0.5], [-0.5], [0.0], [0.0]]}
    assert compared(derivative, PADDED | derivative).inert == ()


def test_what_is_inert_is_no_culprit():
    changes = PADDED | {"loss": [0.5]}
    fed = [
        Part(sites(one, changes), sites(one, {}), lambda one=one: sites(one, changes)) for one in (FORWARD, BACKWARD)
    ]
    found = traced(fed)
    assert found.inert == ("scores",)
    assert [one.site for one in found.culprits] == ["loss"]


def test_every_loss_counts():
    other = {"d(other)/d(scores)": [0.5, 0.5, 0.0, 0.0]}
    assert compared({}, PADDED, backward=BACKWARD | other).inert == ("scores",)
    other = {"d(other)/d(scores)": [0.5, 0.5, 0.5, 0.0]}
    assert compared({}, PADDED, backward=BACKWARD | other).inert == ()


def test_without_derivatives_nothing_is_known():
    assert compared({}, PADDED, backward={"d(loss)/d(w)": [1.0, 2.0]}).inert == ()


def test_without_a_structure_nothing_is_known():
    parts = [Part(sites(values, {}), sites(values, PADDED)) for values in (FORWARD, BACKWARD)]
    found = compare_trace(Trace(parts))
    assert (found.inert, found.outputs, [one.site for one in found.differing]) == ((), (), ["scores"])


def test_a_derivative_is_never_inert():
    found = compared({}, {"d(loss)/d(w)": [0.125, 3.5]})
    assert (found.inert, [one.site for one in found.differing]) == ((), ["d(loss)/d(w)"])


@pytest.mark.parametrize(
    ("actual", "expected", "differs"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 1e-12], [False, False]),
        ([1.0, 2.0], [1.0, 2.5], [False, True]),
        ([1.0, LOWEST, LOWEST], [1.5, -1e30, LOWEST], [True, True, False]),
        ([1.0, -1e9 + 3, -1e9 - 2], [1.0, LOWEST, LOWEST], [False, True, True]),  # an additive mask
        ([1.0, -np.inf], [1.0, LOWEST], [False, True]),
        ([1.0, LOWEST], [1.0, 2.0], None),  # filled on one side only
        ([1.0, LOWEST, LOWEST], [1.0, -1e4, -1e4], None),
        ([1.0, -1e5, -1e5], [1.0, -1e4, -1e4], None),  # scores may reach both
        ([1.0, -np.inf, -np.inf], [1.0, LOWEST, -np.inf], [False, True, False]),
        ([LOWEST, LOWEST], [LOWEST, -1e30], [False, True]),  # nothing but fill
        # A fill lies a million times as low as the largest other entry, or as 1.
        ([0.1, -1e6], [0.1, LOWEST], [False, True]),
        ([0.1, -0.9e6], [0.1, LOWEST], None),
        ([3.0, -3.1e6], [3.0, LOWEST], [False, True]),
        ([3.0, -2.9e6], [3.0, LOWEST], None),
        ([1.0, SEMANTIC], [1.0, 0.0], [False, False]),  # the limit itself agrees
        ([1e308, 1e308], [1e308, -1e308], [False, True]),
        ([1.0, np.nan], [1.0, 2.0], None),
        ([1.0, np.inf], [1.0, 2.0], None),
        ([1.0, 2.0], [1.0], None),
        ([1, 2], [1, 3], None),
    ],
)
def test_where_two_arrays_differ(actual, expected, differs):
    for one, other in ((actual, expected), (expected, actual)):
        found = where_different(np.array(one), np.array(other), 0.0)
        assert (None if found is None else found.tolist()) == differs


def test_the_largest_entry_of_the_reference_is_the_scale():
    one, other = np.array([1.0 + 5 * SEMANTIC, 10.0]), np.array([1.0, 1.0])
    assert where_different(one, other, 0.0).tolist() == [True, True]
    assert where_different(other, one, 0.0).tolist() == [False, True]


def test_of_two_dtypes_nothing_is_to_be_said():
    one, other = np.array([1.0, 2.0]), np.array([1.0, 3.0])
    assert where_different(one, np.float32(other), 0.0) is None
    assert where_different(np.float32(one), other, 0.0) is None


def test_a_value_is_judged_by_the_scale_that_it_was_compared_by():
    one, other = np.array([1e-9, 0.0]), np.array([1e-9, 1e-11])
    assert where_different(one, other, 0.0).tolist() == [False, True]
    assert where_different(one, other, 1.0).tolist() == [False, False]
