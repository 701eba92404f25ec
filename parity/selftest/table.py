"""What became of every mistake that was made on purpose, as a table; docs/selftest.md is written by it."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from parity.errors import UsageError
from parity.judge.outcome import Outcome

_BEGIN, _END = "<!-- selftest: begin -->", "<!-- selftest: end -->"


class Clean(NamedTuple):
    """Encoders without a mistake: how many were run, and the false alarm if there was one."""

    what: str
    tried: int
    alarm: str


# What is told of every mistake; None where a tier measures no such thing.
_ASPECTS: dict[str, Callable[[Outcome], bool | None]] = {
    "caught": lambda one: one.caught,
    "first site right": lambda one: one.first,
    "cause located": lambda one: one.located,
    "named first": lambda one: one.named,
}


def passed(outcomes: Sequence[Outcome], clean: Sequence[Clean]) -> bool:
    """Whether every mistake was caught and located, nine of ten were named, and nothing else was said to be one.

    What a tier does not measure is neither held against it nor counted for it.
    """
    whole = all(one.caught and one.first is not False and one.located is not False for one in outcomes)
    named = [one.named for one in outcomes if one.named is not None]
    return bool(named) and whole and sum(named) >= 0.9 * len(named) and not any(one.alarm for one in clean)


def render(outcomes: Sequence[Outcome], clean: Sequence[Clean]) -> str:
    """Markdown: how many of each tier, what was wrong, the clean runs, and a row for every mistake."""
    return "\n".join(
        [
            *_summary(outcomes),
            "",
            *_misses(outcomes),
            *_alarms(clean),
            "",
            "<details><summary>Every mistake</summary>",
            "",
            *_rows(outcomes),
            "",
            "</details>",
        ]
    )


def _summary(outcomes: Sequence[Outcome]) -> list[str]:
    lines = [f"| tier | made | {' | '.join(_ASPECTS)} |", "|---|---|" + "---|" * len(_ASPECTS)]
    tiers = {
        tier: [one for one in outcomes if one.tier == tier] for tier in dict.fromkeys(one.tier for one in outcomes)
    }
    for tier, group in (*tiers.items(), ("all", list(outcomes))):
        counts = " | ".join(_count([aspect(one) for one in group]) for aspect in _ASPECTS.values())
        lines.append(f"| {tier} | {len(group)} | {counts} |")
    return lines


def _count(said: Sequence[bool | None]) -> str:
    """`7`, or `6 of 7` where only so many were measured, or a dash where none was."""
    measured = [one for one in said if one is not None]
    if len(measured) == len(said):
        return str(sum(measured))
    return f"{sum(measured)} of {len(measured)}" if measured else "–"


def _misses(outcomes: Sequence[Outcome]) -> list[str]:
    """What was not said rightly of each mistake of which something was not."""
    lines = []
    for one in outcomes:
        missed = [f"not {name}" for name, aspect in _ASPECTS.items() if aspect(one) is False]
        if missed:
            lines.append(f"- `{one.bug}` in {one.side}: {', '.join(missed)}")
    return [*lines, ""] if lines else []


def _alarms(clean: Sequence[Clean]) -> list[str]:
    return [f"{one.what}: {one.tried:,} without a mistake, {one.alarm or 'no false alarm'}." for one in clean]


def _rows(outcomes: Sequence[Outcome]) -> list[str]:
    lines = [f"| mistake | made in | tier | {' | '.join(_ASPECTS)} |", "|---|---|---|" + "---|" * len(_ASPECTS)]
    for one in outcomes:
        marks = " | ".join({True: "yes", False: "no", None: "–"}[aspect(one)] for aspect in _ASPECTS.values())
        lines.append(f"| `{one.bug}` | {one.side} | {one.tier} | {marks} |")
    return lines


def written_into(text: str, table: str) -> str:
    """A page with another table between its two marks.

    Raises:
        UsageError: the page has no such marks.
    """
    if _BEGIN not in text or _END not in text:
        raise UsageError(f"the page has no {_BEGIN} and {_END} to write the table between")
    return re.sub(
        f"{re.escape(_BEGIN)}.*{re.escape(_END)}", lambda _: f"{_BEGIN}\n{table}\n{_END}", text, flags=re.DOTALL
    )
