"""What the core asks of a binding: which variants there are, and what both sides compute for one on one case."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from parity.cases.case import Case, Sizes
from parity.judge.sites import Site
from parity.judge.verdict import Explanation, Run, Setting

Sites = tuple[Site, ...]


class Difference(NamedTuple):
    """A culprit's two arrays: what ours computed from the reference's values, and what the reference did."""

    site: str
    actual: np.ndarray
    expected: np.ndarray


# Of some differences of a part, and all that there are.
Explain = Callable[[Sequence[Difference], Sequence[Difference]], Sequence[tuple[Explanation, ...]]]


class Part(NamedTuple):
    """One stretch of what both sides computed: forward, backward under one loss, or as another program.

    Attributes:
        actual: JAX's values, in the order computed.
        expected: torch's, which should have the same names in the same order.
        replay: computes JAX's values once more, each from what torch computed before it; None if that cannot be done.
        scales: the least scale of a value, where it is not to be judged by its own size alone.
        explain: names the known mistakes that explain each of some differences of this part, the best first.
    """

    actual: Sites
    expected: Sites
    replay: Callable[[], Sites] | None = None
    scales: Mapping[str, float] = {}
    explain: Explain | None = None


class Structure(NamedTuple):
    """How the values of a trace depend on one another.

    Attributes:
        reads: value -> the values that it is computed from.
        axes: the letters of a value's axes, for messages; empty where they are not known.
        aliases: a value that is an earlier one -> the earlier.
        seen_BS: of the case, True at tokens and False at padding, for messages; None if that is not known.
    """

    reads: Mapping[str, tuple[str, ...]]
    axes: Callable[[str], str]
    aliases: Mapping[str, str] = {}
    seen_BS: np.ndarray | None = None


class Trace(NamedTuple):
    """What both sides computed on one case.

    Attributes:
        parts: made one after the other, and not kept: gradients of a large model fill the memory.
        inadequate: reasons, measured by the binding, why this input could not expose a mistake.
        structure: asked for where something differs; None if no part can be replayed.
    """

    parts: Iterable[Part]
    inadequate: tuple[str, ...] = ()
    structure: Callable[[], Structure] | None = None


Runner = Callable[[Case], Trace]


@runtime_checkable
class Variant(Protocol):
    """One form of the program."""

    @property
    def sizes(self) -> Sizes:
        """What its cases must fit."""

    @property
    def by_default(self) -> bool:
        """Whether it is checked when no variant is named."""

    def build(self) -> Runner:
        """Builds both sides with equal parameters, all in float64.

        Raises:
            MismatchError: their parameters cannot be brought together. The check counts it as a failure.
        """


@runtime_checkable
class Drawing(Variant, Protocol):
    """A variant that may draw at random what both sides are then given, of which comparing them says nothing."""

    def draws(self, name: str) -> Run | None:
        """Judges the draws by themselves, as a run of the variant of this name; None if nothing is drawn."""


@runtime_checkable
class Subject(Protocol):
    """Two programs that are said to be one function."""

    @property
    def name(self) -> str:
        """What the report calls them."""

    def variants(self) -> Mapping[str, Variant]:
        """All forms, by name, in the order to check them."""

    def environment(self) -> Mapping[str, str]:
        """Versions, devices and settings that the result depends on."""

    def preflight(self, dtypes: Sequence[str]) -> tuple[Setting, ...]:
        """What decides precision on both sides, measured; called outside of a session."""

    def session(self) -> AbstractContextManager[None]:
        """Sets what building and running need (float64), and restores it."""
