"""Which parameter here is which there, found by what they hold: transposed, reshaped, stacked or joined.

A row says where every entry of a value comes from: `order` holds, for each entry of the one, its place among those
of the others laid end to end. So new values, and gradients, cross by the same row, whatever the layouts are.
"""

import dataclasses
import difflib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parity.judge.compare import SEMANTIC
from parity.judge.residual import describe
from parity.models.fingerprint import Fingerprint, fingerprint

Arrays = Mapping[str, np.ndarray]
_AXES = 5  # of more, transpositions are not tried


class Row(NamedTuple):
    """One value and what holds its entries on the other side.

    Attributes:
        whole: the name of the value that is made of the others.
        parts: their names, in the order in which they are laid end to end.
        order: for each entry of the whole, its place among those.
        how: the layout in words.
        ours: whether the whole is ours, and the parts theirs.
    """

    whole: str
    parts: tuple[str, ...]
    order: np.ndarray
    how: str
    ours: bool = True

    def join(self, parts: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The whole, of the parts."""
        return np.concatenate([one.ravel() for one in parts])[self.order].reshape(shape)

    def split(self, whole: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """The parts, of the whole."""
        flat = np.empty(whole.size, whole.dtype)
        flat[self.order] = whole.ravel()
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        return [one.reshape(shape) for one, shape in zip(np.split(flat, ends), shapes, strict=True)]


@dataclasses.dataclass(frozen=True)
class Table:
    """Which parameters are the same.

    Attributes:
        rows: what was found.
        ours, theirs: names without a counterpart.
        slips: what looks wrong among what was found.
        tied: names that hold what another holds that has found its counterpart.
    """

    rows: tuple[Row, ...] = ()
    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()
    slips: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()


def match(ours: Arrays, theirs: Arrays) -> Table:
    """Finds the table by value; of equal values, by name."""
    prints = tuple({name: fingerprint(value) for name, value in side.items()} for side in (ours, theirs))
    rows = _one_to_one(ours, theirs, prints)
    left = _left(ours, rows, True), _left(theirs, rows, False)
    rows += [*_joined(ours, theirs, left, True), *_joined(theirs, ours, (left[1], left[0]), False)]
    left = _left(ours, rows, True), _left(theirs, rows, False)
    used = _used(rows, True), _used(rows, False)
    tied = [
        name
        for side in (0, 1)
        for name in left[side]
        if any(_equal(prints[side][name], prints[side][one]) for one in used[side] if not _single(prints[side][name]))
    ]
    names = tuple(tuple(name for name in one if name not in tied) for one in left)
    return Table(tuple(rows), names[0], names[1], tuple(_slips(rows, ours, theirs)), tuple(tied))


def _used(rows: Sequence[Row], ours: bool) -> list[str]:
    return [name for row in rows for name in ((row.whole,) if row.ours == ours else row.parts)]


def _left(side: Arrays, rows: Sequence[Row], ours: bool) -> list[str]:
    used = set(_used(rows, ours))
    return [name for name in side if name not in used]


def _equal(one: Fingerprint | None, other: Fingerprint | None) -> bool:
    return one is not None and other is not None and one.equals(other)


def _single(one: Fingerprint | None) -> bool:
    return one is None or one.single


def _one_to_one(ours: Arrays, theirs: Arrays, prints: Sequence[Mapping[str, Fingerprint | None]]) -> list[Row]:
    """Values of one size that are equal up to their layout; of several, those whose names are most alike."""
    rows: list[Row] = []
    taken: set[str] = set()
    candidates = [
        (_alike(name, other), name, other)
        for name, value in ours.items()
        for other, wanted in theirs.items()
        if value.size == wanted.size and _equal(prints[0][name], prints[1][other])
    ]
    done: set[str] = set()
    for _, name, other in sorted(candidates, key=lambda one: -one[0]):
        if name in done or other in taken:
            continue
        found = layout(ours[name], theirs[other])
        if found is not None:
            rows.append(Row(name, (other,), found[0], found[1]))
            done.add(name)
            taken.add(other)
    place = {name: number for number, name in enumerate(ours)}
    return sorted(rows, key=lambda row: place[row.whole])


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, _plain(one), _plain(other)).ratio()


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", ".", name.lower())


def layout(whole: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, str] | None:
    """How one value is the other, laid out another way; None if it is not."""
    places = np.arange(part.size).reshape(part.shape)
    for moved, how in _ways(places, whole.shape):
        if _near(part.ravel()[moved.ravel()], whole.ravel()):
            return moved.ravel(), how
    if len(np.unique(part)) < part.size:
        return None
    order = np.empty(part.size, np.int64)
    order[np.argsort(whole, axis=None)] = np.argsort(part, axis=None)
    return (order, "in another order") if _near(part.ravel()[order], whole.ravel()) else None


def _ways(places: np.ndarray, shape: tuple[int, ...]) -> Iterator[tuple[np.ndarray, str]]:
    """The simplest layouts first."""
    if places.shape == shape:
        yield places, "the same"
    if places.ndim == 2:
        # What a linear layer holds as (out, in) elsewhere is (in, out), and either may be split into heads.
        yield places.T.reshape(shape), "transposed" if places.T.shape == shape else "transposed and reshaped"
    yield places.reshape(shape), "reshaped"
    if 2 < places.ndim <= _AXES:
        for axes in itertools.permutations(range(places.ndim)):
            moved = places.transpose(axes)
            yield moved.reshape(shape), f"axes {axes}" if moved.shape == shape else f"axes {axes}, reshaped"


def _near(one: np.ndarray, other: np.ndarray) -> bool:
    scale = float(np.abs(other).max(initial=0.0))
    return bool(np.abs(one - other).max(initial=0.0) <= SEMANTIC * scale)


def _joined(wholes: Arrays, parts: Arrays, left: tuple[Sequence[str], Sequence[str]], ours: bool) -> Iterator[Row]:
    """Values that are several of the other side's, stacked or laid side by side."""
    waiting = list(left[1])
    for name in left[0]:
        whole = wholes[name]
        found = (
            _pieces(whole, parts, waiting) if whole.min() < whole.max() else _alike_pieces(name, whole, parts, waiting)
        )
        if not found:
            continue
        waiting = [one for one in waiting if one not in found]
        order = _order(whole, [parts[one] for one in found])
        yield Row(name, tuple(found), order, f"{len(found)} {'joined' if ours else 'parts'}", ours)


def _pieces(whole: np.ndarray, parts: Arrays, waiting: Sequence[str]) -> list[str]:
    """The parts whose entries are all in the whole, if together they are all of it; in the order they stand in it."""
    entries = np.sort(whole, axis=None)
    scale = float(np.abs(entries[[0, -1]]).max())
    found = []
    for name in waiting:
        part = parts[name].ravel()
        if not part.size < whole.size:
            continue
        at = np.clip(np.searchsorted(entries, part - SEMANTIC * scale), 0, entries.size - 1)
        if np.abs(entries[at] - part).max() <= 2 * SEMANTIC * scale:
            found.append(name)
    if sum(parts[name].size for name in found) != whole.size:
        return []
    first = {name: int(np.abs(whole.ravel() - parts[name].ravel()[0]).argmin()) for name in found}
    return sorted(found, key=lambda name: first[name])


def _alike_pieces(name: str, whole: np.ndarray, parts: Arrays, waiting: Sequence[str]) -> list[str]:
    """Of one number throughout: the parts that hold it, of one pattern of names, that are as many entries."""
    groups: dict[str, list[str]] = {}
    for one in waiting:
        if _near(parts[one].ravel(), np.full(parts[one].size, whole.flat[0])):
            groups.setdefault(re.sub(r"\d+", "#", one), []).append(one)
    fitting = [
        group for group in groups.values() if sum(parts[one].size for one in group) == whole.size and len(group) > 1
    ]
    return max(fitting, key=lambda group: _alike(name, group[0]), default=[])


def _order(whole: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    flat = np.concatenate([one.ravel() for one in parts])
    order = np.empty(whole.size, np.int64)
    order[np.argsort(whole, axis=None, kind="stable")] = np.argsort(flat, kind="stable")
    return order


def _slips(rows: Sequence[Row], ours: Arrays, theirs: Arrays) -> Iterator[str]:
    """Rows that look like no other of their kind: a square kernel that alone is not transposed, another layer's."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        if row.ours and len(row.parts) == 1:
            kinds.setdefault(row.whole.rpartition(".")[2], []).append(row)
    for kind, group in kinds.items():
        # Of any other shape, a kernel that is not transposed fits nowhere.
        square = [row for row in group if ours[row.whole].ndim == 2 and len({*ours[row.whole].shape}) == 1]
        usual = [row for row in square if row.how == "transposed"]
        for row in square:
            if row.how == "the same" and 2 * len(usual) > len(square):
                yield f"{row.whole} = {row.parts[0]}, not transposed, as {len(usual)} other {kind}s are"
    numbered: dict[tuple[str, str], list[tuple[Row, tuple[int, ...], tuple[int, ...]]]] = {}
    for row in rows:
        if len(row.parts) == 1 and _numbers(row.whole):
            pattern = _pattern(row.whole), _pattern(row.parts[0])
            numbered.setdefault(pattern, []).append((row, _numbers(row.whole), _numbers(row.parts[0])))
    # An exporter's own numbers are no layers.
    same = [group for group in numbered.values() if {here for _, here, _ in group} == {there for *_, there in group}]
    every = [one for group in same for one in group]
    straight = sum(here == there for _, here, there in every)
    for row, here, there in every:
        if here != there and 2 * straight > len(every):
            yield f"{row.whole} = {row.parts[0]}: another layer's"


def _pattern(name: str) -> str:
    return re.sub(r"(?<![A-Za-z])\d+", "#", name)


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"(?<![A-Za-z])\d+", name)))


def draw(
    table: Table, ours: Arrays, theirs: Arrays, random: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """New values for all that has a row, as large as what is there, the same on both sides."""
    found = dict(ours), dict(theirs)
    for row in table.rows:
        here, there = found if row.ours else found[::-1]
        old = here[row.whole]
        spread = float(old.std()) or 0.1
        here[row.whole] = old.mean() + spread * random.normal(size=old.shape)
        parts = row.split(here[row.whole], [there[name].shape for name in row.parts])
        there.update(zip(row.parts, parts, strict=True))
    return found


def problems(table: Table, ours: Arrays, theirs: Arrays, labels: tuple[str, str]) -> Iterator[str]:
    """What is wrong with the parameters, to stand first in a report; each missing one with what it resembles."""
    for name in table.ours:
        near = _resembles(name, ours, theirs, table.theirs)
        yield f"{labels[0]}'s {name} {ours[name].shape} has no equal in {labels[1]}{near}"
    for name in table.theirs:
        yield f"{labels[1]}'s {name} {theirs[name].shape} has no equal in {labels[0]}"
    yield from table.slips


def _resembles(name: str, ours: Arrays, theirs: Arrays, left: Sequence[str]) -> str:
    """What a parameter without an equal is beside the one of its size that is called most like it."""
    candidates = [other for other in left if theirs[other].size == ours[name].size]
    if not candidates:
        return ""
    other = max(candidates, key=lambda one: _alike(name, one))
    for moved, how in ((theirs[other], ""), (theirs[other].T, " transposed")):
        said = describe(ours[name], moved) if moved.shape == ours[name].shape else ()
        if said and not said[0].startswith(("no simple relation", "too few")):
            return f"; beside {other}{how}: {said[0]}"
    return f"; the nearest by name is {other}"


def listing(table: Table) -> Iterator[tuple[str, str, str]]:
    """The table to print: ours, theirs, how."""
    for row in table.rows:
        names = (row.whole, " + ".join(row.parts))
        yield (*(names if row.ours else names[::-1]), row.how)
