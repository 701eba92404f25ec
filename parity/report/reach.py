"""What a report says of how far a difference reaches: to an output, to a gradient, or to nothing."""

from collections.abc import Iterator

from parity.judge.compare import Comparison, Number
from parity.judge.locate import is_derivative
from parity.judge.support import listed
from parity.judge.verdict import Report, Run
from parity.report.columns import counted

# Values that reach nothing, of which each is listed.
_LISTED = 8


def first_of(number: int, total: int, what: str) -> str:
    """Which of those that differ a value is: `first of 41 values to differ (of 263)`."""
    which = "the only value" if number == 1 else f"first of {number:,} values"
    return f"{which} to {what} (of {total:,})"


def reached(run: Run) -> Iterator[str]:
    """Which outputs, losses and derivatives of a failing run differ."""
    if not run.outputs:
        return
    sites = {one.site for one in run.differing}
    ends = [site for site in run.outputs if site in sites]
    derivatives = [one for one in run.comparisons if is_derivative(one.site)]
    differing = sum(one.site in sites for one in derivatives)
    if ends or differing:
        outputs = f"{listed(ends)} ({len(ends)} of {len(run.outputs)})" if ends else f"none of {len(run.outputs)}"
        yield f"  outputs and losses that differ: {outputs}; derivatives: {differing:,} of {len(derivatives):,}"
    else:
        yield "  no output and no derivative differs in this case: the effect cancels, or other inputs would show it"


def beside(run: Run) -> Iterator[str]:
    """What differs beside the failure and reaches nothing."""
    if run.inert:
        yield f"  beside it {listed(run.inert)} differ{'s' * (len(run.inert) == 1)}, at entries that reach nothing"


def inert(report: Report) -> Iterator[str]:
    """What differs in a report that passed."""
    found = inert_sites(report)
    if not found:
        return
    yield "  these differ and reach nothing: what is computed from them agrees, and no loss depends on the entries that"
    yield "  differ; in these cases the two functions are the same"
    for site, (times, one) in list(found.items())[:_LISTED]:
        yield f"    {site}, in {counted(times, 'run')}{_where(one)}"
    if len(found) > _LISTED:
        yield f"    and {len(found) - _LISTED:,} more"


def inert_sites(report: Report) -> dict[str, tuple[int, Comparison]]:
    """Every value that differs and reaches nothing: in how many runs, and how it does in the first."""
    found: dict[str, tuple[int, Comparison]] = {}
    for run in report.runs:
        for one in run.comparisons:
            if one.site in run.inert:
                times, first = found.get(one.site, (0, one))
                found[one.site] = times + 1, first
    return found


def apart(actual: Number | None, expected: Number | None, digits: int = 6) -> tuple[str, str]:
    """Both values with as many digits, at least `digits`, as it takes to see that they differ."""
    if not isinstance(actual, float) or not isinstance(expected, float):
        return str(actual), str(expected)
    texts = [(f"{actual:.{more}g}", f"{expected:.{more}g}") for more in range(digits, 18)]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[0])


def _where(one: Comparison) -> str:
    if one.worst_index is None:
        return ""
    actual, expected = apart(one.actual, one.expected)
    return f": at index {one.worst_index} JAX {actual}, torch {expected}"
