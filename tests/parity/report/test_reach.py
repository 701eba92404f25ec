"""What a report says of how far a difference reaches, by hand."""

from parity.judge.compare import SEMANTIC
from parity.judge.verdict import Report, Verdict
from parity.report.html import to_html
from parity.report.reach import beside, first_of, reached
from parity.report.text import headline, render
from tests.parity.helpers import agreeing, run_of

FILL = agreeing(
    "layers.0.masked_scores",
    error=float("inf"),
    problem="masked on one side only at 2 of 6 entries",
    actual=-1.7976931348623157e308,
    expected=-1e30,
)
OUTPUTS = ("output", "mlm")


def report_of(*runs) -> Report:
    return Report("a against b", SEMANTIC, {}, runs)


def test_how_many_differ():
    assert first_of(41, 1263, "differ") == "first of 41 values to differ (of 1,263)"
    assert first_of(1, 263, "lose digits") == "the only value to lose digits (of 263)"


def test_what_a_failure_reaches():
    derivatives = agreeing("d(mlm)/d(a)"), agreeing("d(mlm)/d(b)", error=0.5)
    sites = [agreeing("a", error=0.5), agreeing("output"), agreeing("mlm", error=0.5)]
    run = run_of(*sites, *derivatives, outputs=OUTPUTS)
    assert list(reached(run)) == ["  outputs and losses that differ: mlm (1 of 2); derivatives: 1 of 2"]
    only = run_of(sites[0], *derivatives, outputs=OUTPUTS)
    assert list(reached(only)) == ["  outputs and losses that differ: none of 2; derivatives: 1 of 2"]
    nowhere = run_of(*sites[:2], derivatives[0], outputs=OUTPUTS)
    assert list(reached(nowhere)) == [
        "  no output and no derivative differs in this case: the effect cancels, or other inputs would show it"
    ]
    assert "\n".join(reached(nowhere)) in render(report_of(nowhere))
    assert next(reached(nowhere)).strip() in to_html(report_of(nowhere))
    assert list(reached(run_of(*sites))) == [], "a binding that has no losses"


def test_a_pass_with_inert_values_says_so_first():
    runs = [run_of(FILL, agreeing("weights"), inert=(FILL.site,), case=case) for case in ("ragged", "holes")]
    report = report_of(*runs, run_of(agreeing("weights"), case="packed"))
    assert report.verdict is Verdict.PASS
    text = render(report)
    assert text.splitlines()[:4] == [
        "parity PASS: 1 variant x 3 cases, 5 comparisons, of which 2 differ but reach no output and no gradient; "
        "worst relative error 1.0e-15 at weights (one, ragged), 100,000 times under the constant 1e-10",
        "  these differ and reach nothing: what is computed from them agrees, and no loss depends on the entries that",
        "  differ; in these cases the two functions are the same",
        "    layers.0.masked_scores, in 2 runs: at index (0, 1) JAX -1.79769e+308, torch -1e+30",
    ]
    assert "one      3      2      1.0e-15      weights (ragged)  PASS" in text
    page = to_html(report)
    assert "Differences that reach nothing" in page
    assert "-1e+30" in page
    assert "no number" not in page
    assert "of which 1 differs but reaches no output" in headline(report_of(runs[0]))


def test_inert_values_beside_a_failure_are_not_the_first():
    run = run_of(FILL, agreeing("layers.1.key", error=0.5), agreeing("output"), inert=(FILL.site,), outputs=("output",))
    assert [one.site for one in run.differing] == ["layers.1.key"]
    lines = render(report_of(run)).splitlines()
    assert lines[0] == (
        "parity FAIL semantic at layers.1.key, the only value to differ (of 3); "
        "nothing that agrees is computed before it"
    )
    assert list(beside(run)) == ["  beside it layers.0.masked_scores differs, at entries that reach nothing"]
    assert next(beside(run)) in lines
    assert next(beside(run)).strip() in to_html(report_of(run))
    more = tuple(f"layers.{n}.masked_scores" for n in range(12))
    assert list(beside(run_of(inert=more))) == [
        "  beside it layers.0.masked_scores, layers.1.masked_scores, layers.2.masked_scores, layers.3.masked_scores, "
        "... (12 in all) differ, at entries that reach nothing"
    ]


def test_many_inert_values_are_counted():
    fills = [FILL._replace(site=f"layers.{n}.masked_scores", worst_index=None) for n in range(10)]
    run = run_of(*fills, agreeing("weights"), inert=tuple(one.site for one in fills))
    lines = render(report_of(run)).splitlines()
    assert lines[3] == "    layers.0.masked_scores, in 1 run"
    assert lines[11] == "    and 2 more"
