"""Simple relations between two arrays of one shape: a factor, an offset, a permutation, a rounding."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from parity.judge.support import Axis, listed

# Explicit bits of the significand of what a value may have been rounded to.
_PRECISIONS = {"bfloat16": 7, "float16 or TF32": 10, "float32": 23}

# A rounding must show on this many different values: a few are representable by chance.
_TELLING = 8

# Fewer numbers than this stand in some simple relation by chance.
FEW = 3

# Permutations up to this length are written out; up to this many axes, tables of factors and offsets are tried.
_WRITTEN, _TABLE_AXES = 12, 6


class Pair(NamedTuple):
    """Two arrays, ready to be related.

    Attributes:
        actual, expected: JAX's and torch's values in float64, divided by `unit`, nothing but finite numbers.
        counts: True for the entries that a factor or an offset must explain.
        tolerance: the largest difference that counts as none.
        axes: what the axes are called.
        unit: a power of two near the largest magnitude.
    """

    actual: np.ndarray
    expected: np.ndarray
    counts: np.ndarray
    tolerance: float
    axes: tuple[Axis, ...]
    unit: float

    def explains(self, fitted: np.ndarray) -> bool:
        """Whether `fitted` is the actual array wherever it counts."""
        return bool(np.abs(self.actual - fitted).max(where=self.counts, initial=0.0) <= self.tolerance)

    def equals(self, moved: np.ndarray) -> bool:
        """Whether `moved` is the actual array everywhere."""
        return bool(np.abs(self.actual - moved).max() <= self.tolerance)


def relations(pair: Pair) -> tuple[str, ...]:
    """What holds for all entries, the simplest first."""
    return (*_constants(pair), *_rounding(pair), *moves(pair))


def tables(pair: Pair) -> tuple[str, ...]:
    """An offset or a factor for every index of some axes, the fewest numbers first."""
    if pair.counts.sum() < FEW:
        return ()
    sizes = pair.actual.shape
    wide = [i for i, size in enumerate(sizes) if size > 1][:_TABLE_AXES]
    subsets = [keep for count in range(1, len(wide)) for keep in combinations(wide, count)]
    for keep in sorted(subsets, key=lambda keep: math.prod(sizes[i] for i in keep)):
        over = tuple(i for i in range(len(sizes)) if i not in keep)
        counted = pair.counts.sum(axis=over, keepdims=True)
        # Every number must be seen at least twice, on the average: one number an entry explains anything.
        if counted.sum() < 2 * (counted > 0).sum():
            continue
        found = [*_offsets(pair, keep, over, counted), *_factors(pair, keep, over)]
        if found:
            return tuple(found)
    return ()


def fitting_shapes(actual: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """How a shape can be made into another."""
    if sorted(actual) == sorted(expected):
        return "a transposition fits"
    if math.prod(actual) == math.prod(expected):
        return "a reshape fits"
    without = [tuple(size for size in shape if size != 1) for shape in (actual, expected)]
    if len(actual) == len(expected) and all(1 in (a, e) or a == e for a, e in zip(actual, expected, strict=True)):
        return "they broadcast: an axis was summed or kept as 1"
    shorter, longer = sorted(without, key=len)
    if any(longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer))):
        return "one has an axis more"
    return "neither a transposition nor a reshape fits"


def _constants(pair: Pair) -> Iterator[str]:
    """One number for all entries."""
    actual, expected = pair.actual[pair.counts], pair.expected[pair.counts]
    for side, other, values in (("JAX", "torch", actual), ("torch", "JAX", expected)):
        if values.size and not values.any():
            yield f"{side} is zero, {other} is not"
            return
    if len(actual) < FEW:
        return
    difference, factor = actual - expected, float(actual @ expected) / (float(expected @ expected) or math.nan)
    offset = float(difference.mean())
    if pair.explains(pair.expected * factor):
        yield "JAX is torch negated" if abs(factor + 1) < 1e-9 else f"JAX is {number(factor)} x torch"
    if pair.explains(pair.expected + offset):
        yield f"JAX is torch {signed(offset * pair.unit)}"


def _rounding(pair: Pair) -> Iterator[str]:
    """One side is the other in a lower precision."""
    actual, expected = pair.actual[pair.counts], pair.expected[pair.counts]
    size = float(np.abs(actual - expected).max(initial=0.0))
    if min(len(np.unique(values)) for values in (actual, expected)) < _TELLING or not (actual * pair.unit % 1).any():
        return
    for precision, bits in _PRECISIONS.items():
        for side, other, low, high in (("JAX", "torch", actual, expected), ("torch", "JAX", expected, actual)):
            rounded = _rounded(high, bits)
            if not np.array_equal(_rounded(low, bits), low) or np.array_equal(rounded, high):
                continue
            # A sum at a tie may be rounded either way.
            if (low == rounded).mean() >= 0.99:
                yield f"{side} is {other} rounded to {precision}"
                return
            if size <= 2.0 ** (2 - bits):
                yield f"{side} holds {precision} values only, {other} does not: computed in {precision}"
                return


def _rounded(values: np.ndarray, bits: int) -> np.ndarray:
    fraction, exponent = np.frexp(values)
    return np.ldexp(np.rint(np.ldexp(fraction, bits + 1)), exponent - bits - 1)


def moves(pair: Pair) -> Iterator[str]:
    """The same values elsewhere; none where they are as they were, as what is looked at of a large array may be."""
    if pair.equals(pair.expected):
        return
    for i, j in combinations(range(pair.actual.ndim), 2):
        one, other = pair.axes[i], pair.axes[j]
        if len(one.labels) == len(other.labels) and pair.equals(pair.expected.swapaxes(i, j)):
            yield f"axes {one.letter or i} and {other.letter or j} are transposed"
            return
    for i in range(pair.actual.ndim):
        order = _permutation(pair, i)
        if order is not None:
            yield _permuted(order, pair.axes[i])
            return
    yield from _split(pair)


def _permutation(pair: Pair, axis: int) -> np.ndarray | None:
    """The order in which torch's slices along an axis are JAX's, if there is one."""
    size = pair.actual.shape[axis]
    ours = np.moveaxis(pair.actual, axis, 0).reshape(size, -1)
    theirs = np.moveaxis(pair.expected, axis, 0).reshape(size, -1)
    order = np.arange(size)
    moved = np.flatnonzero(np.abs(ours - theirs).max(axis=1) > pair.tolerance)
    # Slices meet by a number each: a sum with weights that have nothing to do with either array.
    weights = np.random.default_rng(0).uniform(1, 2, ours.shape[1])
    order[moved[np.argsort(ours[moved] @ weights)]] = moved[np.argsort(theirs[moved] @ weights)]
    return order if pair.equals(np.take(pair.expected, order, axis)) else None


def _permuted(order: np.ndarray, axis: Axis) -> str:
    """A permutation in words: JAX's index i is torch's index order[i]."""
    size, steps = len(order), np.arange(len(order))
    moved = np.flatnonzero(order != steps)
    if len(moved) == 2:
        return f"{axis.many} {axis.labels[moved[0]]} and {axis.labels[moved[1]]} are swapped"
    ours, theirs = (",".join(map(str, axis.labels[at])) for at in (steps, order))
    written = f"JAX's {ours} are torch's {theirs}"
    if size > _WRITTEN:
        written = f"JAX's {axis.one} {axis.labels[moved[0]]} is torch's {axis.one} {axis.labels[order[moved[0]]]}"
    return f"{axis.many} are {_order(order)}: {written}"


def _order(order: np.ndarray) -> str:
    size, steps = len(order), np.arange(len(order))
    shift = int((order[0] + size // 2) % size) - size // 2
    if np.array_equal(order, steps[::-1]):
        return "reversed"
    if np.array_equal(order, (steps + shift) % size):
        return f"rolled by {abs(shift)}"
    for rows in (rows for rows in range(2, size) if size % rows == 0):
        if np.array_equal(order, steps.reshape(rows, -1).T.ravel()):
            return f"interleaved (those of {size // rows} x {rows} as {rows} x {size // rows})"
    return "permuted"


def _split(pair: Pair) -> Iterator[str]:
    """Two axes that one side split in the other order: as if (N, H) were (H, N)."""
    shape = pair.actual.shape
    for i in range(len(shape) - 1):
        swapped = (*shape[:i], shape[i + 1], shape[i], *shape[i + 2 :])
        one, other = pair.axes[i], pair.axes[i + 1]
        for moved in (pair.expected.reshape(swapped).swapaxes(i, i + 1), pair.expected.swapaxes(i, i + 1)):
            if pair.equals(moved.reshape(shape)):
                first, second = one.letter or i, other.letter or i + 1
                order = f"({first}, {second}) as ({second}, {first})"
                yield f"{one.many} and {other.many} are split in the other order, {order}"
                return


def _offsets(pair: Pair, keep: tuple[int, ...], over: tuple[int, ...], counted: np.ndarray) -> Iterator[str]:
    difference = np.where(pair.counts, pair.actual - pair.expected, 0)
    offsets = difference.sum(axis=over, keepdims=True) / np.maximum(counted, 1)
    if pair.explains(pair.expected + offsets):
        yield f"JAX is torch plus an offset per {_words(pair, keep)}{_same(pair, over)}{_values(offsets * pair.unit)}"


def _factors(pair: Pair, keep: tuple[int, ...], over: tuple[int, ...]) -> Iterator[str]:
    expected = np.where(pair.counts, pair.expected, 0)
    products, squares = ((values * expected).sum(axis=over, keepdims=True) for values in (pair.actual, expected))
    factors = np.divide(products, squares, where=squares > 0, out=squares + 1)
    if pair.explains(pair.expected * factors):
        yield f"JAX is torch times a factor per {_words(pair, keep)}{_same(pair, over)}{_values(factors)}"


def _words(pair: Pair, keep: Sequence[int]) -> str:
    return " and ".join(pair.axes[i].one for i in keep)


def _same(pair: Pair, over: Sequence[int]) -> str:
    """Along which axes a table does not change."""
    return ", the same at every " + " and ".join(pair.axes[i].one for i in over if len(pair.axes[i].labels) > 1)


def _values(table: np.ndarray) -> str:
    return f": {listed([number(float(value)) for value in table.ravel()])}"


def number(value: float) -> str:
    """A factor, with its name where it is a fraction or a root, and told from 1 where it is near it."""
    if 0 < abs(value - 1) < 1e-4:
        return f"(1 {'-' if value < 1 else '+'} {abs(value - 1):.2g})"
    short = f"{value:.6g}"
    if math.isclose(float(short), value, rel_tol=1e-9) or not 1e-3 < value < 1e3:
        return short
    for square, name in ((value**2, "{}"), (value**-2, "1/{}")):
        whole = round(square)
        if math.isclose(square, whole, rel_tol=1e-9):
            root = math.isqrt(whole)
            return f"{short} ({name.format(root if root * root == whole else f'sqrt({whole})')})"
    return short


def signed(value: float) -> str:
    """An offset with its sign as an operator."""
    return f"{'-' if value < 0 else '+'} {abs(value):.6g}"
