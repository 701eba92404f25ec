"""Runs one side again from what the other computed: a mistake behind the first is found only so."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from parity.models.align import Alignment, align
from parity.models.program import Node, Program

Pair = tuple[int, int]  # numbers of a value of ours and of theirs that play one role
Judge = Callable[[Program, Program], Sequence[Any]]  # both programs -> what was compared at the end


@dataclasses.dataclass
class Both:
    """Both sides, ready to run again.

    Attributes:
        runs: of either side: runs it with some values given.
        judge: compares what both came to.
        labels: what they are called.
        given: what each side is given by now.
    """

    runs: tuple[Callable[[Mapping[int, np.ndarray]], Program], Callable[[Mapping[int, np.ndarray]], Program]]
    judge: Judge
    labels: tuple[str, str]
    given: tuple[dict[int, np.ndarray], dict[int, np.ndarray]] = dataclasses.field(default_factory=lambda: ({}, {}))

    def again(
        self, alignment: Alignment, side: int, given: Mapping[int, np.ndarray]
    ) -> tuple[Alignment, Sequence[Any]]:
        """Runs one side with more values given."""
        program = self.runs[side]({**self.given[side], **given})
        programs = (program, alignment.programs[1]) if side == 0 else (alignment.programs[0], program)
        return align(*programs), self.judge(*programs)


def laid_out(alignment: Alignment, value: np.ndarray, source: Node, target: Node, side: int) -> np.ndarray | None:
    """A value of one program as the other would hold it; None if there is no telling.

    How is read off values that both share and that have these very shapes.

    Args:
        alignment: of both.
        value: to lay out.
        source: the value whose layout it has, of the other side.
        target: the value whose layout is wanted.
        side: of the target.
    """
    if value.size != int(np.prod(target.shape)):
        return None
    best, last = b"", -1
    for index in alignment.classes[side]:
        here = alignment.programs[side].nodes[index]
        if not last < index < target.index:
            continue  # what comes last before it is likest to have its layout
        if here.shape != target.shape or here.value is None or not alignment.is_shared(side, index):
            continue
        if np.unique(here.value).size < value.size:
            continue  # of equal entries nobody can tell which is which
        for there in reversed(alignment.equals(side, index)):
            if there.shape == source.shape and there.index < source.index and there.value is not None and last < index:
                order = np.empty(value.size, np.int64)
                order[np.argsort(here.value, axis=None)] = np.argsort(there.value, axis=None)
                best, last = order.tobytes(), index
    if not best:
        return value.reshape(target.shape) if source.shape == target.shape else None
    order = np.frombuffer(best, np.int64)
    return value.ravel()[order].reshape(target.shape)


def carry_on(
    both: Both, alignment: Alignment, suspects: Any, pair: Pair | None, ends: Sequence[Any]
) -> tuple[Alignment, Sequence[Any]] | None:
    """Puts what theirs computed in the place of ours, and runs on; None if there is nothing to put, or nothing new."""
    candidates = [pair] if pair is not None else pairs(alignment, suspects)
    before = sum(not end.agrees for end in ends)
    for ours, theirs in candidates:
        here, there = alignment.programs[0].nodes[ours], alignment.programs[1].nodes[theirs]
        value = laid_out(alignment, there.value, there, here, 0) if there.value is not None else None
        if value is None:
            continue
        further, found = both.again(alignment, 0, {ours: value})
        moved = further.coverage(1).matched > alignment.coverage(1).matched
        if moved or sum(not end.agrees for end in found) < before:
            both.given[0][ours] = value
            return further, found
    return None


def pairs(alignment: Alignment, suspects: Any, most: int = 6) -> list[Pair]:
    """Values on both sides, of one size and behind the parting, that are nearest to one another."""
    found = []
    first = [sorted(region)[:40] for region in suspects.regions]
    for ours in first[0]:
        for theirs in first[1]:
            here, there = alignment.programs[0].nodes[ours], alignment.programs[1].nodes[theirs]
            if here.print is None or there.print is None or here.print.single:
                continue
            if int(np.prod(here.shape)) != int(np.prod(there.shape)):
                continue
            distance = here.print.distance(there.print)
            if distance < 0.6:
                found.append((distance, ours + theirs, (ours, theirs)))
    return [pair for _, _, pair in sorted(found, key=lambda one: (round(one[0], 2), one[1]))[:most]]
