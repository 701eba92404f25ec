"""What a report says of a side that raised where it was built or run."""

from collections.abc import Iterator

from parity.judge.crash import summary
from parity.judge.verdict import PrecisionRun, Report, Run, Verdict
from parity.report.columns import counted

# Characters of a message in the first line, lines of it below, and other crashes that are listed.
_FIRST, _LINES, _OTHERS = 200, 12, 8


def headline(report: Report) -> str:
    """The first crash, in one line."""
    run = report.crashed[0]
    return f"parity {Verdict.ERROR} in {place(run)}: {_said(run)}"


def details(report: Report) -> Iterator[str]:
    """Where it was raised, what else it said, and how the other runs ended."""
    first, *others = report.crashed
    assert first.crash is not None, "a crashed run has a crash"
    if first.crash.where:
        yield f"  raised at {first.crash.where}"
    if first.crash.reached:
        yield f"  the last value that it had computed: {first.crash.reached}"
    lines = [line for line in first.crash.message.splitlines() if line.strip()]
    yield from (f"  {line.rstrip()}" for line in lines[1:_LINES])
    if len(lines) > _LINES:
        yield f"  and {counted(len(lines) - _LINES, 'more line')}, in the report that --json writes"
    runs: list[Run | PrecisionRun] = [*report.runs, *report.precision]
    failing = sum(run.first_to_differ is not None for run in runs)
    yield f"  raised in {len(report.crashed):,} of {counted(len(runs), 'run')}; differing runs: {failing:,}"
    different = {(_said(run), run.crash.where if run.crash else ""): run for run in reversed(others)}
    different.pop((_said(first), first.crash.where), None)
    for run in list(reversed(different.values()))[:_OTHERS]:
        yield f"  also in {place(run)}: {_said(run)}"
    if len(different) > _OTHERS:
        yield f"  and {len(different) - _OTHERS:,} others"


def place(run: Run | PrecisionRun) -> str:
    """Which run it was."""
    dtype = f" in {run.dtype}" if isinstance(run, PrecisionRun) else ""
    return f"variant {run.variant}, case {run.case}{dtype}"


def _said(run: Run | PrecisionRun) -> str:
    assert run.crash is not None, "a crashed run has a crash"
    text = summary(run.crash)
    return text if len(text) <= _FIRST else f"{text[:_FIRST]}..."
