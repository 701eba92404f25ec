"""What a comparison of two models found."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from parity.judge.verdict import Run, Verdict, judge
from parity.models.align import Coverage
from parity.models.program import Cast, Place
from parity.models.weights import Table


class Cut(NamedTuple):
    """One side of a place where the two part.

    Attributes:
        op: the operation, empty where this side has none of its own there.
        place: where it is written.
        shape: of what it computes.
        reads: what it reads, in words.
        values: the first numbers of what it computes.
    """

    op: str = ""
    place: Place = Place()
    shape: tuple[int, ...] = ()
    reads: tuple[str, ...] = ()
    values: tuple[float, ...] = ()


class Parting(NamedTuple):
    """A place where the two part for good, on both sides, and what the mistake looks like.

    Attributes:
        ours, theirs: the first operations.
        causes: names of the mistake, the shortest first; each makes the difference vanish.
        shape: what the difference looks like, where it has no name.
        backward: whether it is made going backward.
    """

    ours: Cut
    theirs: Cut
    causes: tuple[str, ...] = ()
    shape: tuple[str, ...] = ()
    backward: bool = False


class SideOfCase(NamedTuple):
    """What one side's program was.

    Attributes:
        coverage: how many of its operations have their equal on the other side.
        detours: operations without an equal, downstream of which the two meet again: how often each, by place.
        casts: to fewer digits, read as float64.
        notes: what else is to be said.
    """

    coverage: Coverage
    detours: tuple[tuple[str, int], ...] = ()
    casts: tuple[Cast, ...] = ()
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        run: the outputs, and the gradients, compared.
        sides: what either program was; none if one raised.
        partings: where they part; none if all agrees.
    """

    run: Run
    sides: tuple[SideOfCase, ...] = ()
    partings: tuple[Parting, ...] = ()


@dataclasses.dataclass(frozen=True)
class Result:
    """Everything that a comparison found; printed, its first line is the verdict.

    Attributes:
        labels: what the two are called.
        cases: by input.
        table: of the parameters.
        problems: what is wrong with the parameters.
        drawn: whether all parameters were drawn anew.
        environment: versions.
    """

    labels: tuple[str, str]
    cases: tuple[Case, ...]
    table: Table
    problems: tuple[str, ...] = ()
    drawn: bool = False
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """PASS, FAIL semantic, VACUOUS or ERROR."""
        return judge([case.run for case in self.cases])
