"""Which entries of an array differ, in words: the heads, the positions, a band, the end of every row."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

_WORDS = {
    "B": ("row", "rows"),
    "T": ("position", "positions"),
    "S": ("key position", "key positions"),
    "D": ("channel", "channels"),
    "E": ("embedding channel", "embedding channels"),
    "N": ("head", "heads"),
    "G": ("key head", "key heads"),
    "H": ("head channel", "head channels"),
    "F": ("MLP channel", "MLP channels"),
    "V": ("vocabulary entry", "vocabulary entries"),
    "L": ("layer", "layers"),
    "K": ("target", "targets"),
    "C": ("class", "classes"),
}

# Indices, entries and numbers that are listed one by one; of more, the first few.
_LISTED, _SHOWN = 8, 4

# At most this share of all entries, filling less than half of the block that they span, is called scattered.
_SCATTERED, _DENSE = 0.05, 0.5


class Axis(NamedTuple):
    """One axis of an array: what to call it, and which indices of the whole array stand along it."""

    letter: str
    one: str
    many: str
    labels: np.ndarray


class Support(NamedTuple):
    """Where arrays differ.

    Attributes:
        lines: places, to follow "they differ", the most specific first; empty if it is nearly everywhere.
        box: of every axis the indices that hold a differing entry.
    """

    lines: tuple[str, ...]
    box: tuple[np.ndarray, ...]


def axes_of(shape: tuple[int, ...], letters: Sequence[str]) -> tuple[Axis, ...]:
    """Names the axes of a whole array; letters that are not as many as there are axes name none."""
    letters = tuple(letters) if len(letters) == len(shape) else ("",) * len(shape)
    axes = []
    for i, (size, letter) in enumerate(zip(shape, letters, strict=True)):
        one, many = _WORDS.get(letter, (f"axis {i}'s index", f"axis {i}'s indices"))
        axes.append(Axis(letter, one, many, np.arange(size)))
    return tuple(axes)


def support(differs: np.ndarray, axes: Sequence[Axis], seen_BS: np.ndarray | None = None) -> Support:
    """Describes the entries that are True; at least one must be.

    Args:
        differs: the entries.
        axes: what the axes are called.
        seen_BS: True at tokens, False at padding; None if that is not known.
    """
    box = tuple(np.flatnonzero(differs.any(axis=_others(i, differs.ndim))) for i in range(differs.ndim))
    count, block = int(differs.sum()), math.prod(map(len, box))
    content = [] if seen_BS is None else list(_content(differs, axes, seen_BS))
    if count < differs.size and (count == 1 or (count <= _LISTED and count < _DENSE * block)):
        places = [tuple(map(int, at)) for at in np.argwhere(differs)]
        at = ", ".join(str(place[0] if len(place) == 1 else place) for place in places)
        return Support((f"at {count} of {differs.size:,} entries only: {at}", *content), box)
    if count <= _SCATTERED * differs.size and count < _DENSE * block:
        return Support((f"at {count:,} of {differs.size:,} entries only, scattered", *content), box)
    shaped = [*(content or _ends(differs, axes)), *_band(differs, axes)]
    lines = [*shaped, _block(box, axes, "BTS" if shaped else "")]
    return Support(tuple(line for line in lines if line), box)


def _others(axis: int, ndim: int) -> tuple[int, ...]:
    """All axes but one."""
    return tuple(i for i in range(ndim) if i != axis)


def listed(values: Sequence[object]) -> str:
    """Some things as a text: `a`, `a and b`, `a, b and c`; of many the first few and how many there are."""
    if len(values) > _LISTED:
        return ", ".join(map(str, values[:_SHOWN])) + f", ... ({len(values):,} in all)"
    return " and ".join([", ".join(map(str, values[:-1]))] * (len(values) > 1) + [str(values[-1])])


def indices(at: np.ndarray, axis: Axis) -> str:
    """Sorted indices along an axis, as short as they can be said: `heads 1 and 3 (of 4)`."""
    labels, size = axis.labels[at], len(axis.labels)
    steps = np.unique(np.diff(at))
    if len(at) == 1:
        text = f"{axis.one} {labels.item()}"
    elif len(at) == 2 or len(steps) > 1 or (steps[0] > 1 and len(at) < 4):
        text = f"{axis.many} {listed(labels.tolist())}"
    elif steps[0] > 1:
        text = f"{axis.many} {labels[0]} to {labels[-1]}, {'every second' if steps[0] == 2 else f'one in {steps[0]}'}"
    elif at[-1] == size - 1:
        text = f"{axis.many} from {labels[0]} on"
    else:
        text = f"{axis.many} {labels[0]} to {labels[-1]}"
    return f"{text} (of {size:,})"


def _block(box: Sequence[np.ndarray], axes: Sequence[Axis], said: str) -> str:
    """The axes along which only some indices differ, but for those of which something was `said` already."""
    parts = [
        indices(at, axis)
        for at, axis in zip(box, axes, strict=True)
        if len(at) < len(axis.labels) and (not axis.letter or axis.letter not in said)
    ]
    return f"only at {' and '.join(parts)}" if parts else ""


def _over(differs: np.ndarray, axes: Sequence[Axis], row: str, column: str) -> np.ndarray | None:
    """Whether anything differs, by the indices of two axes; None if there are no two such axes."""
    letters = [axis.letter for axis in axes]
    if letters.count(row) != 1 or letters.count(column) != 1:
        return None
    i, j = letters.index(row), letters.index(column)
    found = np.asarray(differs.any(axis=tuple(k for k in range(differs.ndim) if k not in (i, j))))
    return found if i < j else found.T


def _band(differs: np.ndarray, axes: Sequence[Axis]) -> Iterator[str]:
    """Queries T and keys S that differ at some distances only: what a causal mask or a window leaves."""
    differs_TS = _over(differs, axes, "T", "S")
    if differs_TS is None:
        return
    queries, keys = np.nonzero(differs_TS)
    distances = np.unique(keys - queries)
    least, most = int(np.abs(distances).min()), int(np.abs(distances).max())
    if distances[0] > 0:
        yield "only at keys after their query"
    if distances[-1] < 0:
        yield "only at keys before their query"
    if least == most:
        yield f"only at keys {least} away from their query" if least else "only at a query's own position"
    elif least > 1 and distances[0] < 0 < distances[-1]:
        yield f"only at keys {least} or more away from their query"
    elif 2 * most < max(differs_TS.shape):
        yield f"only at keys up to {most} away from their query"


def _content(differs: np.ndarray, axes: Sequence[Axis], seen_BS: np.ndarray) -> Iterator[str]:
    """Positions that differ at padding only, or at tokens only, where there are both."""
    if seen_BS.all() or not seen_BS.any():
        return
    for axis in axes:
        differs_BT = _over(differs, axes, "B", axis.letter) if axis.letter in ("T", "S") else None
        if differs_BT is None or differs_BT.shape != seen_BS.shape:
            continue
        for inside, what in ((seen_BS, "tokens"), (~seen_BS, "padding")):
            if not (differs_BT & ~inside).any():
                every = ", at every one" * np.array_equal(differs_BT, inside)
                yield f"only at {axis.many} that are {what}{every}"


def _ends(differs: np.ndarray, axes: Sequence[Axis]) -> Iterator[str]:
    """Positions that differ at the end of every row only, or at its start, where rows are not of one length."""
    for axis in axes:
        differs_BT = _over(differs, axes, "B", axis.letter) if axis.letter in ("T", "S") else None
        if differs_BT is None:
            continue
        counts, length = differs_BT.sum(axis=1), differs_BT.shape[1]
        if len(set(counts.tolist()) - {0, length}) < 2:
            continue
        if np.array_equal(differs_BT, np.arange(length) >= (length - counts)[:, None]):
            starts = [int(length - count) for count in counts]
            yield f"only at the end of each row: {axis.many} from {listed(starts)} on"
        elif np.array_equal(differs_BT, np.arange(length) < counts[:, None]):
            yield f"only at the start of each row: the first {listed(counts.tolist())} {axis.many}"
