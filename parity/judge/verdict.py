"""What a check found: runs of comparisons, and what follows from them.

A report is an ERROR if a side raised where it was built or run: what it did not compute, nobody has judged. It is
VACUOUS, however well everything agrees, if it is no proof. Measured, and for each variant on its own:

- there is no run, or a run without sites;
- a case could not expose what it is made for (`parity.cases.case.adequacy`), or the binding says so of its input;
- a site never compared an entry, in any case: all of it was a mask's fill;
- a site was zero in every case, or one single value all over in every case: a wrong permutation or factor would not
  have shown.
"""

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from parity.judge.compare import Comparison, Index, Number


class Verdict(enum.StrEnum):
    """What a report comes to, or a part of it. What agrees, but did not run on the device that it is made for, is
    INTERPRETED or LOWERED, and never passes."""

    PASS = "PASS"
    FAIL_SEMANTIC = "FAIL semantic"
    FAIL_PRECISION = "FAIL precision"
    VACUOUS = "VACUOUS"
    ERROR = "ERROR"
    INTERPRETED = "interpreted"
    LOWERED = "lowered only"


class Explanation(NamedTuple):
    """A known mistake that turns one side's value into the other's.

    Attributes:
        bug: its name in the catalogue.
        mistake: what is wrong, to follow "looks like".
        side: which side makes it, "JAX" or "torch".
        residual: what is left, relative to the tensor's scale, after correcting for it.
    """

    bug: str
    mistake: str
    side: str
    residual: float


class Element(NamedTuple):
    """One entry of an array on both sides."""

    at: Index
    actual: Number
    expected: Number


class Culprit(NamedTuple):
    """A place where a difference is made: fed what the reference computed before it, ours still computes another value.

    Attributes:
        site: the value that differs.
        reads: the sites that it is computed from; the mistake lies between them and it.
        comparison: of our value, computed from the reference's, with the reference's.
        elements: where the two differ most.
        explanations: known mistakes that explain it, the best first.
        shape: what the difference looks like, one finding a line.
    """

    site: str
    reads: tuple[str, ...]
    comparison: Comparison
    elements: tuple[Element, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    shape: tuple[str, ...] = ()


class Crash(NamedTuple):
    """What a side raised where it was built or run.

    Attributes:
        side: "JAX" or "torch".
        kind: name of the exception.
        message: its text.
        where: file, line and function of the model's own code that came nearest; empty if none did.
        reached: the last value that the side had computed; empty if that cannot be told.
        traceback: as Python prints it.
    """

    side: str
    kind: str
    message: str
    where: str = ""
    reached: str = ""
    traceback: str = ""


class SiteError(NamedTuple):
    """How far a site is from the float64 reference in a lower precision.

    Attributes:
        site: name of the value.
        ours, theirs: JAX's and torch's error, relative to the reference's scale.
        allowed: the largest error of ours that counts as rounding.
    """

    site: str
    ours: float
    theirs: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """False for an error that is NaN, too."""
        return self.ours <= self.allowed


class Setting(NamedTuple):
    """One thing that decides precision, on both sides; `warning` says what is wrong with it, or nothing."""

    name: str
    jax: str
    torch: str
    warning: str = ""


@dataclasses.dataclass(frozen=True)
class PrecisionRun:
    """One variant on one case in the dtype it is deployed in; `crash` says what a side raised, if one did, and
    `agreed` what it is worth if all agrees."""

    variant: str
    case: str
    dtype: str
    errors: tuple[SiteError, ...]
    crash: Crash | None = None
    agreed: Verdict = Verdict.PASS

    @property
    def first_to_differ(self) -> int | None:
        """Index of the first site whose error is more than rounding."""
        return next((i for i, error in enumerate(self.errors) if not error.agrees), None)


@dataclasses.dataclass(frozen=True)
class Run:
    """One variant on one case: a comparison for every site, in the order computed.

    Attributes:
        variant, case: names.
        comparisons: of the values that both sides came to by themselves, forward and then backward.
        inadequate: why this input could not expose a mistake.
        replayed: of the same sites, each computed by JAX from what torch computed before it.
        culprits: where a difference is made, in the order computed.
        inert: sites that differ and reach nothing (`parity.judge.inert`).
        outputs: the losses and what they are computed from, where something differs and they are known.
        crash: what a side raised; then the comparisons are those before it, and may be none.
        agreed: what it is worth if all agrees.
    """

    variant: str
    case: str
    comparisons: tuple[Comparison, ...]
    inadequate: tuple[str, ...] = ()
    replayed: tuple[Comparison, ...] = ()
    culprits: tuple[Culprit, ...] = ()
    inert: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    crash: Crash | None = None
    agreed: Verdict = Verdict.PASS

    @property
    def mattering(self) -> tuple[Comparison, ...]:
        """All comparisons but the inert ones."""
        return tuple(one for one in self.comparisons if one.site not in self.inert) if self.inert else self.comparisons

    @property
    def differing(self) -> tuple[Comparison, ...]:
        """Those that do not agree, and matter."""
        return tuple(one for one in self.mattering if not one.agrees)

    @property
    def first_to_differ(self) -> int | None:
        """Index of the first comparison that does not agree, and matters."""
        return next(
            (i for i, one in enumerate(self.comparisons) if not one.agrees and one.site not in self.inert), None
        )

    @property
    def by_chance(self) -> bool:
        """Whether draws were judged by themselves, on no case."""
        return bool(self.comparisons) and all(comparison.by_chance for comparison in self.comparisons)


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything that a check found.

    Attributes:
        subject: what was compared.
        allowed: the largest relative error at which floats agree.
        environment: versions and settings.
        runs: in the order they ran.
        precision: the same in the deployed dtypes; empty if that was not asked for.
        preflight: what decides precision, on both sides.
        curves: figures by step, of a training run: name -> one value a step.
        hashes: of what the report is about: name -> SHA-256.
    """

    subject: str
    allowed: float
    environment: Mapping[str, str]
    runs: tuple[Run, ...]
    precision: tuple[PrecisionRun, ...] = ()
    preflight: tuple[Setting, ...] = ()
    curves: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """ERROR if a side raised; else FAIL if anything differs, first in float64; else VACUOUS if the check is no
        proof; else PASS."""
        verdict = judge(self.runs)
        if self.crashed:
            return Verdict.ERROR
        if verdict is not Verdict.FAIL_SEMANTIC and any(run.first_to_differ is not None for run in self.precision):
            return Verdict.FAIL_PRECISION
        return verdict

    @property
    def crashed(self) -> tuple[Run | PrecisionRun, ...]:
        """The runs in which a side raised."""
        every: list[Run | PrecisionRun] = [*self.runs, *self.precision]
        return tuple(run for run in every if run.crash is not None)

    @property
    def variants(self) -> dict[str, tuple[Run, ...]]:
        """The runs of each variant."""
        names = dict.fromkeys(run.variant for run in self.runs)
        return {name: tuple(run for run in self.runs if run.variant == name) for name in names}


# What agrees, the least first: several are worth the most that one of them is.
AGREE = (Verdict.LOWERED, Verdict.INTERPRETED, Verdict.PASS)


def judge(runs: Sequence[Run]) -> Verdict:
    """The verdict on some runs."""
    if any(run.crash is not None for run in runs):
        return Verdict.ERROR
    if any(run.first_to_differ is not None for run in runs):
        return Verdict.FAIL_SEMANTIC
    if vacuities(runs):
        return Verdict.VACUOUS
    return max((run.agreed for run in runs), key=AGREE.index)


def vacuities(runs: Sequence[Run]) -> tuple[str, ...]:
    """Every reason why the runs are no proof, each with its place; empty if they are one."""
    if not runs:
        return ("nothing was compared",)
    found = []
    for run in runs:
        nothing = not run.comparisons and run.crash is None
        reasons = (*run.inadequate, "no site was compared") if nothing else run.inadequate
        found += [f"{reason} ({run.variant}, {run.case})" for reason in reasons]
    sites: dict[tuple[str, str], list[Comparison]] = {}
    for run in runs:
        for comparison in run.comparisons:
            sites.setdefault((run.variant, comparison.site), []).append(comparison)
    for (variant, site), comparisons in sites.items():
        found += [f"{site} {reason} ({variant}, every case)" for reason in _blind(comparisons)]
    return tuple(found)


def worst(runs: Sequence[Run]) -> tuple[Run, Comparison] | None:
    """Where the largest error is of what matters, statistics within their limits last; None if nothing was compared."""
    pairs = [(run, comparison) for run in runs for comparison in run.mattering]
    return max(
        pairs,
        key=lambda pair: (bool(pair[1].problem), not (pair[1].by_chance and pair[1].agrees), pair[1].error),
        default=None,
    )


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
