"""Where two programs part, and what the mistake looks like; found by value, and tried by running again."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from parity.models.align import Alignment, align, frontier
from parity.models.cause import Suspects, name_causes
from parity.models.program import Node, Program
from parity.models.rerun import Both, carry_on
from parity.models.result import Cut, Parting, SideOfCase

# Partings that are looked for one behind the other, kinds of detours that are listed, and numbers of a value.
_PARTINGS, _DETOURS, _NUMBERS = 4, 8, 4


class Ends(NamedTuple):
    """A value that was compared at the end: its numbers in both programs, and whether it agreed."""

    ours: tuple[int, ...]
    theirs: tuple[int, ...]
    agrees: bool
    backward: bool


def side_of_case(alignment: Alignment, side: int) -> SideOfCase:
    """What one program was, beside the other."""
    program = alignment.programs[side]
    live = alignment.live(side)
    unmatched = Counter(f"{node.op} in {node.place}" for node in live if not alignment.is_shared(side, node.index))
    reached = {node.index for node in live}
    notes = [*program.notes]
    random = [program.nodes[one].place for one in program.random if one in reached]
    notes += [f"random numbers are drawn in {place}: is dropout left on?" for place in dict.fromkeys(random)]
    notes += [
        f"{name} in {place} hides what is inside: compared as one operation" for name, place in program.opaque.items()
    ]
    return SideOfCase(
        alignment.coverage(side), tuple(unmatched.most_common(_DETOURS)), tuple(program.casts), tuple(notes)
    )


def diagnose(both: Both, alignment: Alignment, ends: Sequence[Ends]) -> tuple[Parting, ...]:
    """The places where the two part, the first first.

    Behind one mistake another hides: what theirs computed is put in the place of what ours did, and ours runs on.

    Args:
        both: the two sides, to run again.
        alignment: of their programs.
        ends: what was compared.
    """
    found: list[Parting] = []
    backward = all(end.agrees for end in ends if not end.backward)
    for _ in range(_PARTINGS):
        differing = [end for end in ends if not end.agrees and end.backward == backward]
        suspects = _suspects(alignment, differing, backward)
        if not any(suspects.nodes):
            break
        named = name_causes(both, alignment, suspects)
        found.append(Parting(*_cuts(alignment, suspects), named.causes, named.shape, backward))
        further = named.further or carry_on(both, alignment, suspects, named.pair, ends)
        if further is None:
            break
        alignment, ends = further
    return tuple(found)


def _suspects(alignment: Alignment, differing: Sequence[Ends], backward: bool) -> Suspects:
    """What lies at the first place where each program parts from the other."""
    ends = [[one for end in differing for one in (end.ours, end.theirs)[side]] for side in (0, 1)]
    ours, theirs = (frontier(alignment, side, ends[side], backward=backward) for side in (0, 1))
    first = _together(alignment, ours.nodes, theirs.nodes)
    nodes = tuple(
        tuple(sorted(one.nodes, key=lambda node, chosen=chosen: node is not chosen))  # type: ignore[misc]
        for one, chosen in zip((ours, theirs), first, strict=True)
    )
    return Suspects((nodes[0], nodes[1]), (ours.region, theirs.region))


def _together(alignment: Alignment, ours: Sequence[Node], theirs: Sequence[Node]) -> tuple[Node | None, Node | None]:
    """The first operation of each that read the most of what both share."""
    groups = [[_groups(alignment, side, node) for node in nodes] for side, nodes in enumerate((ours, theirs))]
    best, chosen = 0, (next(iter(ours), None), next(iter(theirs), None))
    for node, reads in zip(ours, groups[0], strict=True):
        for other, others in zip(theirs, groups[1], strict=True):
            if len(reads & others) > best:
                best, chosen = len(reads & others), (node, other)
    return chosen


def _groups(alignment: Alignment, side: int, node: Node) -> set[int]:
    """The classes of what an operation reads, as far as they tell anything."""
    reads = [alignment.programs[side].nodes[one] for one in node.reads]
    return {alignment.classes[side][one.index] for one in reads if one.print is not None and one.print.telling}


def _cuts(alignment: Alignment, suspects: Suspects) -> tuple[Cut, Cut]:
    ours, theirs = (_cut(alignment, side, suspects.nodes[side]) for side in (0, 1))
    return ours, theirs


def _cut(alignment: Alignment, side: int, nodes: Sequence[Node]) -> Cut:
    if not nodes:
        return Cut()
    node = nodes[0]
    program = alignment.programs[side]
    values = () if node.value is None else tuple(float(one) for one in node.value.ravel()[:_NUMBERS])
    return Cut(node.op, node.place, node.shape, tuple(described(program, one) for one in node.reads), values)


def described(program: Program, index: int) -> str:
    """A value in a few words: its name, or the operation that computes it."""
    node = program.nodes[index]
    if node.kind == "constant":
        single = node.value is not None and node.value.size == 1
        return f"{float(node.value.ravel()[0]):g}" if single and node.value is not None else f"a constant {node.shape}"
    return f"{node.name or node.op} {node.shape}"


__all__ = ["Ends", "align", "described", "diagnose", "side_of_case"]
