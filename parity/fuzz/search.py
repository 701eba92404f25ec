"""Searches for an input on which something fails, and for the smallest such: a thin layer over hypothesis."""

import dataclasses
import time
import warnings
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import hypothesis
from hypothesis.errors import HypothesisException, HypothesisWarning
from hypothesis.strategies import SearchStrategy

Problem = TypeVar("Problem", bound=Hashable)


@dataclasses.dataclass(frozen=True)
class Search(Generic[Problem]):
    """What a search came to.

    Attributes:
        tried: different inputs that were run.
        smallest: one that fails, as small as could be found in the time; None if none did.
        reason: why it fails.
    """

    tried: int
    smallest: Problem | None
    reason: str


class _FailedError(Exception):
    """What hypothesis minimises."""


def search(
    problems: SearchStrategy[Problem],
    reason_of: Callable[[Problem], str],
    *,
    seed: int,
    examples: int,
    seconds: float,
) -> Search[Problem]:
    """Draws inputs until one fails or time is up, then makes that one smaller.

    Args:
        problems: inputs, hashable; simple ones first.
        reason_of: runs one; empty if nothing is wrong.
        seed: equal seeds draw the same inputs.
        examples: how many to try at most, before anything fails.
        seconds: how long to go on; a run that has begun is ended.
    """
    until = time.monotonic() + seconds
    seen: dict[Problem, str] = {}
    smallest: list[Problem] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        report_multiple_bugs=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )
    @hypothesis.given(problems)
    def attempt(problem: Problem) -> None:
        if problem not in seen and time.monotonic() < until:
            seen[problem] = reason_of(problem)
        if seen.get(problem):
            smallest.append(problem)
            raise _FailedError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HypothesisWarning)
            attempt()
    except (_FailedError, HypothesisException):
        found = smallest[-1]
        return Search(len(seen), found, seen[found])
    return Search(len(seen), None, "")
