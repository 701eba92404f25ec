"""A report as one page to look at: everything in one file, nothing fetched, readable without scripts."""

from importlib import resources
from pathlib import Path

from parity.judge.verdict import AGREE, Report, Run
from parity.report.files import write_whole
from parity.report.page.cause import causes
from parity.report.page.deployed import deployed
from parity.report.page.markup import Html, classed, code, element, join
from parity.report.page.notes import crashes, inert
from parity.report.page.sections import (
    banner,
    chosen,
    matrix,
    places_of,
    provenance,
    reasons,
    section,
    settings,
    spread,
    training,
)
from parity.report.text import headline

# Failing runs that are shown in detail.
_FAILING = 5

# The page may do nothing but show itself.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def to_html(report: Report) -> str:
    """Writes the page: the verdict, the cause, the errors by place, and what else the report holds."""
    shown = list(chosen(report, _FAILING))
    anchors = {(run.variant, run.case): f"run-{number}" for number, run in enumerate(shown)}
    everything = spread(report) if shown else ""
    body = [
        banner(report),
        crashes(report),
        reasons(report),
        inert(report),
        everything if report.verdict in AGREE else "",
        *(_focus(shown[0], report.allowed) if shown else ()),
        deployed(report),
        training(report),
        "" if report.verdict in AGREE else everything,
        matrix(report, anchors) if report.runs else "",
        _further(shown[1:], anchors, report.allowed),
        settings(report),
        provenance(report),
    ]
    return page(headline(report), *body)


def page(title: str, *body: object) -> str:
    """A page that needs nothing else, of this title and these parts."""
    whole = element("html", {"lang": "en"}, _head(title), element("body", {}, classed("main", "", *body), _script()))
    return f"<!DOCTYPE html>\n{whole}\n"


def write_html(report: Report, path: Path) -> None:
    """Writes the page as a whole or not at all."""
    write_whole(path, to_html(report))


def _head(title: str) -> Html:
    return element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("link", {"rel": "icon", "href": "data:,"}),
        element("title", {}, title),
        element("style", {}, _asset("page.css")),
    )


def _script() -> Html:
    return element("script", {}, _asset("page.js"))


def _asset(name: str) -> Html:
    return Html(resources.files("parity.report.page").joinpath(name).read_text(encoding="utf-8"))


def _focus(run: Run, allowed: float) -> list[Html]:
    """The run that decided, in full."""
    where = f"variant {run.variant}, case {run.case}"
    failed = run.first_to_differ is not None
    parts = []
    if failed:
        title = "Where the difference is made" if run.culprits else "Where the difference first shows"
        parts.append(section("cause", title, f"In {where}.", causes(run)))
    lead = f"In {where}{'' if failed else ', the run with the largest error'}: what both sides came to by themselves."
    if run.replayed:
        lead += (
            " Below the map, in the order computed: the free-running error carries on what came before it; "
            "the local error, of a block fed the reference's own values, is made there."
        )
    return [*parts, section("run-0", "Error by site and layer", lead, places_of(run, allowed))]


def _further(runs: list[Run], anchors: dict[tuple[str, str], str], allowed: float) -> Html:
    """Other runs, folded."""
    folded = []
    for run in runs:
        failed = run.first_to_differ is not None
        state = (
            "\N{MULTIPLICATION X} differs" if failed else "\N{CHECK MARK} agrees; the largest error of those that do"
        )
        summary = classed("summary", "", code(run.variant), f", {run.case} ", classed("span", "bad" * failed, state))
        inside = [causes(run)] if failed else []
        inside.append(places_of(run, allowed))
        folded.append(element("details", {"id": anchors[run.variant, run.case], "class": "run"}, summary, *inside))
    return section("runs", "Further runs in detail", "", join(folded)) if folded else Html()
