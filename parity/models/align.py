"""Two programs side by side: which values they share, and where they part for good.

Values are matched by fingerprint. What does not match and meets again downstream is a detour, as harmless as a scale
that is applied earlier. The walk that finds a mistake goes backward from what differs at the end and stops at shared
values: it runs through nothing but what is wrong, and where all that an operation reads is shared, it is a frontier.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from parity.models.program import Node, Program


class Coverage(NamedTuple):
    """Of the operations that reach an output: how many have their equal on the other side, and which have not although
    the outputs do."""

    matched: int
    operations: int


@dataclasses.dataclass(frozen=True)
class Alignment:
    """What two programs share.

    Attributes:
        programs: ours and theirs.
        classes: of each program, a value's number -> the number of the class of equal values that it is in.
        shared: the classes that both programs have a value of.
    """

    programs: tuple[Program, Program]
    classes: tuple[dict[int, int], dict[int, int]]
    shared: frozenset[int]

    def is_shared(self, side: int, index: int) -> bool:
        """Whether a value of one program has its equal in the other."""
        return self.classes[side].get(index, -1) in self.shared

    def equals(self, side: int, index: int) -> list[Node]:
        """The values of the other program that equal one of this."""
        wanted = self.classes[side].get(index, -1)
        nodes = self.programs[1 - side].nodes
        return [nodes[one] for one, found in self.classes[1 - side].items() if found == wanted]

    def live(self, side: int) -> list[Node]:
        """The operations that reach an output or a gradient."""
        program = self.programs[side]
        found: set[int] = set()
        waiting = [*program.outputs.values(), *program.gradients.values()]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += program.nodes[one].reads
        return [program.nodes[one] for one in sorted(found) if program.nodes[one].kind == "operation"]

    def varying(self, side: int, *, backward: bool = False) -> frozenset[int]:
        """The values that an input enters; or, going backward, a cotangent."""
        kinds = ("cotangent",) if backward else ("input", "cotangent")
        found: set[int] = set()
        for node in self.programs[side].nodes:
            if node.kind in kinds or not found.isdisjoint(node.reads):
                found.add(node.index)
        return frozenset(found)

    def coverage(self, side: int) -> Coverage:
        """How much of one program has its equal in the other."""
        live = self.live(side)
        return Coverage(sum(self.is_shared(side, node.index) for node in live), len(live))


class Frontier(NamedTuple):
    """Where one program parts from the other: operations that read nothing but shared values, and all that follows."""

    nodes: tuple[Node, ...]
    region: frozenset[int]


def align(ours: Program, theirs: Program) -> Alignment:
    """Groups all values of both by their fingerprints."""
    found = [
        (node.print.key, side, node)
        for side, program in enumerate((ours, theirs))
        for node in program.nodes
        if node.print is not None
    ]
    found.sort(key=lambda one: one[0])
    classes: tuple[dict[int, int], dict[int, int]] = ({}, {})
    sides: list[set[int]] = []
    open_: list[tuple[Node, int]] = []  # the first of each class, while another may still be its equal
    for key, side, node in found:
        assert node.print is not None, "others are left out above"
        open_ = [one for one in open_ if _near(one[0], key, node)]
        place = next((number for first, number in open_ if first.print.equals(node.print)), -1)  # type: ignore[union-attr]
        if place < 0:
            place = len(sides)
            sides.append(set())
            open_.append((node, place))
        sides[place].add(side)
        classes[side][node.index] = place
    shared = frozenset(number for number, both in enumerate(sides) if len(both) == 2)
    return Alignment((ours, theirs), classes, shared)


def _near(first: Node, key: float, node: Node) -> bool:
    """Whether what comes from here on, in order of keys, may still equal the first of a class."""
    assert first.print is not None, "only fingerprints are put in order"
    assert node.print is not None, "only fingerprints are put in order"
    return key - first.print.key <= 1e-9 * max(first.print.scale, node.print.scale)


def frontier(alignment: Alignment, side: int, ends: Sequence[int], *, backward: bool = False) -> Frontier:
    """Walks backward from what differs at the end, through what the other program does not have.

    A value without an equal is passed by if what else is computed from it meets the other program again, as that of a
    mask does that all layers read: what is wrong there would show in all of them. So is what no input enters.

    Args:
        alignment: of both.
        side: which program to walk through.
        ends: values that differ, whatever their fingerprints say: in another order, entries are other entries.
        backward: whether to look at derivatives only, as all values agree.
    """
    varying = alignment.varying(side, backward=backward)
    harmless = _meeting_again(alignment, side, alignment.varying(side, backward=True), backward)
    for passed in (harmless, frozenset[int]()):
        found = _walked(alignment, side, ends, varying, passed)
        if found.nodes:
            return found
    return _walked(alignment, side, ends, frozenset(range(len(alignment.programs[side].nodes))), frozenset())


def _walked(
    alignment: Alignment, side: int, ends: Sequence[int], varying: frozenset[int], passed: frozenset[int]
) -> Frontier:
    program = alignment.programs[side]
    forced = {alignment.classes[side].get(one, -1) for one in ends} - {-1}

    def stops(index: int) -> bool:
        if program.nodes[index].kind != "operation" or index not in varying or index in passed:
            return True
        return alignment.is_shared(side, index) and alignment.classes[side][index] not in forced

    region: set[int] = set()
    waiting = [one for one in ends if program.nodes[one].kind == "operation"]
    while waiting:
        one = waiting.pop()
        if one not in region:
            region.add(one)
            waiting += [read for read in program.nodes[one].reads if not stops(read)]
    first = [program.nodes[one] for one in sorted(region) if all(map(stops, program.nodes[one].reads))]
    return Frontier(tuple(first), frozenset(region))


def _meeting_again(alignment: Alignment, side: int, derivatives: frozenset[int], backward: bool) -> frozenset[int]:
    """Values without an equal from which, by way of such values alone, one is computed that has an equal."""
    program = alignment.programs[side]
    found: set[int] = set()
    for node in reversed(program.nodes):
        if (node.index in derivatives) != backward:
            continue  # one result of an operation's derivative may need none of what the operation computed
        has_equal = alignment.is_shared(side, node.index)
        telling = has_equal and node.print is not None and node.print.telling
        if telling or (not has_equal and node.index in found):
            found |= {one for one in node.reads if not alignment.is_shared(side, one)}
    return frozenset(found)
