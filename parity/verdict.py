"""What a check found: runs of comparisons, and what follows from them.

A report is VACUOUS, however well everything agrees, if it is no proof. Measured, and for each variant on its own:

- there is no run, or a run without sites;
- a case could not expose what it is made for (`parity.adequacy`), or the binding says so of its input;
- a site never compared an entry, in any case: all of it was a mask's fill;
- a site was zero in every case, or one single value all over in every case: a wrong permutation or factor would not
  have shown.
"""

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence

from parity.compare import Comparison


class Verdict(enum.StrEnum):
    """What a report comes to."""

    PASS = "PASS"
    FAIL_SEMANTIC = "FAIL semantic"
    FAIL_PRECISION = "FAIL precision"
    VACUOUS = "VACUOUS"


@dataclasses.dataclass(frozen=True)
class Run:
    """One variant on one case: a comparison for every site, in the order computed."""

    variant: str
    case: str
    comparisons: tuple[Comparison, ...]
    inadequate: tuple[str, ...] = ()

    @property
    def first_to_differ(self) -> int | None:
        """Index of the first comparison that does not agree."""
        return next((i for i, comparison in enumerate(self.comparisons) if not comparison.agrees), None)


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything that a check found.

    Attributes:
        subject: what was compared.
        allowed: the largest relative error at which floats agree.
        environment: versions and settings.
        runs: in the order they ran.
    """

    subject: str
    allowed: float
    environment: Mapping[str, str]
    runs: tuple[Run, ...]

    @property
    def verdict(self) -> Verdict:
        """FAIL if anything differs; else VACUOUS if anything makes the check no proof; else PASS."""
        return judge(self.runs)

    @property
    def variants(self) -> dict[str, tuple[Run, ...]]:
        """The runs of each variant."""
        names = dict.fromkeys(run.variant for run in self.runs)
        return {name: tuple(run for run in self.runs if run.variant == name) for name in names}


def judge(runs: Sequence[Run]) -> Verdict:
    """The verdict on some runs."""
    if any(run.first_to_differ is not None for run in runs):
        return Verdict.FAIL_SEMANTIC
    return Verdict.VACUOUS if vacuities(runs) else Verdict.PASS


def vacuities(runs: Sequence[Run]) -> tuple[str, ...]:
    """Every reason why the runs are no proof, each with its place; empty if they are one."""
    if not runs:
        return ("nothing was compared",)
    found = []
    for run in runs:
        reasons = run.inadequate if run.comparisons else (*run.inadequate, "no site was compared")
        found += [f"{reason} ({run.variant}, {run.case})" for reason in reasons]
    sites: dict[tuple[str, str], list[Comparison]] = {}
    for run in runs:
        for comparison in run.comparisons:
            sites.setdefault((run.variant, comparison.site), []).append(comparison)
    for (variant, site), comparisons in sites.items():
        found += [f"{site} {reason} ({variant}, every case)" for reason in _blind(comparisons)]
    return tuple(found)


def worst(runs: Sequence[Run]) -> tuple[Run, Comparison] | None:
    """Where the largest error is; None if nothing was compared."""
    pairs = [(run, comparison) for run in runs for comparison in run.comparisons]
    return max(pairs, key=lambda pair: (bool(pair[1].problem), pair[1].error), default=None)


def _blind(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Why one site, over all cases of a variant, could not expose a mistake."""
    if not all(comparison.agrees for comparison in comparisons):
        return
    if not any(comparison.compared for comparison in comparisons):
        yield "compared no entry: all of it is a mask's fill"
    elif not any(comparison.scale for comparison in comparisons):
        yield "is zero throughout"
    elif not any(comparison.spread or comparison.compared == 1 for comparison in comparisons):
        yield "has one value throughout"
