"""What the core asks of a binding: which variants there are, and what both sides compute for one on one case."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, runtime_checkable

from parity.cases import Case, Sizes
from parity.sites import Site


class Trace(NamedTuple):
    """What both sides computed on one case.

    Attributes:
        actual: JAX's values, in the order computed.
        expected: torch's, which should have the same names in the same order.
        inadequate: reasons, measured by the binding, why this input could not expose a mistake.
    """

    actual: tuple[Site, ...]
    expected: tuple[Site, ...]
    inadequate: tuple[str, ...] = ()


Runner = Callable[[Case], Trace]


@runtime_checkable
class Variant(Protocol):
    """One form of the program."""

    @property
    def sizes(self) -> Sizes:
        """What its cases must fit."""

    def build(self) -> Runner:
        """Builds both sides with equal parameters, all in float64.

        Raises:
            MismatchError: their parameters cannot be brought together. The check counts it as a failure.
        """


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

    def session(self) -> AbstractContextManager[None]:
        """Sets what building and running need (float64), and restores it."""
