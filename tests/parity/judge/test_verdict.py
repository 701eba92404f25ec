import pytest

from parity.judge.compare import STATISTIC
from parity.judge.verdict import Crash, Report, Verdict, judge, vacuities, worst
from tests.parity.helpers import agreeing, run_of

DIFFERS = agreeing("b", error=1e-3)


def test_everything_agrees():
    runs = (run_of(agreeing("a"), agreeing("b")), run_of(agreeing("a"), case="packed"))
    assert judge(runs) is Verdict.PASS
    assert vacuities(runs) == ()


def test_the_first_to_differ_is_the_first_computed_not_the_largest():
    run = run_of(agreeing("a"), agreeing("b", error=1e-9), agreeing("c", error=1.0))
    assert run.first_to_differ == 1
    assert judge([run]) is Verdict.FAIL_SEMANTIC
    assert run_of(agreeing("a")).first_to_differ is None


def test_one_failure_outweighs_whatever_else():
    runs = (run_of(), run_of(agreeing("a"), inadequate=("too short",)), run_of(agreeing("a"), DIFFERS))
    assert judge(runs) is Verdict.FAIL_SEMANTIC


def test_a_problem_is_a_failure_at_any_error():
    assert judge([run_of(agreeing("a", error=0.0, problem="masked on one side only"))]) is Verdict.FAIL_SEMANTIC


def test_nothing_compared_is_vacuous():
    assert judge(()) is Verdict.VACUOUS
    assert vacuities(()) == ("nothing was compared",)
    assert vacuities((run_of(agreeing("a")), run_of(case="packed"))) == ("no site was compared (one, packed)",)


def test_an_inadequate_input_is_vacuous():
    assert vacuities((run_of(agreeing("a"), inadequate=("x", "y")),)) == ("x (one, ragged)", "y (one, ragged)")


BLIND = {
    "fill": (
        {"compared": 0, "scale": 0.0, "spread": 0.0},
        "a compared no entry: all of it is a mask's fill (one, every case)",
    ),
    "zero": ({"scale": 0.0, "spread": 0.0}, "a is zero throughout (one, every case)"),
    "constant": ({"spread": 0.0}, "a has one value throughout (one, every case)"),
}


@pytest.mark.parametrize(("changes", "reason"), BLIND.values(), ids=BLIND)
def test_a_site_that_shows_nothing_in_any_case_is_vacuous(changes, reason):
    blind = agreeing("a", **changes)
    assert vacuities((run_of(blind), run_of(blind, case="packed"))) == (reason,)
    assert vacuities((run_of(blind), run_of(agreeing("a"), case="packed"))) == ()
    assert vacuities((run_of(blind), run_of(agreeing("a"), variant="two"))) == (reason,)


def test_a_single_value_need_not_vary():
    assert vacuities((run_of(agreeing("loss", compared=1, spread=0.0)),)) == ()


def test_a_site_that_fails_is_not_blind():
    failing = agreeing("a", compared=0, problem="not finite")
    assert vacuities((run_of(failing),)) == ()
    assert vacuities((run_of(failing), run_of(agreeing("a", compared=0), case="packed"))) == ()


def test_what_reaches_nothing_does_not_matter():
    a, c = agreeing("a"), agreeing("c", error=1.0)
    run = run_of(a, DIFFERS, c, inert=("b",))
    assert (run.mattering, run.differing, run.first_to_differ) == ((a, c), (c,), 2)
    assert worst([run_of(a, DIFFERS, inert=("b",))])[1] == a
    assert judge([run_of(a, DIFFERS, inert=("b",))]) is Verdict.PASS
    assert run_of(a, DIFFERS).differing == (DIFFERS,)


def test_of_a_crash_little_may_be_known():
    assert Crash("JAX", "ValueError", "no") == ("JAX", "ValueError", "no", "", "", "")


def test_the_worst_is_the_largest_error_and_a_problem_before_any():
    runs = (run_of(agreeing("a"), DIFFERS), run_of(agreeing("c", error=0.0, problem="shape"), case="packed"))
    assert worst(runs[:1]) == (runs[0], DIFFERS)
    assert worst(runs)[1].site == "c"
    assert worst(()) is None


def test_a_statistic_is_the_worst_only_where_it_is_beyond_its_limit_or_alone():
    within, beyond = (agreeing("draws.rows", error=error, allowed=STATISTIC) for error in (0.5, 2.0))
    assert worst((run_of(within), run_of(agreeing("a"))))[1].site == "a"
    assert worst((run_of(within, agreeing("a")),))[1].site == "a"
    assert worst((run_of(beyond), run_of(agreeing("a"))))[1] == beyond
    assert worst((run_of(within),))[1] == within
    assert [run_of(*one).by_chance for one in ((), (within,), (within, agreeing("a")))] == [False, True, False]


def test_runs_by_variant_keep_their_order():
    runs = (run_of(variant="b"), run_of(variant="a"), run_of(variant="b", case="packed"))
    report = Report("toy", 1e-10, {}, runs)
    assert {name: len(found) for name, found in report.variants.items()} == {"b": 2, "a": 1}
    assert list(report.variants) == ["b", "a"]
    assert report.verdict is Verdict.VACUOUS


def test_verdicts_read_as_the_report_says_them():
    bad = ["FAIL semantic", "FAIL precision", "VACUOUS", "ERROR"]
    assert [str(verdict) for verdict in Verdict] == ["PASS", *bad, "interpreted", "lowered only"]
