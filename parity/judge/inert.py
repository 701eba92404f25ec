"""Tells a difference that reaches nothing from one that matters: another fill of a mask, what stands at padding.

A value is inert in a case if two things hold. What is computed from it agrees, or is inert itself: so the difference
reaches no output. And at every entry that differs, every loss has a derivative of exactly 0 on both sides: so it
reaches no gradient, and nothing has merely cancelled, as the bias of all keys does in a softmax. A mask's fill must,
besides, lie so low that no score of any input comes near it: there the derivative is 0 by underflow alone.
"""

from collections.abc import Sequence

import numpy as np

from parity.judge.compare import SEMANTIC, Comparison, unknown_fill
from parity.judge.locate import Reads, is_derivative, loss_of, value_of
from parity.judge.subject import Part

# A fill, in units of the largest other entry and of 1. Scores of trained encoders come to thousands, those of random
# ones to tens: -1e4 is no safe fill (transformers#17306), -1e9 is one.
_SAFE_FILL = -1e6


class Candidates:
    """The values of one trace that differ and may be inert, as far as its parts have come by."""

    def __init__(self) -> None:
        self._differs: dict[str, np.ndarray] = {}
        self._seen: set[str] = set()

    def note(self, part: Part, compared: Sequence[Comparison]) -> None:
        """Takes note of what differs in a part, and of its derivatives by what differs."""
        differing = {one.site for one in compared if not one.agrees}
        if not differing and not self._differs:
            return
        actual, expected = ({site.name: site.value for site in side} for side in (part.actual, part.expected))
        both = [site for site in actual if site in expected]
        for site in both:
            if site in differing:
                differs = where_different(actual[site], expected[site], part.scales.get(site, 0.0))
                if differs is not None:
                    self._differs[site] = differs
        for site in both:
            if is_derivative(site) and value_of(site) in self._differs:
                self._note_derivative(value_of(site), actual[site], expected[site])

    def inert(self, compared: Sequence[Comparison], reads: Reads) -> tuple[str, ...]:
        """The values that are inert, in the order computed; asked when all parts have come by."""
        differing = {one.site for one in compared if not one.agrees}
        found = set(self._differs) & self._seen
        readers: dict[str, set[str]] = {}
        for reader, sources in reads.items():
            for source in sources:
                readers.setdefault(source, set()).add(reader)
        while True:
            reaching = {site for site in found if (readers.get(site, set()) & differing) - found}
            if not reaching:
                return tuple(one.site for one in compared if one.site in found)
            found -= reaching

    def _note_derivative(self, value: str, *sides: np.ndarray) -> None:
        differs = self._differs[value]
        if all(side.shape == differs.shape and not side[differs].any() for side in sides):
            self._seen.add(value)
        else:
            del self._differs[value]


def outputs(compared: Sequence[Comparison], reads: Reads) -> tuple[str, ...]:
    """The losses whose derivatives were compared, and what they are computed from, in the order computed."""
    losses = {loss_of(one.site) for one in compared}
    found = losses.union(*(reads.get(loss, ()) for loss in losses))
    return tuple(one.site for one in compared if one.site in found)


def where_different(actual: np.ndarray, expected: np.ndarray, scale: float) -> np.ndarray | None:
    """True where two arrays differ; None if that would not be all that is to be said.

    So it is of arrays that are no floats or of different shapes, of NaN, and of a fill that only one side has, or that
    scores may reach.

    Args:
        actual: JAX's array.
        expected: torch's.
        scale: the least scale.
    """
    if actual.dtype != expected.dtype or expected.dtype.kind != "f":
        return None
    fill = _fill(expected)
    if not np.array_equal(_fill(actual), fill):  # nor if the shapes are not
        return None
    ours, theirs = actual[~fill], expected[~fill]
    if not all(np.isfinite(one).all() and not unknown_fill(one) for one in (ours, theirs)):
        return None
    largest = max(float(np.abs(theirs).max(initial=0.0)), scale)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(actual - expected) > SEMANTIC * largest
    return np.where(fill, actual != expected, apart)


def _fill(array: np.ndarray) -> np.ndarray:
    """Where an array holds a fill that no score comes near; additive masks leave each entry its own."""
    largest = float(np.abs(array[array > _SAFE_FILL]).max(initial=1.0))
    return np.asarray(array <= _SAFE_FILL * largest)
