"""What a lower precision adds to a verdict: nothing where float64 differs already, a failure of its own elsewhere."""

import math

import pytest

from parity.judge.verdict import PrecisionRun, Report, Setting, SiteError, Verdict
from tests.parity.helpers import agreeing, run_of

FINE, ROUGH = SiteError("a", 1e-3, 1e-3, 0.016), SiteError("b", 0.02, 1e-3, 0.016)


def precise(*errors: SiteError) -> PrecisionRun:
    return PrecisionRun("one", "ragged", "bfloat16", errors)


@pytest.mark.parametrize(
    ("ours", "allowed", "agrees"),
    [(0.016, 0.016, True), (0.0160001, 0.016, False), (math.nan, 0.016, False), (0.0, math.nan, False)],
)
def test_an_error_of_what_is_allowed_agrees_and_nan_never(ours, allowed, agrees):
    assert SiteError("a", ours, 0.001, allowed).agrees == agrees


def test_the_first_site_to_differ():
    assert precise(FINE, FINE).first_to_differ is None
    assert precise().first_to_differ is None
    assert precise(FINE, ROUGH, ROUGH).first_to_differ == 1
    assert precise(ROUGH, FINE).first_to_differ == 0


PASSING, FAILING, EMPTY = run_of(agreeing("a")), run_of(agreeing("a", error=1e-3)), run_of()


@pytest.mark.parametrize(
    ("run", "precision", "verdict"),
    [
        (PASSING, [], Verdict.PASS),
        (PASSING, [precise(FINE)], Verdict.PASS),
        (PASSING, [precise(FINE), precise(ROUGH)], Verdict.FAIL_PRECISION),
        (EMPTY, [precise(ROUGH)], Verdict.FAIL_PRECISION),
        (EMPTY, [precise(FINE)], Verdict.VACUOUS),
        (FAILING, [precise(ROUGH)], Verdict.FAIL_SEMANTIC),
        (FAILING, [precise(FINE)], Verdict.FAIL_SEMANTIC),
    ],
)
def test_float64_is_judged_first(run, precision, verdict):
    assert Report("toy", 1e-10, {}, (run,), precision=tuple(precision)).verdict is verdict


def test_a_setting_warns_of_nothing_unless_it_says_so():
    assert Setting("x64", "on", "-").warning == ""
