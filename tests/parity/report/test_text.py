import math

import numpy as np

from parity.judge.check import check
from parity.judge.compare import SEMANTIC, STATISTIC
from parity.judge.rounding import ExplainedRun
from parity.judge.verdict import Culprit, Explanation, PrecisionRun, Report, Run, Setting, SiteError
from parity.report.html import to_html
from parity.report.text import headline, render
from tests.parity import helpers as toy
from tests.parity.helpers import agreeing, run_of


def report_of(*runs: Run, **rest) -> Report:
    return Report("a against b", SEMANTIC, {"jax": "0.10", "torch": "2.13"}, runs, **rest)


KEY = agreeing("layers.3.attention.key", error=0.31)._replace(
    shape=(2, 7, 3, 8), worst_index=(0, 1, 1, 4), actual=-5.525191, expected=-3.200163
)
SITES = [agreeing(f"layers.2.{name}") for name in "abcd"] + [agreeing("layers.3.attention.query"), KEY]
AFTER = [agreeing(f"layers.3.{i}", error=0.1) for i in range(10)]


def test_a_failure_reads_as_the_house_style_says():
    text = render(report_of(run_of(agreeing()), run_of(*SITES, *AFTER, variant="post", case="packed")))
    assert text.splitlines() == [
        "parity FAIL semantic at layers.3.attention.key, first of 11 values to differ (of 16); "
        "layers.3.attention.query still agrees",
        "  at index (0, 1, 1, 4) of (2, 7, 3, 8): JAX -5.52519, torch -3.20016",
        "  in variant post, case packed; differing runs: 1 of 2",
        "",
        "  layers.2.c                float64 (2, 3)            error 1.0e-15",
        "  layers.2.d                float64 (2, 3)            error 1.0e-15",
        "  layers.3.attention.query  float64 (2, 3)            error 1.0e-15",
        "> layers.3.attention.key    float64 (2, 7, 3, 8)      error 3.1e-01, allowed 1e-10",
        *(f"> layers.3.{i}                float64 (2, 3)            error 1.0e-01, allowed 1e-10" for i in range(7)),
        "",
        "variant  cases  sites  worst error  at                               verdict",
        "one      1      1      1.0e-15      site (ragged)                    PASS",
        "post     1      16     3.1e-01      layers.3.attention.key (packed)  FAIL semantic",
        "",
        "a against b; allowed 1e-10 relative to each tensor's largest value; jax 0.10, torch 2.13",
    ]


def test_a_pass_says_what_was_compared_and_how_close_it_was():
    runs = [
        run_of(*[agreeing(f"s{i}") for i in range(677)], variant=f"v{v}", case=f"c{c}")
        for v in range(2)
        for c in range(4)
    ]
    runs[5] = run_of(*runs[5].comparisons[:-4], variant="v1", case="c1")
    runs[5].comparisons[3]._replace(error=3.1e-15)
    worse = tuple(one._replace(error=3.1e-15) if one.site == "s3" else one for one in runs[5].comparisons)
    runs[5] = run_of(*worse, variant="v1", case="c1")
    assert headline(report_of(*runs)) == (
        "parity PASS: 2 variants x 4 cases, 5,412 comparisons; "
        "worst relative error 3.1e-15 at s3 (v1, c1), 32,000 times under the constant 1e-10"
    )


def test_a_pass_of_one_comparison_with_no_error():
    assert headline(report_of(run_of(agreeing(error=0.0)))) == (
        "parity PASS: 1 variant x 1 case, 1 comparison; "
        "worst relative error 0.0e+00 at site (one, ragged), infinitely far under the constant 1e-10"
    )


def test_the_margin_is_rounded_down():
    margins = {
        1e-10: "1 times",
        0.999e-11: "10 times",
        1.001e-12: "99 times",
        3.01e-13: "330 times",
        1e-20: "1e+10 times",
    }
    for error, margin in margins.items():
        assert f", {margin} under the constant" in headline(report_of(run_of(agreeing(error=error))))


def test_a_failure_at_the_first_of_all():
    assert headline(report_of(run_of(KEY))) == (
        "parity FAIL semantic at layers.3.attention.key, the only value to differ (of 1); nothing is computed before it"
    )


def test_values_have_as_many_digits_as_it_takes_to_tell_them_apart():
    close = agreeing("x", error=1e-9, actual=1.25000000125, expected=1.25)
    assert "JAX 1.250000001, torch 1.25\n" in render(report_of(run_of(close)))
    flags = agreeing("x", error=0.5, allowed=0.0, actual=True, expected=False)
    assert "JAX True, torch False\n" in render(report_of(run_of(flags)))
    broken = agreeing("x", error=math.inf, actual=math.nan, expected=math.nan, problem="not finite at 1 of 6 entries")
    assert "  not finite at 1 of 6 entries\n  at index (0, 1) of (2, 3): JAX nan, torch nan\n" in render(
        report_of(run_of(broken))
    )


def test_a_problem_of_the_whole_array_has_no_index():
    text = "the two sides:\n  one\n  two"
    bad = agreeing("x", error=math.inf, worst_index=None, actual=None, expected=None, problem=text)
    lines = render(report_of(run_of(bad))).splitlines()
    assert lines[1:5] == [
        "  the two sides:",
        "    one",
        "    two",
        "  in variant one, case ragged; differing runs: 1 of 1",
    ]
    assert "> x  float64 (2, 3)            the two sides:" in lines


def test_a_vacuous_report_gives_its_reasons():
    text = render(report_of(run_of(agreeing(), inadequate=("too short",)), run_of(case="packed")))
    assert text.splitlines()[:3] == [
        "parity VACUOUS: too short (one, ragged), first of 2 reasons",
        "  too short (one, ragged)",
        "  no site was compared (one, packed)",
    ]
    assert "one      2      1      1.0e-15      site (ragged)  VACUOUS" in text
    many = render(report_of(run_of(agreeing(), inadequate=tuple("abcdefghijklmno"))))
    assert many.splitlines()[13] == "  and 3 more"


def test_nothing_at_all():
    assert render(report_of()).splitlines()[0] == "parity VACUOUS: nothing was compared, the only reason"
    assert "one      1      0      -            -   VACUOUS" in render(report_of(run_of()))


def test_the_report_of_a_real_mistake():
    planted = toy.ToyVariant(break_params=lambda params: params | {"key.bias": params["key.bias"] * 0})
    lines = render(check(toy.ToySubject({"toy": planted}))).splitlines()
    assert lines[0] == "parity FAIL semantic at attention.key, first of 3 values to differ (of 7); norm still agrees"
    assert lines[1] == "  at index (2, 1, 5) of (5, 13, 8): JAX 0.751276, torch 1.20658"
    assert lines[2] == "  in variant toy, case ragged; differing runs: 10 of 10"
    assert lines[-1].endswith(f"numpy {np.__version__}")


def test_the_report_of_a_real_pass():
    assert headline(check(toy.ToySubject())).startswith("parity PASS: 2 variants x 10 cases, 140 comparisons; worst")


FINE = SiteError("layers.0.attention.query", 2.2e-7, 1.1e-7, 1.76e-6)
WORSE = SiteError("layers.0.attention.key", 3.3e-7, 1.1e-7, 1.76e-6)
TF32 = SiteError("layers.0.attention.key", 5.9e-4, 1.2e-7, 1.92e-6)
LOOKS = Explanation("matmul-tf32", "matrix products in TF32", "JAX", 1.6e-7)
SETTINGS = (
    Setting("version", "0.10.2", "2.13.0"),
    Setting("float32 products, measured", "11 of 24 digits", "24 of 24 digits", "JAX multiplies in TF32: set this"),
)


def precise(*errors: SiteError, variant: str = "one", case: str = "ragged", dtype: str = "float32") -> PrecisionRun:
    return PrecisionRun(variant, case, dtype, errors)


def test_a_loss_of_digits_reads_as_precision():
    failed = ExplainedRun(
        "post", "packed", "float32", (FINE, TF32, TF32._replace(site="output")), explanations=(LOOKS,)
    )
    runs = (precise(FINE, WORSE), failed, precise(FINE, dtype="bfloat16"))
    text = render(report_of(run_of(agreeing()), precision=runs, preflight=SETTINGS))
    assert text.splitlines() == [
        "parity FAIL precision at layers.0.attention.key in float32, first of 2 values to lose digits (of 3): "
        "JAX's error 5.9e-04, torch's 1.2e-07, allowed 1.9e-06",
        "  float64 agrees, so the function is the same: this is precision or configuration",
        "  looks like: matrix products in TF32 (matmul-tf32, on JAX's side; residual after correcting for it: 2e-07)",
        "  in variant post, case packed; differing runs: 1 of 3",
        "",
        "variant  cases  sites  worst error  at             verdict",
        "one      1      1      1.0e-15      site (ragged)  PASS",
        "",
        "dtype     runs  values  JAX's error / torch's  at                                      verdict",
        "float32   2     5       4916.7, allowed 16     layers.0.attention.key (post, packed)   FAIL precision",
        "bfloat16  1     1       2.0, allowed 16        layers.0.attention.query (one, ragged)  PASS",
        "",
        "setting                     JAX              torch",
        "version                     0.10.2           2.13.0",
        "float32 products, measured  11 of 24 digits  24 of 24 digits",
        "warning: JAX multiplies in TF32: set this",
        "",
        "a against b; allowed 1e-10 relative to each tensor's largest value; jax 0.10, torch 2.13",
    ]


def test_precision_that_agrees_is_a_table_below_the_pass():
    lines = render(report_of(run_of(agreeing()), precision=(precise(FINE, WORSE), precise(FINE)))).splitlines()
    assert lines[0].startswith("parity PASS: 1 variant x 1 case, 1 comparison; ")
    assert "float32  2     3       3.0, allowed 16        layers.0.attention.key (one, ragged)  PASS" in lines


def test_another_function_outweighs_a_loss_of_digits():
    text = render(report_of(run_of(KEY), precision=(precise(TF32),), preflight=SETTINGS))
    assert text.startswith("parity FAIL semantic at layers.3.attention.key, ")
    assert "float32  1     1       4916.7, allowed 16     layers.0.attention.key (one, ragged)  FAIL precision" in text
    assert "looks like" not in text


def test_a_failure_that_nothing_explains():
    lines = render(report_of(run_of(agreeing()), precision=(precise(TF32),))).splitlines()
    assert "in float32, the only value to lose digits (of 1): JAX's error" in lines[0]
    assert lines[2] == "  in variant one, case ragged; differing runs: 1 of 1"


def test_no_proof_in_float64_is_not_called_agreement():
    lines = render(report_of(run_of(agreeing(), inadequate=("too short",)), precision=(precise(TF32),))).splitlines()
    assert lines[1] == (
        "  nothing differs in float64 (which is no proof: too short (one, ragged)), so the function is the same: "
        "this is precision or configuration"
    )


def test_values_that_cannot_be_measured():
    why = "value cannot be measured: missing, misplaced, misshapen, masked elsewhere, not finite or in float64"
    ours, theirs = SiteError("a", math.inf, 1e-7, 1e-6), SiteError("a", 1e-7, math.nan, math.nan)
    for error, side in ((ours, "JAX"), (theirs, "torch")):
        report = report_of(run_of(agreeing()), precision=(precise(error),))
        assert headline(report).endswith(f"a in float32, the only value to lose digits (of 1): {side}'s {why}")
        assert "inf, allowed 16" in render(report)


def test_draws_are_counted_by_themselves_and_are_no_relative_error():
    drawn = run_of(agreeing("draws.rows", error=0.25, allowed=STATISTIC), case="draws")
    text = render(report_of(run_of(agreeing()), drawn))
    assert text.startswith(
        "parity PASS: 1 variant x 1 case, 2 comparisons, draws of 1 variant; worst relative error 1.0e-15 at site "
    )
    assert text.splitlines()[3].split() == ["one", "1", "1", "1.0e-15", "site", "(ragged)", "PASS"]
    assert headline(report_of(drawn)) == (
        "parity PASS: draws of 1 variant, 1 comparison; "
        "the largest, at draws.rows (one), is 0.25 of what chance may leave"
    )


def test_draws_that_are_not_as_chance_has_them():
    rows, rate = (
        agreeing(f"draws.{name}", error=40.0, allowed=STATISTIC, worst_index=None) for name in ("rows", "rate")
    )
    named = Explanation("draws-rows-alike", "every row drops the same", "JAX", 0.0)
    culprits = (
        Culprit("draws.rows", (), rows, explanations=(named,), shape=("rows 0 and 1: correlation 1.0000",)),
        Culprit("draws.rate", (), rate, shape=("0.2 of 6 values are dropped",)),
    )
    good = agreeing("draws.steps", error=0.5, allowed=STATISTIC)
    report = report_of(run_of(agreeing()), run_of(good, rows, rate, case="draws", culprits=culprits))
    assert render(report).splitlines()[:10] == [
        "parity FAIL semantic at draws.rows, first of 2 values to differ (of 3); draws.steps still agrees",
        "  looks like: every row drops the same, in JAX (draws-rows-alike; residual after correcting for it: 0)",
        "  in variant one, case draws; differing runs: 1 of 2",
        "",
        "2 things are not as chance has them",
        "  draws.rows  rows 0 and 1: correlation 1.0000  draws-rows-alike",
        "  draws.rate  0.2 of 6 values are dropped       -",
        "",
        "  draws.steps  float64 (2, 3)            0.5 of what chance may leave",
        "> draws.rows   float64 (2, 3)            40 of what chance may leave",
    ]
    page = to_html(report)
    assert "40 times what chance may leave" in page
    assert "keys of dropout" in page
