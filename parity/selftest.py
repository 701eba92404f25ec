"""What became of every mistake that was made on purpose, as a table; docs/selftest.md is written by it."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from parity.errors import UsageError

_BEGIN, _END = "<!-- selftest: begin -->", "<!-- selftest: end -->"


class Outcome(NamedTuple):
    """What the check said about one mistake.

    Attributes:
        bug: its name.
        side: where it was made, "JAX" or "torch".
        tier: what was compared: "forward", "backward", "optimizer", "training" or "precision".
        caught: whether anything differed, and the verdict was the right kind of failure.
        first: whether the first site to differ is the one that it should be.
        located: whether all culprits are sites at which the mistake is made, and there is one.
        named: whether the first explanation of the first culprit that has one is this mistake, on this side.
        said: the first site, the culprits and their explanations, for a person to read.
    """

    bug: str
    side: str
    tier: str
    caught: bool
    first: bool
    located: bool
    named: bool
    said: str


class Clean(NamedTuple):
    """Encoders without a mistake: how many were run, and the false alarm if there was one."""

    what: str
    tried: int
    alarm: str


_ASPECTS: dict[str, Callable[[Outcome], bool]] = {
    "caught": lambda one: one.caught,
    "first site right": lambda one: one.first,
    "cause located": lambda one: one.located,
    "named first": lambda one: one.named,
}


def passed(outcomes: Sequence[Outcome], clean: Sequence[Clean]) -> bool:
    """Whether every mistake was caught and located, nine of ten were named, and nothing else was said to be one."""
    named = sum(one.named for one in outcomes)
    whole = all(one.caught and one.located for one in outcomes)
    return bool(outcomes) and whole and named >= 0.9 * len(outcomes) and not any(one.alarm for one in clean)


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
        counts = " | ".join(str(sum(map(aspect, group))) for aspect in _ASPECTS.values())
        lines.append(f"| {tier} | {len(group)} | {counts} |")
    return lines


def _misses(outcomes: Sequence[Outcome]) -> list[str]:
    """What was not said rightly of each mistake of which something was not."""
    lines = []
    for one in outcomes:
        missed = [f"not {name}" for name, aspect in _ASPECTS.items() if not aspect(one)]
        if missed:
            lines.append(f"- `{one.bug}` in {one.side}: {', '.join(missed)}")
    return [*lines, ""] if lines else []


def _alarms(clean: Sequence[Clean]) -> list[str]:
    return [f"{one.what}: {one.tried:,} without a mistake, {one.alarm or 'no false alarm'}." for one in clean]


def _rows(outcomes: Sequence[Outcome]) -> list[str]:
    lines = [f"| mistake | made in | tier | {' | '.join(_ASPECTS)} |", "|---|---|---|" + "---|" * len(_ASPECTS)]
    for one in outcomes:
        marks = " | ".join("yes" if aspect(one) else "no" for aspect in _ASPECTS.values())
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
