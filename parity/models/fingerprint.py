"""What a value is, whatever its layout: transposed, reshaped or broadcast, it has the same fingerprint.

A fingerprint holds order statistics at fixed ranks and a few means. Repeating every entry equally often changes none of
them, so that a bias and the same bias broadcast have one; values themselves need not be kept.
"""

import math
from typing import NamedTuple

import numpy as np

from parity.judge.compare import SEMANTIC

# Ranks at multiples of the golden ratio are never near a whole number of entries, where rounding would decide.
_INNER = np.modf(np.arange(1, 48) * (math.sqrt(5) - 1) / 2)[0]
# Nor are those near the ends, where all that tells may stand: of a softmax nearly all entries are nearly 0.
_OUTER = 0.7 ** np.arange(2, 40)
_RANKS = np.sort(np.concatenate([_INNER, _OUTER, 1 - _OUTER]))
_MEANS = 3
_FEW = 3
# Means of many entries are so exact as to tell a few that differ; the rounding of a deep model leaves about 1e-14.
_LEAST = 1e-13

# What a mask fills with, in whatever dtype: everything beyond half of float32's range counts as infinite.
_FILL = float(np.finfo(np.float32).max) / 2


class Fingerprint(NamedTuple):
    """A value without its layout.

    Attributes:
        numbers: minimum, maximum, order statistics, mean, mean magnitude, root mean square, of the finite entries.
        special: the shares of entries that are minus infinity, infinity and NaN.
        scale: the largest finite magnitude, or that of what it was summed from.
        zero: whether all of it is rounding of that.
        single: whether all entries are one number.
        size: how many entries are finite.
    """

    numbers: np.ndarray
    special: tuple[float, float, float]
    scale: float
    zero: bool
    single: bool
    size: int = 1

    @property
    def key(self) -> float:
        """One number that equal values share up to rounding: to find candidates by."""
        return 0.0 if self.zero else float(self.numbers[-1])

    @property
    def telling(self) -> bool:
        """Whether another value is hardly equal by chance: the two numbers of a mask are no wonder."""
        return not self.zero and np.unique(self.numbers[:-_MEANS]).size > _FEW

    def equals(self, other: "Fingerprint") -> bool:
        """Whether both may be one value in two layouts."""
        if max(abs(a - b) for a, b in zip(self.special, other.special, strict=True)) > SEMANTIC:
            return False
        if self.zero or other.zero:
            return self.zero and other.zero
        apart, scale = np.abs(self.numbers - other.numbers), max(self.scale, other.scale)
        of_means = max(_LEAST, SEMANTIC / math.sqrt(max(1, min(self.size, other.size) / 100)))
        return bool(apart[:-_MEANS].max() <= SEMANTIC * scale and apart[-_MEANS:].max() <= of_means * scale)

    def distance(self, other: "Fingerprint") -> float:
        """How far the two are, relative to the larger scale; infinite where one is filled and the other is not."""
        if self.special != other.special:
            return math.inf
        scale = max(self.scale, other.scale)
        return float(np.abs(self.numbers - other.numbers).max()) / scale if scale else 0.0


def finite(values: np.ndarray) -> np.ndarray:
    """A value in float64 with every fill of a mask as an infinity."""
    floats = np.asarray(values, np.float64)
    if floats.size and (np.abs(floats).max() > _FILL or np.isnan(floats).any()):
        floats = np.where(floats <= -_FILL, -np.inf, np.where(floats >= _FILL, np.inf, floats))
    return floats


def fingerprint(values: np.ndarray, summed: float = 0.0) -> Fingerprint | None:
    """The fingerprint of a value; None of one that has no entries or is not made of real numbers.

    >>> bias = np.asarray([3.0, 1.0, 2.0])
    >>> fingerprint(bias).equals(fingerprint(np.broadcast_to(bias, (4, 3)).T))
    True
    >>> fingerprint(bias).equals(fingerprint(bias + 1e-6))
    False

    Args:
        values: of any shape.
        summed: the magnitude of what it was summed from: far below its rounding, a sum is zero.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "fbiu" or not values.size:
        return None
    every = np.sort(finite(values), axis=None)
    usual = every[np.isfinite(every)]
    size = every.size
    special = tuple(float(count) / size for count in (np.isneginf(every).sum(), np.isposinf(every).sum()))
    shares = (*special, float(np.isnan(every).sum()) / size)
    if not usual.size:
        return Fingerprint(np.zeros(_RANKS.size + 2 + _MEANS), (shares[0], shares[1], shares[2]), 0.0, False, True)
    largest = max(abs(float(usual[0])), abs(float(usual[-1])))
    scale = max(largest, summed if math.isfinite(summed) else 0.0)
    statistics = usual[(_RANKS * usual.size).astype(np.int64)]
    means = (
        usual.mean(),
        np.abs(usual).mean(),
        math.sqrt(float(np.square(usual / scale).mean())) * scale if scale else 0,
    )
    numbers = np.concatenate([usual[[0, -1]], statistics, means])
    zero = largest <= SEMANTIC * scale
    single = float(usual[-1] - usual[0]) <= SEMANTIC * scale
    return Fingerprint(numbers, (shares[0], shares[1], shares[2]), scale, zero, single, usual.size)
