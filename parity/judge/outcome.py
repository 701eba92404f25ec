"""What became of a mistake that was made on purpose: the one place that decides whether the check said what is true."""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from parity.judge.bug import Bug
from parity.judge.compare import Comparison
from parity.judge.verdict import Culprit


class Outcome(NamedTuple):
    """What the check said about one mistake; None where nothing was measured.

    Attributes:
        bug: its name.
        side: where it was made, "JAX" or "torch".
        tier: what was compared: "forward", "backward", "draws", "kernels", "optimizer", "training", "mesh", "precision"
            or "text".
        caught: whether anything differed that matters, and the verdict was the right kind of failure.
        first: whether the first site to differ is the one that it should be.
        located: whether all culprits are sites at which the mistake is made, and there is one.
        named: whether the first explanation of the first culprit that has one is this mistake, on this side.
        said: the first site, the culprits and their explanations, for a person to read.
    """

    bug: str
    side: str
    tier: str
    caught: bool
    first: bool | None
    located: bool | None
    named: bool | None
    said: str


@runtime_checkable
class Found(Protocol):
    """What a check found: a `Run`, or the comparisons of one trace."""

    @property
    def differing(self) -> Sequence[Comparison]: ...

    @property
    def culprits(self) -> Sequence[Culprit]: ...


def judged(bug: Bug, side: str, tier: str, found: Found, *, first: str | None = None) -> Outcome:
    """Whether the check said what is true of a mistake.

    Args:
        bug: that was made.
        side: where.
        tier: what was compared.
        found: what the check found.
        first: a regular expression, matched whole, for the first site to differ; None stands for `bug.where`.
    """
    differing = [comparison.site for comparison in found.differing]
    best = next((culprit.explanations[0] for culprit in found.culprits if culprit.explanations), None)
    said = [f"{one.site} ({one.explanations[0].bug if one.explanations else '-'})" for one in found.culprits]
    return Outcome(
        bug.name,
        side,
        tier,
        caught=bool(differing),
        first=bool(differing) and bool(re.fullmatch(first or bug.where, differing[0])),
        located=bool(found.culprits) and all(re.fullmatch(bug.where, one.site) for one in found.culprits),
        named=best is not None and (best.bug, best.side) == (bug.name, side),
        said=f"{differing[0] if differing else '-'}; {', '.join(said) or '-'}",
    )


def not_comparable(bug: Bug, side: str, tier: str, why: str) -> Outcome:
    """A mistake after which the two sides cannot be brought together: it is caught, and that is all."""
    return Outcome(bug.name, side, tier, caught=True, first=False, located=False, named=False, said=why)
