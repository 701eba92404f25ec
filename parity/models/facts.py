"""What one side computes at a parting, told from its values alone: known functions of what goes in."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from parity.judge.compare import SEMANTIC
from parity.models import functions
from parity.models.align import Alignment
from parity.models.fingerprint import finite
from parity.models.functions import Known
from parity.models.program import Node

# Of what follows a parting, how many values are looked at, and how many that go in.
_BEHIND, _INTO, _NEXT, _ROWS = 60, 4, 8, 16
_OTHER_SIZE = ("pooling", "product")
_LOOKUPS = ("gather", "embedding", "index", "index_select", "take", "dynamic_slice", "slice")


class Fact(NamedTuple):
    """A value that is a known function of a shared one.

    Attributes:
        family: those of one family stand in one another's place.
        words: what it is.
        at: the value.
        of: the class of the value that it is a function of.
        params: classes of the parameters that it takes; a kernel's own if it is taken transposed.
        names: theirs.
    """

    family: str
    words: str
    at: int
    of: int
    params: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


def gather(alignment: Alignment, side: int, nodes: Sequence[Node], region: frozenset[int]) -> list[Fact]:
    """Every known function that values of one side are, of the shared values that its first operations read."""
    program = alignment.programs[side]
    behind = [node for one in sorted(region)[:_BEHIND] if is_usable(node := program.nodes[one])]
    vectors, numbers = _parameters(alignment, side, behind[: _BEHIND // 2])
    masks = {
        node.name: node.value
        for node in program.nodes
        if node.kind == "input" and node.value is not None and ("mask" in node.name or node.value.dtype == np.bool_)
    }
    found = list(_rows(alignment, side, nodes, behind))
    named = {
        node.name: alignment.classes[one].get(node.index, -1)
        for one in (1 - side, side)
        for node in alignment.programs[one].nodes
        if node.kind == "parameter"
    }
    for source in into(alignment, side, nodes, region):
        for value in _variants(alignment, side, source):
            candidates = _candidates(value, vectors, numbers, masks)
            for fact in _matches(candidates, value, behind, alignment.classes[side].get(source.index, -1), masks):
                classes = tuple(named.get(name.removesuffix(" transposed"), -1) for name in fact.names)
                found.append(fact._replace(params=classes))
    return [*found, *_inner_products(alignment, side, into(alignment, side, nodes, region), behind)]


def _inner_products(alignment: Alignment, side: int, sources: Sequence[Node], behind: Sequence[Node]) -> Iterator[Fact]:
    """Values that are rows of one shared value times those of another, scaled: an attention's scores."""
    groups = [alignment.classes[side].get(one.index, -1) for one in sources]
    values = [(node, finite(node.value)) for node in behind if node.value is not None]
    for (one, a), (other, b) in itertools.permutations(zip(sources, groups, strict=True), 2):
        for left, right in itertools.product(_variants(alignment, side, one), _variants(alignment, side, other)):
            if left.shape == right.shape:
                yield from _combined(left, right, values, -hash(frozenset((a, b))))
            if left.ndim < 3 or left.shape[:-2] != right.shape[:-2] or left.shape[-1] != right.shape[-1]:
                continue
            if not (np.isfinite(left).all() and np.isfinite(right).all()):
                continue
            product = left @ right.swapaxes(-1, -2)
            for node, value in values:
                if value.size == product.size and value.shape[-2:] == product.shape[-2:]:
                    shaped = value.reshape(product.shape)
                    words = "not scaled" if same(shaped, product) else functions.scaled(product, shaped)
                    if words:
                        yield Fact("scores", f"scores {words}", node.index, -hash((a, b)))


def _combined(
    left: np.ndarray, right: np.ndarray, values: Sequence[tuple[Node, np.ndarray]], of: int
) -> Iterator[Fact]:
    """Values that are two shared values put together entry by entry."""
    with np.errstate(all="ignore"):
        wanted = {"a sum": left + right, "a difference": left - right, "a product entry by entry": left * right}
    for node, value in values:
        for words, one in wanted.items():
            if value.size == one.size and same(value.reshape(one.shape), one):
                yield Fact("pair", words, node.index, of)


def _rows(alignment: Alignment, side: int, nodes: Sequence[Node], behind: Sequence[Node]) -> Iterator[Fact]:
    """Values that are rows of a parameter, of those behind a parting or read there."""
    program = alignment.programs[side]
    read = [program.nodes[one] for node in nodes for one in node.reads]
    deeper = [program.nodes[one] for node in read for one in node.reads]
    for node in (*behind[:20], *read, *deeper):
        if node.op not in _LOOKUPS or node.value is None:
            continue
        for table in [program.nodes[one] for one in node.reads if program.nodes[one].kind == "parameter"]:
            words = functions.rows(node.value, table.value) if table.value is not None else ""
            if words:
                yield Fact("rows", f"{words} of {table.name}", node.index, alignment.classes[side].get(table.index, -1))


def into(alignment: Alignment, side: int, nodes: Sequence[Node], region: frozenset[int]) -> list[Node]:
    """The shared values that the first operations read, then what the next read, no parameter or constant."""
    program = alignment.programs[side]
    found: dict[int, Node] = {}
    for node in [*nodes, *(program.nodes[one] for one in sorted(region)[:_NEXT])]:
        for one in node.reads:
            read = program.nodes[one]
            group = alignment.classes[side].get(one, -1)
            if (
                read.index not in region
                and is_usable(read)
                and read.kind != "constant"
                and parameter_of(alignment, side, one) is None
            ):
                found.setdefault(group, read)
    return list(found.values())[:_INTO]


def parameter_of(alignment: Alignment, side: int, index: int) -> str | None:
    """The name of the parameter that a value is, in whatever layout; of a stacked one's layer the other side's name."""
    group = alignment.classes[side].get(index, -1)
    node = alignment.programs[side].nodes[index]
    if node.kind == "parameter":
        return node.name
    if node.print is None or node.print.single:
        return None
    for one in (side, 1 - side):
        leaves = (leaf for leaf in alignment.programs[one].nodes if leaf.kind == "parameter")
        found = next((leaf.name for leaf in leaves if alignment.classes[one].get(leaf.index) == group), None)
        if found is not None:
            return found
    return None


def is_usable(node: Node) -> bool:
    """Whether a value is at hand, of floats, and more than one number."""
    return node.value is not None and node.value.dtype.kind == "f" and node.value.size > 1


def _variants(alignment: Alignment, side: int, source: Node) -> list[np.ndarray]:
    """The same value in every shape that its own side has it in."""
    group = alignment.classes[side].get(source.index, -1)
    found: dict[tuple[int, ...], np.ndarray] = {}
    for index, one in alignment.classes[side].items():
        node = alignment.programs[side].nodes[index]
        if one == group and node.value is not None and node.value.size == int(np.prod(source.shape)):
            found.setdefault(node.shape, finite(node.value))
    return list(found.values())[:3]


def _parameters(alignment: Alignment, side: int, behind: Sequence[Node]) -> tuple[dict[str, np.ndarray], list[float]]:
    """Parameters of one axis, or few entries, and plain numbers that the values behind a parting are computed with."""
    program = alignment.programs[side]
    vectors: dict[str, np.ndarray] = {}
    numbers: list[float] = [value for node in behind for value in node.options.values() if isinstance(value, float)]
    for node in behind:
        for one in node.reads:
            read = program.nodes[one]
            if read.kind == "constant" and read.value is not None and read.value.size == 1:
                numbers.append(float(read.value.ravel()[0]))
            elif read.value is not None and read.value.dtype.kind == "f" and len(vectors) < 8:
                name = parameter_of(alignment, side, one)
                if name is not None:
                    vectors.setdefault(name, _smallest(alignment, side, read))
    return vectors, numbers


def _smallest(alignment: Alignment, side: int, node: Node) -> np.ndarray:
    """A parameter before it was broadcast."""
    group = alignment.classes[side].get(node.index, -1)
    nodes = alignment.programs[side].nodes
    values = [nodes[one].value for one, found in alignment.classes[side].items() if found == group]
    return min((value for value in values if value is not None), key=lambda value: value.size)


def _candidates(
    x: np.ndarray, vectors: functions.Arrays, numbers: Sequence[float], masks: functions.Arrays
) -> Iterator[Known]:
    if np.isfinite(x).all():
        yield from functions.activations(x)
        if x.ndim > 1:
            yield from functions.norms(x, vectors, numbers)
        yield from functions.biases(x, vectors)
        yield from functions.pools(x, masks)
        yield from functions.products(x, vectors)
    if x.ndim > 1:
        yield from functions.softmaxes(x)


def _matches(
    candidates: Iterator[Known], x: np.ndarray, behind: Sequence[Node], of: int, masks: functions.Arrays
) -> Iterator[Fact]:
    values = [(node, finite(node.value)) for node in behind if node.value is not None]
    sizes = {value.size for _, value in values}
    heads = {size: [one for one in values if one[1].size == size] for size in sizes}
    first = {size: np.stack([value.ravel()[:_ROWS] for _, value in heads[size]]) for size in sizes}
    with np.errstate(all="ignore"):
        for known in candidates:
            if x.size not in sizes and known.family not in _OTHER_SIZE:
                continue
            wanted = known.compute()
            if wanted.size not in sizes:
                continue
            # Nearly all are told apart by their first entries.
            start = wanted.ravel()[:_ROWS]
            alike = np.isclose(first[wanted.size], start, rtol=1e-6, atol=SEMANTIC, equal_nan=True).all(1)
            for place in np.flatnonzero(alike):
                node, value = heads[wanted.size][place]
                if same(value, wanted):
                    yield Fact(known.family, known.words, node.index, of, names=known.params)
        for node, value in values:
            if value.size != x.size:
                continue
            shaped = value.reshape(x.shape)
            for family, find in (("scale", _scale), ("mask", functions.filled)):
                words = find(x, shaped, masks)
                if words:
                    yield Fact(family, words, node.index, of)


def _scale(x: np.ndarray, y: np.ndarray, _: functions.Arrays) -> str:
    return functions.scaled(x, y)


def same(value: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether two values are one, but for leading axes that are laid out as one."""
    if value.size != wanted.size or (value.shape[-1:] != wanted.shape[-1:] and wanted.ndim > 3):
        return False
    first, second = value.ravel(), wanted.ravel()
    scale = float(np.abs(second[np.isfinite(second)]).max(initial=0.0))
    with np.errstate(invalid="ignore"):  # infinities are equal where they are on both sides
        equal = (first == second) | (np.isnan(first) & np.isnan(second)) | (np.abs(first - second) <= SEMANTIC * scale)
    return bool(equal.all())
