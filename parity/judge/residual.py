"""The shape of a difference: what a person would see in two arrays, for when no known mistake explains them.

Nothing here decides anything. Relations hold to 1e-9 of the arrays' scale, and to a thousandth of the difference that
they are to explain; what either side holds as a mask's fill, and both as an exact zero, takes no part in a factor or an
offset. One or two numbers are told nothing of: some simple relation holds between any two.
"""

import math
from collections.abc import Sequence

import numpy as np

from parity.judge.compare import Index, unknown_fill
from parity.judge.relations import FEW, Pair, fitting_shapes, moves, relations, tables
from parity.judge.support import Axis, Support, axes_of, support
from parity.judge.verdict import Element

_TOLERANCE, _OF_DIFFERENCE = 1e-9, 1e-3

# Of a power of two in float64.
_LARGEST_EXPONENT = 1023

# What stands for a mask's fill once the largest magnitude is below 1.
_STAND_IN = -3.0

# Relations are sought among at most this many entries, findings told at most this many.
_MOST_ENTRIES, _MOST_LINES = 2**19, 4


def describe(
    actual: np.ndarray, expected: np.ndarray, axes: Sequence[str] = (), seen_BS: np.ndarray | None = None
) -> tuple[str, ...]:
    """Says what a difference looks like, one finding a line, the most specific first.

    >>> key_BTNH = np.arange(1.0, 25.0).reshape(2, 2, 3, 2)
    >>> describe(key_BTNH / 2, key_BTNH, "BTNH")
    ('JAX is 0.5 x torch',)
    >>> describe(key_BTNH[:, :, [2, 0, 1]], key_BTNH, "BTNH")
    ("heads are rolled by 1: JAX's 0,1,2 are torch's 2,0,1",)

    Args:
        actual: JAX's array.
        expected: torch's.
        axes: a letter for every axis, as docs/encoder.md names them; "" for an axis without a name.
        seen_BS: True at tokens, False at padding; None if that is not known.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    problem = _problem(actual, expected)
    if problem:
        return (problem,)
    if not actual.ndim:
        return describe(actual.reshape(1), expected.reshape(1))
    named = axes_of(actual.shape, axes)
    lines = _broken(actual, expected, named, seen_BS) or _related(actual, expected, named, seen_BS)
    return lines[:_MOST_LINES]


def worst_elements(actual: np.ndarray, expected: np.ndarray, count: int) -> tuple[Element, ...]:
    """The `count` entries that differ most, the worst first, equal ones in the order they stand; fewer if fewer differ.

    An entry that is not a finite number on one side differs most of all. Arrays of different shapes share no entry.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    if _problem(actual, expected):
        return ()
    with np.errstate(all="ignore"):
        ours, theirs = actual.astype(np.float64), expected.astype(np.float64)
        difference = np.where(actual == expected, 0.0, np.abs(ours - theirs)).ravel()
    difference[np.isnan(difference)] = math.inf
    chosen = np.flatnonzero(difference)
    if len(chosen) > count:
        least = np.partition(difference[chosen], -count)[-count] if count else math.inf
        chosen = chosen[difference[chosen] >= least]
    chosen = chosen[np.argsort(-difference[chosen], kind="stable")][:count]
    places = [_index(actual.shape, int(flat)) for flat in chosen]
    return tuple(Element(at, actual[at].item(), expected[at].item()) for at in places)


def _index(shape: Index, flat: int) -> Index:
    return tuple(map(int, np.unravel_index(flat, shape)))


def _problem(actual: np.ndarray, expected: np.ndarray) -> str:
    """Why the arrays cannot be told apart entry by entry, or nothing."""
    if actual.shape != expected.shape:
        fit = fitting_shapes(actual.shape, expected.shape)
        return f"shapes differ: JAX {actual.shape}, torch {expected.shape}; {fit}"
    for side, array in (("JAX", actual), ("torch", expected)):
        if array.dtype.kind not in "fbiu":
            return f"{side} gives {array.dtype}: only real numbers have differences"
    return "" if actual.size else f"nothing to describe: both have shape {actual.shape}"


def _fill(array: np.ndarray) -> np.ndarray:
    """True where an array holds its dtype's lowest value, or another that lies as far off, as masks do."""
    if array.dtype.kind == "f" and (array.min() == np.finfo(array.dtype).min or unknown_fill(array)):
        return np.asarray(array == array.min())
    return np.zeros(array.shape, bool)


def _broken(
    actual: np.ndarray, expected: np.ndarray, axes: tuple[Axis, ...], seen_BS: np.ndarray | None
) -> tuple[str, ...]:
    """What is not a number, and whether the others differ; nothing if all are finite."""
    ours, theirs = ~np.isfinite(actual), ~np.isfinite(expected)
    if not (ours | theirs).any():
        return ()
    first = f"not finite: JAX at {ours.sum():,} of {ours.size:,} entries, torch at {theirs.sum():,}"
    lines = [f"{first}, the same" if np.array_equal(ours, theirs) else first]
    if not np.array_equal(ours, theirs):
        lines += [f"only one side is not finite {place}" for place in support(ours ^ theirs, axes, seen_BS).lines]
    finite = ~(ours | theirs)
    agree = np.array_equal(actual[finite], expected[finite])
    lines.append(f"where both are finite they {'agree' if agree else 'differ, too'}" if finite.any() else "")
    return tuple(line for line in lines if line)


def _related(
    actual: np.ndarray, expected: np.ndarray, axes: tuple[Axis, ...], seen_BS: np.ndarray | None
) -> tuple[str, ...]:
    """What relates arrays of finite numbers."""
    pair, ours, theirs = _prepare(actual, expected, axes)
    difference = np.abs(pair.actual - pair.expected)
    if np.array_equal(ours, theirs) and (actual[ours] != expected[ours]).any():
        rest = _related_rest(pair, difference, seen_BS) if difference.any() else ("all other entries agree",)
        return (f"JAX fills with {actual[ours][0]:.6g}, torch with {expected[ours][0]:.6g}", *rest)
    if not difference.any():
        return ("no difference",)
    if actual.dtype == expected.dtype == np.bool_ and difference.all():
        return ("JAX is torch negated",)
    if not np.array_equal(ours, theirs):
        return tuple(moves(_thinned(pair))) or _masked(pair, ours, theirs, seen_BS)
    return _related_rest(pair, difference, seen_BS)


def _related_rest(pair: Pair, difference: np.ndarray, seen_BS: np.ndarray | None) -> tuple[str, ...]:
    """What relates arrays that have no fill, or the same entries filled."""
    whole = _thinned(pair)
    judged = (
        ()
        if whole.actual.size == pair.actual.size
        else (f"judged on {whole.actual.size:,} of {pair.actual.size:,} entries",)
    )
    found = relations(whole) if not whole.equals(whole.expected) else ()
    if found:
        return found + judged
    differs = difference > pair.tolerance
    where = support(differs, pair.axes, seen_BS)
    if not where.lines:
        return (tables(whole) or (_unrelated(pair, differs),)) + judged
    there = _thinned(_within(pair, where, differs))
    found = relations(there) or tables(there) or (_unrelated(pair, differs),)
    return tuple(f"they differ {place}" for place in where.lines) + tuple(f"there: {line}" for line in found)


def _prepare(actual: np.ndarray, expected: np.ndarray, axes: tuple[Axis, ...]) -> tuple[Pair, np.ndarray, np.ndarray]:
    """The arrays ready to be related, and where either is a mask's fill."""
    fills = [_fill(array) for array in (actual, expected)]
    values = [array.astype(np.float64) for array in (actual, expected)]
    largest = max(float(np.abs(value[~fill]).max(initial=0.0)) for value, fill in zip(values, fills, strict=True))
    exponent = min(math.frexp(largest)[1], _LARGEST_EXPONENT)
    ours, theirs = (
        np.where(fill, _STAND_IN, np.ldexp(value, -exponent)) for value, fill in zip(values, fills, strict=True)
    )
    tolerance = min(_TOLERANCE, _OF_DIFFERENCE * float(np.abs(ours - theirs).max()))
    counts = ~np.logical_or(*fills) & ((ours != 0) | (theirs != 0))
    return Pair(ours, theirs, counts, tolerance, axes, float(np.ldexp(1.0, exponent))), fills[0], fills[1]


def _thinned(pair: Pair) -> Pair:
    """Evenly chosen indices of the longest axes, so many that the work is bounded."""
    step = [1] * pair.actual.ndim
    sizes = list(pair.actual.shape)
    while math.prod(sizes) > _MOST_ENTRIES:
        longest = sizes.index(max(sizes))
        step[longest] *= 2
        sizes[longest] = -(-pair.actual.shape[longest] // step[longest])
    at = tuple(slice(None, None, one) for one in step)
    axes = tuple(axis._replace(labels=axis.labels[::one]) for axis, one in zip(pair.axes, step, strict=True))
    return pair._replace(actual=pair.actual[at], expected=pair.expected[at], counts=pair.counts[at], axes=axes)


def _within(pair: Pair, where: Support, differs: np.ndarray) -> Pair:
    """The block in which the arrays differ, and of it the entries that do."""
    at = np.ix_(*where.box)
    axes = tuple(axis._replace(labels=axis.labels[box]) for axis, box in zip(pair.axes, where.box, strict=True))
    return pair._replace(actual=pair.actual[at], expected=pair.expected[at], counts=differs[at], axes=axes)


def _masked(pair: Pair, ours: np.ndarray, theirs: np.ndarray, seen_BS: np.ndarray | None) -> tuple[str, ...]:
    """Masks that do not fill the same entries."""
    if np.array_equal(ours, ~theirs):
        return ("the mask is inverted: each side fills what the other leaves",)
    lines = [f"the masks differ {place}" for place in support(ours ^ theirs, pair.axes, seen_BS).lines]
    for side, other, mine, values in (
        ("JAX", "torch", ours & ~theirs, pair.expected),
        ("torch", "JAX", theirs & ~ours, pair.actual),
    ):
        if mine.any():
            held = np.unique(values[mine]) * pair.unit
            what = f"; there {other} holds {held.item():.6g}" if len(held) == 1 else ""
            lines.append(f"{side} fills {mine.sum():,} of {mine.size:,} entries that {other} does not{what}")
    rest = ~(ours | theirs)
    agree = np.abs(pair.actual - pair.expected).max(where=rest, initial=0.0) <= _TOLERANCE
    return (*lines, f"the entries that neither fills {'agree' if agree else 'differ, too'}")


def _unrelated(pair: Pair, differs: np.ndarray) -> str:
    """What is left to say when nothing simple holds."""
    ours, theirs = pair.actual[differs], pair.expected[differs]
    if ours.size < FEW:
        return f"too few numbers to tell a relation: {ours.size}"
    spread = float(ours.std()) * float(theirs.std())
    related = f"correlation {np.corrcoef(ours, theirs)[0, 1]:.3f}" if spread else "one side is constant"
    return f"no simple relation: {related}"
