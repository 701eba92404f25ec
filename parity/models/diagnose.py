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
_PARTINGS, _DETOURS, _NUMBERS = 6, 8, 4


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
        suspects = _suspects(alignment, differing)
        if not any(suspects.nodes):
            break
        causes, shape, pair = name_causes(both, alignment, suspects)
        found.append(Parting(*_cuts(alignment, suspects), causes, shape, backward))
        further = carry_on(both, alignment, suspects, pair, ends)
        if further is None:
            break
        alignment, ends = further
    return tuple(found)


def _suspects(alignment: Alignment, differing: Sequence[Ends]) -> Suspects:
    """What lies at the first place where each program parts from the other."""
    fronts = tuple(
        frontier(alignment, side, [one for end in differing for one in (end.ours, end.theirs)[side]]) for side in (0, 1)
    )
    nodes = tuple(_by_data(alignment.programs[side], fronts[side].nodes) for side in (0, 1))
    return Suspects(nodes, (fronts[0].region, fronts[1].region))  # type: ignore[arg-type]


def _by_data(program: Program, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Those that read what an input enters before those that read parameters and constants alone."""
    varying: set[int] = set()
    for node in program.nodes:
        if node.kind in ("input", "cotangent") or varying.intersection(node.reads):
            varying.add(node.index)
    return tuple(sorted(nodes, key=lambda node: (not varying.intersection(node.reads), node.index)))


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
