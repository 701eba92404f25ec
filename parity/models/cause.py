"""Names a mistake at a parting: what either side computes there as a known function of what both share.

Nothing is named by its look. Either both values are reproduced to the last digits, each by a known function of shared
values, and the two functions differ; or a change is made on one side, it runs again, and the other side's value is met.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from parity.judge.residual import describe
from parity.models import facts
from parity.models.align import Alignment
from parity.models.facts import Fact, same
from parity.models.program import Node
from parity.models.rerun import Both, Pair, carry_on, laid_out, pairs
from parity.models.weights import layout

_PRODUCTS = ("dot_general", "mm", "bmm", "addmm", "baddbmm", "matmul", "mv", "dot", "einsum", "convolution")
_FIRST_COUNTS = ("product", "rows")  # of several of one value, the first
_FIRST = 20  # values behind a parting of which one must be met
_SKIPS = 8  # values that are tried to be left out
_FAMILIES = ("activation", "norm", "softmax", "mask", "pooling", "rows", "product", "bias", "scores", "pair", "scale")


class Suspects(NamedTuple):
    """Where both part: the first operations of each, and all that follows from them."""

    nodes: tuple[tuple[Node, ...], tuple[Node, ...]]
    regions: tuple[frozenset[int], frozenset[int]]


class Named(NamedTuple):
    """What was found out.

    Attributes:
        causes: names, equally good.
        shape: what the difference looks like, if it has no name.
        pair: the values that play one role on both sides.
        further: how it goes on if one side is changed so as to meet the other, where that was tried.
    """

    causes: tuple[str, ...] = ()
    shape: tuple[str, ...] = ()
    pair: Pair | None = None
    further: tuple[Alignment, Sequence[Any]] | None = None


def name_causes(both: Both, alignment: Alignment, suspects: Suspects) -> Named:
    """Names what is wrong where two programs part."""
    found = tuple(facts.gather(alignment, side, suspects.nodes[side], suspects.regions[side]) for side in (0, 1))
    padding = _padding(both, suspects)
    if padding:
        return Named((padding,))
    drawn = tuple(_random(both, alignment, suspects))
    if drawn:
        return Named(drawn)
    causes, pair = _functions(both, alignment, found)
    causes += list(_operands(both, alignment, suspects))
    if causes:
        return Named(tuple(dict.fromkeys(causes)), pair=pair)
    for attempt in (_layouts, _skips, _others):
        named = attempt(both, alignment, suspects, found)
        if named is not None:
            return named
    return _described(alignment, suspects)


def _random(both: Both, alignment: Alignment, suspects: Suspects) -> Iterator[str]:
    for side, label in enumerate(both.labels):
        program = alignment.programs[side]
        for one in program.random:
            if suspects.regions[side].intersection((one, one + 1, one + 2)):
                yield f"random numbers, drawn in {label} in {program.nodes[one].place}: is dropout left on?"


def _padding(both: Both, suspects: Suspects) -> str:
    """What torch does with an embedding's padding: other rows are equal, and that one is zero on one side."""
    if not all(suspects.nodes):
        return ""
    first = suspects.nodes[0][0].value, suspects.nodes[1][0].value
    for side, nodes in enumerate(suspects.nodes):
        row = nodes[0].options.get("padding_idx", -1)
        ours, theirs = first
        if nodes[0].op != "embedding_dense_backward" or row < 0 or ours is None or theirs is None:
            continue
        if ours.shape == theirs.shape and same(np.delete(ours, row, 0), np.delete(theirs, row, 0)):
            return f"{both.labels[side]} gives row {row} of a table no gradient (padding_idx)"
    return ""


def _functions(both: Both, alignment: Alignment, found: Sequence[Sequence[Fact]]) -> tuple[list[str], Pair | None]:
    """Two functions of one family, of the same shared value."""
    last = [_last(side) for side in found]
    for family in _FAMILIES:
        for key in [key for key in last[0] if key[0] == family and key in last[1]]:
            ours, theirs = last[0][key], last[1][key]
            words = [_words(side, fact) for side, fact in zip(found, (ours, theirs), strict=True)]
            if family == "rows" or not set(words[0]) & set(words[1]):
                if family == "rows" and words[0][0].partition(" of ")[0] == words[1][0].partition(" of ")[0]:
                    continue
                return [f"{words[0][0]} in {both.labels[0]}, {words[1][0]} in {both.labels[1]}"], (
                    ours.at,
                    theirs.at,
                )
    for family in _FAMILIES:
        for key in [key for key in last[0] if key[0] == family and key in last[1]]:
            ours, theirs = last[0][key], last[1][key]
            if ours.params != theirs.params:
                names = [_in_reference(alignment, fact) for fact in (ours, theirs)]
                cause = f"{ours.words} takes {names[0]} in {both.labels[0]}, {names[1]} in {both.labels[1]}"
                return [cause], (ours.at, theirs.at)
    return [], None


def _in_reference(alignment: Alignment, fact: Fact) -> str:
    """The parameters that a function takes, as the reference calls what holds their values."""
    theirs = {
        alignment.classes[1].get(one.index, -1): one.name
        for one in alignment.programs[1].nodes
        if one.kind == "parameter"
    }
    named = zip(fact.names, fact.params, strict=True)
    return " and ".join(theirs.get(group, name) for name, group in named) or "no parameter"


def _words(found: Sequence[Fact], fact: Fact) -> list[str]:
    """All that a value is said to be, the likeliest first: what is written in the program before what is usual."""
    key = (fact.at, fact.family, fact.of)
    return [*dict.fromkeys(one.words for one in found if (one.at, one.family, one.of) == key)]


def _last(found: Sequence[Fact]) -> dict[tuple[str, int], Fact]:
    """Of each family and source the value that is computed last, where it first stands: before it is laid out anew."""
    last: dict[tuple[str, int], Fact] = {}
    for fact in sorted(found, key=lambda fact: fact.at):
        known = last.get((fact.family, fact.of))
        same_words = known is not None and known.words in {one.words for one in found if one.at == fact.at}
        other_one = known is not None and fact.family in _FIRST_COUNTS and known.names[:1] != fact.names[:1]
        if known is None or not (same_words or other_one):
            last[fact.family, fact.of] = fact
    return last


def _operands(both: Both, alignment: Alignment, suspects: Suspects) -> Iterator[str]:
    """The same operation, of another shared value or another parameter."""
    if not all(suspects.nodes):
        return
    first = [nodes[0] for nodes in suspects.nodes]
    kinds = [node.op in _PRODUCTS for node in first]
    if kinds != [True, True]:
        return
    groups = [
        {
            alignment.classes[side].get(one, -1): one
            for one in node.reads
            if not _plain(alignment.programs[side].nodes[one])
        }
        for side, node in enumerate(first)
    ]
    only = [[groups[side][one] for one in groups[side].keys() - groups[1 - side].keys()] for side in (0, 1)]
    if len(only[0]) == len(only[1]) == 1 and groups[0].keys() & groups[1].keys():
        words = [what(alignment, side, only[side][0]) for side in (0, 1)]
        yield f"{first[0].op} reads {words[0]} in {both.labels[0]}, {words[1]} in {both.labels[1]}"


def _plain(node: Node) -> bool:
    return node.print is None or node.print.single


def what(alignment: Alignment, side: int, index: int) -> str:
    """A value in words: the parameter that it is, or the operation that computes it, with its place."""
    node = alignment.programs[side].nodes[index]
    name = facts.parameter_of(alignment, side, index) or node.name
    return name or f"what {node.op} computes in {node.place}"


def _layouts(both: Both, alignment: Alignment, suspects: Suspects, _: Any) -> Named | None:
    """The same numbers go in, in another order: the other side is given them in this order, and meets."""
    if not all(suspects.nodes):
        return None
    moved: dict[int, np.ndarray] = {}
    said: list[str] = []
    for ours in _inputs(alignment, suspects, 0):
        for theirs in _inputs(alignment, suspects, 1):
            here, there = ours.value, theirs.value
            if here is None or there is None or here.size != there.size or theirs.index in moved:
                continue
            if alignment.classes[0].get(ours.index) == alignment.classes[1].get(theirs.index):
                for value, how in _moved(here, there):
                    moved[theirs.index] = value
                    said.append(f"{what(alignment, 0, ours.index)}{how}")
    for given, words in ((moved, said), *(({one: moved[one]}, [said[n]]) for n, one in enumerate(moved))):
        if given:
            further = both.again(alignment, 1, given)
            if _met(further[0], 0, suspects):
                both.given[1].update(given)
                cause = f"the numbers of {' and '.join(words)} stand in another order in {both.labels[0]}"
                return Named((cause,), further=further)
    return None


def _inputs(alignment: Alignment, suspects: Suspects, side: int) -> list[Node]:
    program = alignment.programs[side]
    reads = [program.nodes[one] for node in suspects.nodes[side][:2] for one in node.reads]
    return [one for one in reads if one.print is not None and not one.print.single and one.value is not None]


def _others(both: Both, alignment: Alignment, suspects: Suspects, found: Sequence[Sequence[Fact]]) -> Named | None:
    """Functions of two families, of the same shared value; with the one in the other's place the two meet."""
    last = [_last(side) for side in found]
    latest = [{fact.of: fact for fact in sorted(side.values(), key=lambda fact: fact.at)} for side in last]
    for of in [of for of in latest[0] if of in latest[1]]:
        ours, theirs = latest[0][of], latest[1][of]
        further = carry_on(both, alignment, suspects, (ours.at, theirs.at), [])
        if further is not None:
            words = [_words(side, fact)[0] for side, fact in zip(found, (ours, theirs), strict=True)]
            return Named((f"{words[0]} in {both.labels[0]}, {words[1]} in {both.labels[1]}",), further=further)
    return None


def _moved(here: np.ndarray, there: np.ndarray) -> Iterator[tuple[np.ndarray, str]]:
    """Our numbers as theirs would be, if only they were in our order."""
    found = layout(here, there)
    if found is None:
        return
    if here.ndim == there.ndim == 2 and here.shape == there.shape and found[1] == "the same":
        # A kernel that is (in, out) here and (out, in) there should be transposed.
        yield there.T.copy(), ": it is not transposed"
    elif found[1] not in ("the same", "reshaped"):
        said = describe(here, there) if here.shape == there.shape else ()
        yield here.reshape(there.shape).copy(), f" ({found[1]}{'; ' + said[0] if said else ''})"


def _skips(both: Both, alignment: Alignment, suspects: Suspects, found: Sequence[Sequence[Fact]]) -> Named | None:
    """One side does something that the other does not: left out, the two meet."""
    for side in (0, 1):
        other = suspects.nodes[1 - side]
        known = {one.at: one for one in sorted(found[side], key=lambda fact: -len(fact.words))}
        program = alignment.programs[side]
        behind = [node for one in sorted(suspects.regions[side])[:40] if facts.is_usable(node := program.nodes[one])]
        tried = [node for node in behind if node.index in known][::-1] + [
            node for node in behind if node.index not in known
        ]
        for node in tried[:_SKIPS]:
            for source in facts.into(alignment, side, suspects.nodes[side], suspects.regions[side]):
                value = _instead(alignment, side, source, node)
                if value is None:
                    continue
                further = both.again(alignment, side, {node.index: value})
                met = _met(further[0], 1 - side, suspects) if other else all(end.agrees for end in further[1])
                if not met:
                    continue
                both.given[side][node.index] = value
                words = known[node.index].words if node.index in known else f"{node.op}"
                place = f"{words}, in {node.place}"
                return Named((f"{both.labels[side]} has something more: {place}",), further=further)
    return None


def _met(further: Alignment, side: int, suspects: Suspects) -> bool:
    """Whether the first values of a region that tell anything have their equals now."""
    nodes = [further.programs[side].nodes[one] for one in sorted(suspects.regions[side])[:_FIRST]]
    return any(further.is_shared(side, one.index) and one.print is not None and one.print.telling for one in nodes)


def _instead(alignment: Alignment, side: int, source: Node, node: Node) -> np.ndarray | None:
    """The value that goes in, in the shape of what comes out."""
    if source.value is None or source.value.size != int(np.prod(node.shape)):
        return None
    return source.value.reshape(node.shape) if source.shape[-1:] == node.shape[-1:] else None


def _described(alignment: Alignment, suspects: Suspects) -> Named:
    """What the nearest two values look like beside one another."""
    for ours, theirs in pairs(alignment, suspects):
        here, there = alignment.programs[0].nodes[ours], alignment.programs[1].nodes[theirs]
        if here.value is None or there.value is None:
            continue
        value = laid_out(alignment, there.value, there, here, 0)
        if value is not None:
            return Named(
                shape=describe(here.value.astype(np.float64), value.astype(np.float64))[:3], pair=(ours, theirs)
            )
    return Named()
