"""The sections of the report, in the order in which a person asks: what came out, why, where, how closely, of what."""

import math
from collections.abc import Iterator, Mapping, Sequence

from parity.judge.compare import Comparison
from parity.judge.crash import summary
from parity.judge.verdict import Report, Run, Verdict, vacuities
from parity.report.page.charts import Line, Marks, curve, errors_by_site, histogram
from parity.report.page.heatmap import heat_map, legend
from parity.report.page.markup import Html, classed, code, element, join, table
from parity.report.page.places import Part, groups_of, parts_of, size_of, written
from parity.report.text import headline

_SIGNS = {
    Verdict.PASS: ("pass", "\N{CHECK MARK}"),
    Verdict.FAIL_SEMANTIC: ("fail", "\N{MULTIPLICATION X}"),
    Verdict.FAIL_PRECISION: ("fail", "\N{MULTIPLICATION X}"),
    Verdict.VACUOUS: ("vacuous", "\N{EMPTY SET}"),
    Verdict.ERROR: ("fail", "\N{HIGH VOLTAGE SIGN}"),
    Verdict.INTERPRETED: ("vacuous", "\N{ALMOST EQUAL TO}"),
    Verdict.LOWERED: ("vacuous", "\N{ALMOST EQUAL TO}"),
}

# Reasons of a vacuous report that are written out.
_REASONS = 40


def section(anchor: str, title: str, lead: str, *children: object) -> Html:
    """A part of the page with a heading and a sentence on how to read it."""
    heading = element("h2", {"id": f"{anchor}-title"}, title)
    lines = [classed("p", "lead", lead)] if lead else []
    return element("section", {"id": anchor, "aria-labelledby": f"{anchor}-title"}, heading, *lines, *children)


def banner(report: Report) -> Html:
    """The verdict, and the figures that it stands on."""
    style, sign = _SIGNS[report.verdict]
    first, rest = f"parity {report.verdict}", headline(report).removeprefix(f"parity {report.verdict}")
    title = element("h1", {}, classed("b", "", first), rest)
    comparisons = [comparison for run in report.runs for comparison in run.comparisons]
    mattering = [comparison for run in report.runs for comparison in run.mattering]
    failing = sum(run.first_to_differ is not None for run in report.runs)
    made = len({culprit.site for run in report.runs for culprit in run.culprits})
    figures = [
        (f"{len(comparisons):,}", "comparisons"),
        (f"{len(report.variants)} x {len({run.case for run in report.runs if not run.by_chance})}", "variants x cases"),
        (written(max(_relative(mattering), default=0.0)), "largest relative error"),
        (f"{failing:,} of {len(report.runs):,}", "runs differ"),
        *([(f"{len(report.crashed):,}", "runs in which a side raised")] if report.crashed else []),
        *([(f"{made:,}", f"site{'s' * (made != 1)} where a difference is made")] if made else []),
    ]
    tiles = [element("div", {}, classed("dt", "", what), classed("dd", "", figure)) for figure, what in figures]
    return join(
        [
            classed("p", "subject", report.subject),
            classed("div", f"banner {style}", element("span", {"class": "sign", "aria-hidden": "true"}, sign), title),
            classed("dl", "tiles", *tiles),
        ]
    )


def reasons(report: Report) -> Html:
    """Why the check is no proof; nothing if it is one."""
    found = vacuities(report.runs)
    if not found:
        return Html()
    more = [f"and {len(found) - _REASONS:,} more"] if len(found) > _REASONS else []
    lines = [classed("li", "", reason) for reason in (*found[:_REASONS], *more)]
    lead = "However well everything agrees, these inputs could not have exposed a mistake."
    return section("vacuous", "Why this is no proof", lead, classed("ul", "", *lines))


def spread(report: Report) -> Html:
    """All errors of the report at a glance."""
    errors = _relative([comparison for run in report.runs for comparison in run.mattering])
    lead = (
        "Rounding in float64 leaves about 1e-15 of a tensor's own scale, the smallest mistake on record 1e-6. "
        "What lies beyond the constant is another function. Bars are logarithmic."
    )
    return section("spread", "Every comparison by its error", lead, histogram(errors, report.allowed))


def places_of(run: Run, allowed: float) -> Html:
    """Errors by site and layer, and by the order computed; a pass that agrees is folded, unless it is the first."""
    culprits = {culprit.site for culprit in run.culprits}
    passes: list[Html] = []
    for part in parts_of(run):
        inside = (heat_map(part, culprits), _curves(part, culprits, allowed))
        if passes and part.agrees:
            summary = classed("summary", "", part.title, classed("small", "", f" {part.summary}"))
            passes.append(element("details", {}, summary, *inside))
        else:
            passes.append(join([element("h3", {}, part.title, classed("small", "", f" {part.summary}")), *inside]))
    return join([legend(allowed), *passes])


def _curves(part: Part, culprits: set[str], allowed: float) -> Html:
    sites = [comparison.site for comparison in part.comparisons]
    lines = [Line("free-running error", "free", tuple(map(size_of, part.comparisons)))]
    if any(part.local):
        local = tuple(None if one is None else size_of(one) for one in part.local)
        lines.append(Line("local error, fed the reference's own values", "local", local))
    marks = Marks(tuple(i for i, site in enumerate(sites) if site in culprits), "the difference is made here")
    return errors_by_site(sites, lines, groups_of(sites), allowed, marks)


def matrix(report: Report, anchors: Mapping[tuple[str, str], str]) -> Html:
    """Worst error of every variant on every case.

    Args:
        report: what to show.
        anchors: of the runs that the page shows in detail, by variant and case.
    """
    cases = list(dict.fromkeys(run.case for run in report.runs))
    rows = []
    for name, runs in report.variants.items():
        by_case = {run.case: run for run in runs}
        rows.append([code(name), *(_matrix_cell(by_case.get(case), anchors) for case in cases)])
    lead = (
        "Worst relative error of every variant on every case. "
        "\N{MULTIPLICATION X} differs, \N{EMPTY SET} could not expose a mistake, \N{HIGH VOLTAGE SIGN} a side raised; "
        "underlined ones are shown in detail."
    )
    caption = "worst error by variant and case"
    return section(
        "matrix", "Variants and cases", lead, table(["variant", *cases], rows, caption=caption, style="grid")
    )


def _matrix_cell(run: Run | None, anchors: Mapping[tuple[str, str], str]) -> Html:
    if run is None:
        return element("td", {"class": "gap"}, classed("span", "unseen", "not run"))
    failed, largest = run.first_to_differ is not None, max(map(size_of, run.mattering), default=math.nan)
    sign = "\N{MULTIPLICATION X} " if failed else "\N{EMPTY SET} " if run.inadequate or not run.comparisons else ""
    shown: object = sign + ("none" if math.isnan(largest) else "no number" if math.isinf(largest) else f"{largest:.1e}")
    if run.crash is not None:
        return element("td", {"class": "bad", "title": summary(run.crash)}, "\N{HIGH VOLTAGE SIGN} raised")
    anchor = anchors.get((run.variant, run.case))
    if anchor:
        shown = element("a", {"href": f"#{anchor}"}, shown)
    worst = max(run.mattering, key=size_of, default=None)
    title = f"{run.variant}, {run.case}: " + (f"largest at {worst.site}" if worst else "nothing was compared")
    return element("td", {"class": "bad" if failed else None, "title": title}, shown)


def training(report: Report) -> Html:
    """Figures by step of a training run; nothing if there are none."""
    if not report.curves:
        return Html()
    figures = [curve(name, values) for name, values in report.curves.items()]
    lead = "Both sides trained side by side from the same parameters on the same batches."
    return section("training", "Over the steps of a training run", lead, classed("div", "pair", *figures))


def settings(report: Report) -> Html:
    """What decides precision on both sides; nothing if it was not looked at."""
    if not report.preflight:
        return Html()
    rows = []
    for setting in report.preflight:
        warning = join(["\N{WARNING SIGN} ", setting.warning]) if setting.warning else "\N{CHECK MARK}"
        rows.append(
            [
                setting.name,
                code(setting.jax),
                code(setting.torch),
                classed("td", "warn" * bool(setting.warning), warning),
            ]
        )
    lead = "What decides in which precision each side computes."
    head = ["setting", "JAX", "torch", "judgement"]
    return section("settings", "Before the check", lead, table(head, rows, caption="settings of both sides"))


def provenance(report: Report) -> Html:
    """Versions, devices and checksums."""
    environment = [[name, code(value)] for name, value in report.environment.items()]
    parts: list[object] = [table(["", ""], environment, caption="environment", style="plain")] if environment else []
    if report.hashes:
        rows = [[name, code(value)] for name, value in report.hashes.items()]
        parts += [element("h3", {}, "SHA-256"), table(["", ""], rows, caption="checksums", style="plain")]
    return section("provenance", "Of what, and with what", "", *parts) if parts else Html()


def chosen(report: Report, most: int) -> Iterator[Run]:
    """The runs to show in detail: failing ones, every variant's first before a second, and the worst that agrees."""
    failing = [run for run in report.runs if run.first_to_differ is not None]
    firsts = {run.variant: run for run in reversed(failing)}
    first = [run for run in failing if firsts[run.variant] is run]
    rest = [run for run in failing if firsts[run.variant] is not run]
    yield from [*first, *rest][:most]
    agreeing = [run for run in report.runs if run.first_to_differ is None and run.mattering]
    yield from sorted(agreeing, key=lambda run: -_largest(run.mattering))[:1]


def _largest(comparisons: Sequence[Comparison]) -> float:
    return max(_relative(comparisons), default=0.0)


def _relative(comparisons: Sequence[Comparison]) -> list[float]:
    """The errors of all that is not judged by chance."""
    return [size_of(comparison) for comparison in comparisons if not comparison.by_chance]
