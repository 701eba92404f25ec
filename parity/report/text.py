"""Turns a report into text that says where to look: the verdict first, then the place, then a table."""

import math
from collections.abc import Iterator

from parity.judge.compare import Comparison
from parity.judge.verdict import AGREE, Report, Run, Verdict, judge, vacuities, worst
from parity.report import causes as cause_report
from parity.report import crashes as crash_report
from parity.report import reach
from parity.report import rounding as precision_report
from parity.report.columns import aligned, counted

# Sites shown of a run that failed, before and after the first that differs, and reasons of a vacuous report.
_BEFORE, _AFTER, _REASONS = 3, 8, 12


def headline(report: Report) -> str:
    """The verdict in one line, with the place where it was decided."""
    if report.verdict in AGREE:
        return _passed(report)
    if report.verdict is Verdict.ERROR:
        return crash_report.headline(report)
    if report.verdict is Verdict.VACUOUS:
        reasons = vacuities(report.runs)
        return f"parity {Verdict.VACUOUS}: {reasons[0]}, {_first_of(len(reasons), 'reason')}"
    if report.verdict is Verdict.FAIL_PRECISION:
        return precision_report.headline(report)
    run, first = _first_failure(report)
    agreeing = [one.site for one in run.comparisons[:first] if one.agrees]
    before = (
        f"{agreeing[-1]} still agrees" if agreeing else f"nothing {'that agrees ' * (first > 0)}is computed before it"
    )
    which = reach.first_of(len(run.differing), len(run.comparisons), "differ")
    return f"parity {report.verdict} at {run.comparisons[first].site}, {which}; {before}"


def render(report: Report) -> str:
    """The whole report: the verdict, for a failure the place and its surroundings, and one row per variant."""
    parts = ["\n".join([headline(report), *_details(report)]), "\n".join(_table(report))]
    if report.verdict is Verdict.FAIL_SEMANTIC:
        run, _ = _first_failure(report)
        parts[1:1] = ["\n".join(cause_report.causes(run)), "\n".join(_surroundings(report))]
    parts += ["\n".join(precision_report.table(report)), "\n".join(precision_report.preflight(report))]
    environment = ", ".join(f"{name} {value}" for name, value in report.environment.items())
    parts.append(
        f"{report.subject}; allowed {report.allowed:.0e} relative to each tensor's largest value; {environment}"
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _passed(report: Report) -> str:
    variants, cases = len(report.variants), len({run.case for run in report.runs if not run.by_chance})
    drawn = sum(run.by_chance for run in report.runs)
    comparisons = sum(len(run.comparisons) for run in report.runs)
    found = worst(report.runs)
    assert found is not None, "a report without comparisons is vacuous"
    run, comparison = found
    if comparison.by_chance:
        return (
            f"parity {Verdict.PASS}: draws of {counted(variants, 'variant')}, {counted(comparisons, 'comparison')}; "
            f"the largest, at {comparison.site} ({run.variant}), is {comparison.error:.2f} of what chance may leave"
        )
    margin = f"{_two_digits(report.allowed / comparison.error)} times" if comparison.error else "infinitely far"
    amount = f"{counted(variants, 'variant')} x {counted(cases, 'case')}, {counted(comparisons, 'comparison')}"
    inert = sum(len(run.inert) for run in report.runs)
    if inert:
        amount += (
            f", of which {inert:,} differ{'s' * (inert == 1)} but reach{'es' * (inert == 1)} no output and no gradient"
        )
    amount = f"{amount}, draws of {counted(drawn, 'variant')}" if drawn else amount
    return (
        f"parity {report.verdict}: {amount}; "
        f"worst relative error {comparison.error:.1e} at {comparison.site} ({run.variant}, {run.case}), "
        f"{margin} under the constant {report.allowed:.0e}"
    )


def _first_of(number: int, what: str) -> str:
    return f"the only {what}" if number == 1 else f"first of {number:,} {what}s"


def _two_digits(value: float) -> str:
    """Rounds down, so as not to promise too much: 32,258 becomes 32,000."""
    if value >= 1e9:
        return f"{value:.0e}"
    step = 10 ** max(math.floor(math.log10(value)) - 1, 0)
    return f"{math.floor(value / step) * step:,}"


def _first_failure(report: Report) -> tuple[Run, int]:
    return next((run, run.first_to_differ) for run in report.runs if run.first_to_differ is not None)


def _details(report: Report) -> Iterator[str]:
    """What stands under the verdict: what a side raised, values and place of a failure, what makes it no proof."""
    if report.verdict is Verdict.ERROR:
        yield from crash_report.details(report)
    if report.verdict in AGREE:
        yield from reach.inert(report)
    if report.verdict is Verdict.FAIL_PRECISION:
        yield from precision_report.details(report)
    if report.verdict is Verdict.VACUOUS:
        reasons = vacuities(report.runs)
        yield from (f"  {reason}" for reason in reasons[:_REASONS])
        if len(reasons) > _REASONS:
            yield f"  and {len(reasons) - _REASONS:,} more"
    if report.verdict is Verdict.FAIL_SEMANTIC:
        run, first = _first_failure(report)
        comparison = run.comparisons[first]
        if comparison.problem:
            yield "  " + comparison.problem.replace("\n", "\n  ")
        if comparison.worst_index is not None:
            actual, expected = reach.apart(comparison.actual, comparison.expected)
            yield f"  at index {comparison.worst_index} of {comparison.shape}: JAX {actual}, torch {expected}"
        yield from cause_report.about_first(run, comparison.site)
        yield from reach.reached(run)
        yield from reach.beside(run)
        failing = sum(one.first_to_differ is not None for one in report.runs)
        yield f"  in variant {run.variant}, case {run.case}; differing runs: {failing:,} of {len(report.runs):,}"


def _surroundings(report: Report) -> Iterator[str]:
    """The sites around the first that differs."""
    run, first = _first_failure(report)
    shown = run.comparisons[max(first - _BEFORE, 0) : first + _AFTER]
    width = max(len(comparison.site) for comparison in shown)
    for comparison in shown:
        mark = "  " if comparison.agrees else "> "
        shape = f"{comparison.dtype} {comparison.shape}"
        yield f"{mark}{comparison.site:<{width}}  {shape:<24}  {_error(comparison)}".rstrip()


def _error(comparison: Comparison) -> str:
    if comparison.problem:
        return comparison.problem.splitlines()[0]
    if comparison.by_chance:
        return f"{comparison.error:.3g} of what chance may leave"
    return f"error {comparison.error:.1e}" + ("" if comparison.agrees else f", allowed {comparison.allowed:.0e}")


def _table(report: Report) -> Iterator[str]:
    """One row per variant."""
    if not report.runs:
        return
    rows = [("variant", "cases", "sites", "worst error", "at", "verdict")]
    for name, runs in report.variants.items():
        sites = str(max(len(run.comparisons) for run in runs))
        cases = sum(not run.by_chance for run in runs)
        rows.append((name, str(cases), sites, *_worst_of(runs), judge(runs).value))
    yield from aligned(rows)


def _worst_of(runs: tuple[Run, ...]) -> tuple[str, str]:
    """Of runs that agree the largest error and its place; of others the first that differs."""
    failed = next(((run, run.first_to_differ) for run in runs if run.first_to_differ is not None), None)
    if failed is not None:
        run, first = failed
        comparison = run.comparisons[first]
    else:
        found = worst(runs)
        if found is None:
            return "-", "-"
        run, comparison = found
    return f"{comparison.error:.1e}", f"{comparison.site} ({run.case})"
