"""What a report says of the deployed dtypes, and of the settings that decide precision."""

import math
from collections.abc import Iterator

from parity.judge.rounding import MULTIPLE, ExplainedRun, ratio
from parity.judge.verdict import PrecisionRun, Report, SiteError, Verdict, vacuities
from parity.report.columns import aligned
from parity.report.reach import first_of

_UNUSABLE = "value cannot be measured: missing, misplaced, misshapen, masked elsewhere, not finite or in float64"


def headline(report: Report) -> str:
    """The first loss of digits, in one line."""
    run, first = _first_failure(report)
    error, count = run.errors[first], sum(not one.agrees for one in run.errors)
    which = first_of(count, len(run.errors), "lose digits")
    return f"parity {Verdict.FAIL_PRECISION} at {error.site} in {run.dtype}, {which}: {_sizes(error)}"


def details(report: Report) -> Iterator[str]:
    """Why it is precision, what it looks like, where it was seen, and which settings may be to blame."""
    run, _ = _first_failure(report)
    reasons = vacuities(report.runs)
    agrees = f"nothing differs in float64 (which is no proof: {reasons[0]})" if reasons else "float64 agrees"
    yield f"  {agrees}, so the function is the same: this is precision or configuration"
    if isinstance(run, ExplainedRun):
        best = run.explanations[0]
        residual = f"residual after correcting for it: {best.residual:.0e}"
        yield f"  looks like: {best.mistake} ({best.bug}, on {best.side}'s side; {residual})"
    failing = sum(one.first_to_differ is not None for one in report.precision)
    yield f"  in variant {run.variant}, case {run.case}; differing runs: {failing:,} of {len(report.precision):,}"


def table(report: Report) -> Iterator[str]:
    """One row per dtype, and per what agreement is worth in it: the largest ratio of our error to torch's or, of a
    failure, the first; and where it is."""
    if not report.precision:
        return
    rows = [("dtype", "runs", "values", "JAX's error / torch's", "at", "verdict")]
    for dtype, agreed in dict.fromkeys((run.dtype, run.agreed) for run in report.precision):
        runs = [run for run in report.precision if (run.dtype, run.agreed) == (dtype, agreed)]
        if not any(run.errors for run in runs):
            rows.append((dtype, f"{len(runs):,}", "0", "-", "-", Verdict.ERROR.value))
            continue
        places = [(run, error) for run in runs for error in run.errors]
        failed = next((place for place in places if not place[1].agrees), None)
        run, error = failed or max(places, key=lambda place: ratio(place[1]))
        crashed = any(run.crash for run in runs)
        verdict = Verdict.ERROR if crashed else Verdict.FAIL_PRECISION if failed else agreed
        compared = f"{ratio(error):.1f}, allowed {MULTIPLE:g}"
        where = f"{error.site} ({run.variant}, {run.case})"
        rows.append((dtype, f"{len(runs):,}", f"{len(places):,}", compared, where, verdict.value))
    yield from aligned(rows)


def preflight(report: Report) -> Iterator[str]:
    """What decides precision, or how text is read, on both sides; warnings below."""
    if not report.preflight:
        return
    yield from aligned([("setting", "JAX", "torch"), *(setting[:3] for setting in report.preflight)])
    yield from (f"warning: {setting.warning}" for setting in report.preflight if setting.warning)


def _first_failure(report: Report) -> tuple[PrecisionRun, int]:
    return next((run, run.first_to_differ) for run in report.precision if run.first_to_differ is not None)


def _sizes(error: SiteError) -> str:
    if not math.isfinite(error.theirs):
        return f"torch's {_UNUSABLE}"
    if not math.isfinite(error.ours):
        return f"JAX's {_UNUSABLE}"
    return f"JAX's error {error.ours:.1e}, torch's {error.theirs:.1e}, allowed {error.allowed:.1e}"
