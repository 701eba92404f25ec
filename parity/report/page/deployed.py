"""The precision tier: our error in a deployed dtype beside the reference's own, both against float64."""

import math
from collections.abc import Sequence

from parity.judge.verdict import PrecisionRun, Report, SiteError
from parity.report.page.charts import Line, Marks, errors_by_site
from parity.report.page.markup import Html, classed, code, element, table
from parity.report.page.places import groups_of, written
from parity.report.page.sections import section


def deployed(report: Report) -> Html:
    """One chart and one table for every dtype; nothing if none was checked."""
    if not report.precision:
        return Html()
    dtypes = dict.fromkeys(run.dtype for run in report.precision)
    parts = [
        part for dtype in dtypes for part in _dtype(dtype, [run for run in report.precision if run.dtype == dtype])
    ]
    lead = (
        "Both sides in the dtype they are deployed in, each against the float64 reference. "
        "Ours may lose as much as the reference framework itself, and a small factor more."
    )
    return section("precision", "In the deployed precision", lead, *parts)


def _dtype(dtype: str, runs: Sequence[PrecisionRun]) -> list[Html]:
    worst = max(runs, key=lambda run: (run.first_to_differ is not None, _ratio(run)))
    sites = [error.site for error in worst.errors]
    lines = [
        Line("ours, JAX", "free", tuple(error.ours for error in worst.errors)),
        Line("theirs, torch", "local", tuple(error.theirs for error in worst.errors)),
        Line("allowed", "allowed", tuple(error.allowed for error in worst.errors)),
    ]
    first = Marks(() if worst.first_to_differ is None else (worst.first_to_differ,), "the first beyond what is allowed")
    heading = element(
        "h3", {}, f"{dtype}: {worst.variant}, {worst.case}, the run that comes closest to what is allowed"
    )
    chart = errors_by_site(sites, lines, groups_of(sites), 0, first)
    head = ["variant", "case", "at", "ours", "theirs", "allowed", "verdict"]
    rows = [_row(run) for run in runs if run.errors]
    listed = table(head, rows, caption=f"{dtype}: the site of every run that comes closest", style="figures")
    summary = classed("summary", "", f"{len(runs):,} run{'s' * (len(runs) != 1)} in {dtype}")
    return [heading, chart, element("details", {}, summary, listed)]


def _row(run: PrecisionRun) -> list[object]:
    closest = max(run.errors, key=_share)
    verdict = "agrees" if run.first_to_differ is None else "\N{MULTIPLICATION X} differs"
    cells: list[object] = [code(run.variant), run.case, code(closest.site)]
    cells += [written(value) for value in (closest.ours, closest.theirs, closest.allowed)]
    return [*cells, classed("td", "bad" * (run.first_to_differ is not None), verdict)]


def _share(error: SiteError) -> float:
    """How much of what is allowed is used."""
    if math.isnan(error.ours) or (error.ours and not error.allowed):
        return math.inf
    return error.ours / (error.allowed or 1.0)


def _ratio(run: PrecisionRun) -> float:
    return max(map(_share, run.errors), default=0.0)
