"""A comparison of two models as text: the verdict first, then what is wrong with the parameters, then the places."""

from collections.abc import Iterator

from parity.judge.compare import SEMANTIC, Comparison
from parity.judge.crash import summary
from parity.judge.verdict import Verdict, vacuities
from parity.models import weights
from parity.models.result import Case, Cut, Parting, Result
from parity.report.columns import aligned, counted

_REASONS, _LINES, _ROWS, _CASTS = 12, 12, 40, 6


def headline(result: Result) -> str:
    """The verdict in one line, with the place where it was decided."""
    verdict = result.verdict
    if verdict is Verdict.ERROR:
        crash = next(case.run.crash for case in result.cases if case.run.crash is not None)
        return f"parity {verdict}: {summary(crash)}"
    if verdict is Verdict.VACUOUS:
        return f"parity {verdict}: {vacuities([case.run for case in result.cases])[0]}"
    if verdict is Verdict.FAIL_SEMANTIC:
        case = _failing(result)
        count = len(case.run.differing)
        outputs = f"{count} of {counted(len(case.run.comparisons), 'value')} at the end differ{'s' * (count == 1)}"
        return f"parity {verdict}{_where(result, case)}; {outputs}"
    return f"parity {verdict}: {_amount(result)}; {_worst(result)}"


def render(result: Result) -> str:
    """The whole report."""
    parts = [[headline(result), *(f"  {problem}" for problem in result.problems), *_details(result)]]
    if result.verdict is Verdict.FAIL_SEMANTIC:
        case = _failing(result)
        parts += [list(_parting(result, one, number)) for number, one in enumerate(case.partings[1:], 2)]
        parts.append(list(_ends(case)))
    if result.verdict is not Verdict.ERROR:
        parts.append(list(_sides(result)))
    parts.append(list(_table(result)))
    versions = ", ".join(f"{name} {version}" for name, version in sorted(result.environment.items()))
    drawn = "; parameters drawn at random" if result.drawn else ""
    parts.append([f"{result.labels[0]} against {result.labels[1]}, in float64{drawn}; {versions}"])
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _failing(result: Result) -> Case:
    return next(case for case in result.cases if case.run.first_to_differ is not None)


def _where(result: Result, case: Case) -> str:
    if not case.partings:
        return f" at {case.run.differing[0].site}"
    first = case.partings[0]
    places = [cut.place for cut in (first.theirs, first.ours) if cut.op]
    module = next((place.module for place in places if place.module), "")
    line = next((place.line for place in reversed(places) if place.line), "")
    return f" at {module or line}{' (backward)' * first.backward}"


def _amount(result: Result) -> str:
    comparisons = [one for case in result.cases for one in case.run.comparisons]
    gradients = sum(one.site.startswith("d/d(") for one in comparisons)
    cases = f" of {counted(len(result.cases), 'case')}" if len(result.cases) > 1 else ""
    more = f" and {counted(gradients, 'gradient')}" if gradients else ""
    return f"{counted(len(comparisons) - gradients, 'output')}{more}{cases}"


def _worst(result: Result) -> str:
    one = max((one for case in result.cases for one in case.run.comparisons), key=lambda one: one.error)
    return f"worst relative error {one.error:.1e} at {one.site}, allowed {SEMANTIC:.0e}"


def _details(result: Result) -> Iterator[str]:
    if result.verdict is Verdict.ERROR:
        crash = next(case.run.crash for case in result.cases if case.run.crash is not None)
        if crash.where:
            yield f"  raised at {crash.where}"
        lines = [line for line in crash.message.splitlines() if line.strip()]
        yield from (f"  {line.rstrip()}" for line in lines[1:_LINES])
    elif result.verdict is Verdict.VACUOUS:
        yield from (f"  {reason}" for reason in vacuities([case.run for case in result.cases])[1:_REASONS])
    elif result.verdict is Verdict.FAIL_SEMANTIC:
        case = _failing(result)
        if case.partings:
            yield from _parting(result, case.partings[0])
        elif case.run.differing[0].problem:
            yield f"  {case.run.differing[0].problem}"


def _parting(result: Result, parting: Parting, number: int = 1) -> Iterator[str]:
    """One place, on both sides."""
    if number > 1:
        yield f"behind it, another{' (backward)' * parting.backward}:"
    elif parting.backward:
        yield "  forward all agrees; this is made going backward"
    for cause in parting.causes:
        yield f"  looks like: {cause}"
    for line in parting.shape:
        yield f"  {line}"
    width = max(map(len, result.labels))
    for label, cut in zip(result.labels, (parting.ours, parting.theirs), strict=True):
        yield from _cut(f"  {label:<{width}}  ", cut)


def _cut(label: str, cut: Cut) -> Iterator[str]:
    if not cut.op:
        yield f"{label}nothing of its own here"
        return
    values = f": {', '.join(f'{one:.6g}' for one in cut.values)}{', ...' * (len(cut.values) > 3)}" if cut.values else ""
    yield f"{label}{cut.op} {cut.shape} in {cut.place}"
    yield f"{' ' * len(label)}of {', '.join(cut.reads) or 'nothing'}{values}"


def _ends(case: Case) -> Iterator[str]:
    """What was compared."""
    yield from aligned(
        [(f"{_mark(one)}{one.site}", str(one.shape), _error(one)) for one in case.run.comparisons[:_ROWS]]
    )


def _mark(one: Comparison) -> str:
    return "  " if one.agrees else "> "


def _error(one: Comparison) -> str:
    return one.problem or f"error {one.error:.1e}"


def _sides(result: Result) -> Iterator[str]:
    """How much of either program has its equal on the other side, and what has not."""
    case = next((one for one in result.cases if one.sides), None)
    if case is None:
        return
    agreed = case.run.first_to_differ is None
    for label, side in zip(result.labels, case.sides, strict=True):
        matched, operations = side.coverage
        yield f"{label}: {matched:,} of {operations:,} operations have their equal on the other side"
        for note in side.notes:
            yield f"  {note}"
        for cast in side.casts[:_CASTS]:
            yield f"  a cast to {cast.dtype} in {cast.place} was read as float64"
        if agreed and side.detours:
            detours = ", ".join(f"{what}{f' x {count}' if count > 1 else ''}" for what, count in side.detours)
            yield f"  harmless detours, behind which the two meet again: {detours}"


def _table(result: Result) -> Iterator[str]:
    """Which parameters are the same."""
    rows = list(weights.listing(result.table))
    if not rows:
        return
    yield f"{counted(len(rows), 'row')} of parameters, {result.labels[0]} = {result.labels[1]}:"
    yield from aligned([(f"  {ours}", f"= {theirs}", how) for ours, theirs, how in rows[:_ROWS]])
    if len(rows) > _ROWS:
        yield f"  and {len(rows) - _ROWS:,} more"
    if result.table.tied:
        yield f"  tied to others on one side: {', '.join(result.table.tied)}"
