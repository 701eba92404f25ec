"""What stands beside the comparisons: what a side raised, and what differs but reaches nothing."""

from parity.judge.crash import summary
from parity.judge.verdict import Crash, PrecisionRun, Report, Run
from parity.report.columns import counted
from parity.report.crashes import place
from parity.report.page.markup import Html, classed, code, element, table
from parity.report.page.sections import section
from parity.report.reach import apart, inert_sites

# Crashes that are written out, each kind once.
_CRASHES = 8


def crashes(report: Report) -> Html:
    """What was raised, each kind once with its traceback; nothing if nothing was."""
    if not report.crashed:
        return Html()
    kinds: dict[tuple[str, str], list[tuple[Run | PrecisionRun, Crash]]] = {}
    for run in report.crashed:
        assert run.crash is not None, "a crashed run has a crash"
        kinds.setdefault((summary(run.crash), run.crash.where), []).append((run, run.crash))
    cards = [_crash(found) for found in list(kinds.values())[:_CRASHES]]
    more = [classed("p", "", f"and {len(kinds) - _CRASHES:,} others")] if len(kinds) > _CRASHES else []
    lead = (
        f"A side raised where it was built or run, in {len(report.crashed):,} of "
        f"{counted(len(report.runs) + len(report.precision), 'run')}; what it did not compute was not compared."
    )
    return section("error", "What a side raised", lead, *cards, *more)


def _crash(found: list[tuple[Run | PrecisionRun, Crash]]) -> Html:
    (run, crash), *others = found
    also = f" and {counted(len(others), 'more run')}" if others else ""
    facts = [f"In {place(run)}{also}."]
    facts += [f"Raised at {crash.where}."] if crash.where else []
    facts += [f"The last value that it had computed: {crash.reached}."] if crash.reached else []
    heading = element("h3", {}, f"{crash.side} raised ", code(crash.kind))
    trace = element("details", {}, classed("summary", "", "traceback"), classed("pre", "", crash.traceback))
    return classed(
        "article",
        "culprit",
        heading,
        classed("p", "problem", crash.message),
        *(classed("p", "", fact) for fact in facts),
        *([trace] if crash.traceback else []),
    )


def inert(report: Report) -> Html:
    """The values that differ and reach nothing; nothing if there are none."""
    rows = []
    for site, (times, one) in inert_sites(report).items():
        at = "" if one.worst_index is None else one.worst_index
        rows.append([code(site), f"{times:,}", code(at), *map(code, apart(one.actual, one.expected))])
    if not rows:
        return Html()
    lead = (
        "These values differ, but what is computed from them agrees, and no loss depends on the entries that differ: "
        "in these cases the two functions are the same."
    )
    head = ["value", "runs", "for one, at", "JAX", "torch"]
    return section("inert", "Differences that reach nothing", lead, table(head, rows, caption="inert values"))
