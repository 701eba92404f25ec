"""Judges whether two arrays agree. Imports neither framework, so it cannot share their mistakes.

Nothing is broadcast, cast, reordered, cropped or averaged to make a match, and nothing that is wrong with the arrays is
an exception: it is a failing comparison that says what is wrong, so that the rest of the report is still written.
"""

import math
from typing import NamedTuple

import numpy as np

# Rounding in float64 leaves about 1e-15 of the tensor's own scale, the smallest mistake seen in the wild 1e-6.
SEMANTIC = 1e-10

# What is judged by chance has as error the deviation in units of the largest that chance leaves.
STATISTIC = 1.0

# Several entries that hold exactly one value below this, in units of the largest other entry and of 1, were put there.
_LIKE_FILL = -1e3

Index = tuple[int, ...]
Number = bool | int | float
Both = tuple[np.ndarray, np.ndarray]
Ends = tuple[np.floating, np.floating]  # the smallest and the largest entry


class Comparison(NamedTuple):
    """How one site compares.

    Attributes:
        site: name of the value.
        shape, dtype: of the JAX array.
        error: of floats, the largest difference relative to `scale`; of integers and booleans, the share of entries
            that differ; infinite where the arrays cannot be compared.
        allowed: the largest error at which they agree; 0 for integers and booleans, `STATISTIC` where no two arrays are
            compared but how random draws came out with what they were drawn for.
        worst_index: where they differ most, or the first place where something is wrong; None for the array as a whole.
        actual, expected: the values there, JAX's and torch's.
        compared: entries that were compared; a mask's fill is not.
        scale: the largest expected magnitude among them, or what is given as the least.
        spread: the largest difference between two expected values among them.
        problem: why they cannot be compared; empty if they can.
    """

    site: str
    shape: Index
    dtype: str
    error: float
    allowed: float
    worst_index: Index | None = None
    actual: Number | None = None
    expected: Number | None = None
    compared: int = 0
    scale: float = 0.0
    spread: float = 0.0
    problem: str = ""

    @property
    def agrees(self) -> bool:
        """False for an error that is NaN, too."""
        return not self.problem and self.error <= self.allowed

    @property
    def by_chance(self) -> bool:
        """Whether the error is a statistic, which no relative error can be compared with."""
        return self.allowed == STATISTIC


def compare(
    site: str,
    actual: np.ndarray,
    expected: np.ndarray,
    *,
    allowed: float,
    dtype: np.dtype | None = None,
    scale: float = 0.0,
) -> Comparison:
    """Compares element by element, floats relative to the largest expected magnitude, all else exactly.

    Entries that hold the dtype's lowest value on both sides are a mask's fill: they agree and do not set the scale.

    Args:
        site: name of the value.
        actual: JAX's array.
        expected: torch's array, of the same shape and dtype.
        allowed: the largest relative error at which floats agree, at least 0 and below 1.
        dtype: the only floating dtype to accept; None accepts every one that numpy knows.
        scale: the least scale of floats. What cancels to zero, as the gradient of a key's bias does, is to be judged
            by the size of what cancelled.

    Raises:
        ValueError: `allowed` or `scale` is such that no comparison or every comparison could fail.
    """
    if not 0 <= allowed < 1:
        raise ValueError(f"{site}: allowed must be at least 0 and below 1, got {allowed!r}")
    if not 0 <= scale < math.inf:
        raise ValueError(f"{site}: scale must be at least 0 and finite, got {scale!r}")
    problem = _not_comparable(actual, expected, dtype)
    if problem:
        return Comparison(site, actual.shape, str(actual.dtype), math.inf, allowed, problem=problem)
    if expected.dtype.kind != "f":
        return _exact(site, actual, expected)
    return _relative(Comparison(site, actual.shape, str(actual.dtype), math.inf, allowed), actual, expected, scale)


def _not_comparable(actual: np.ndarray, expected: np.ndarray, dtype: np.dtype | None) -> str:
    """What is wrong with the arrays as wholes, or nothing."""
    for side, array in (("JAX", actual), ("torch", expected)):
        if type(array) is not np.ndarray:
            return f"{side} gives a {type(array).__name__}, which may hide entries; must be a plain array"
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        return f"JAX gives {_describe(actual)}, torch gives {_describe(expected)}"
    if expected.dtype.kind not in "fbiu":
        return f"{expected.dtype} cannot be compared: must be float, integer or bool"
    if expected.dtype.kind == "f" and dtype is not None and expected.dtype != dtype:
        return f"both sides give {expected.dtype}, must be {dtype}"
    if expected.size == 0:
        return f"nothing to compare: both sides give {_describe(expected)}"
    if np.may_share_memory(actual, expected):
        return "both sides give the same memory: an array was compared with itself"
    return ""


def _describe(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _exact(site: str, actual: np.ndarray, expected: np.ndarray) -> Comparison:
    """Integers and booleans: every entry must be equal."""
    differs = np.asarray(actual != expected)
    where = _index(differs.shape, int(differs.argmax()))
    low, high = expected.min().item(), expected.max().item()
    return Comparison(
        *(site, actual.shape, str(actual.dtype), float(differs.mean()), 0.0),
        *(where, actual[where].item(), expected[where].item()),
        compared=expected.size,
        scale=float(max(abs(low), abs(high))),
        spread=float(high - low),
    )


def _relative(at: Comparison, actual: np.ndarray, expected: np.ndarray, least: float) -> Comparison:
    """Floats: the largest difference, relative to the largest expected magnitude outside a mask's fill."""
    lowest = np.finfo(expected.dtype).min
    ends = _ends(actual), _ends(expected)
    # Nearly all arrays are such; there is nothing to leave out of them, which would copy them.
    if np.isfinite(ends).all() and min(low for low, _ in ends) > lowest:
        return _measured(at, (actual, expected), (actual, expected), ends, least)
    fill = expected == lowest
    wrong = np.asarray(~(np.isfinite(actual) & np.isfinite(expected)))
    if wrong.any():
        return _broken(at, wrong, actual, expected, "not finite")
    wrong = np.asarray(fill != (actual == lowest))
    if wrong.any():
        return _broken(at, wrong, actual, expected, "masked on one side only")
    kept = expected[~fill]
    if kept.size == 0:
        return at._replace(error=0.0)
    left = actual[~fill], kept
    return _measured(at, (actual, expected), left, (_ends(left[0]), _ends(kept)), least)


def _ends(array: np.ndarray) -> Ends:
    return array.min(), array.max()


def _measured(at: Comparison, both: Both, kept: Both, ends: tuple[Ends, Ends], least: float) -> Comparison:
    """The largest difference of finite arrays; `kept` is what no fill is in, and lies between `ends`."""
    (actual, expected), (ours, theirs) = both, kept
    (our_low, _), (low, high) = ends
    fills = (low < _LIKE_FILL and unknown_fill(theirs)) or (our_low < _LIKE_FILL and unknown_fill(ours))
    if fills:
        return at._replace(problem=fills)
    with np.errstate(over="ignore"):
        difference = np.asarray(actual - expected)
        np.abs(difference, out=difference)
        spread = float(high - low)
    scale, worst = max(abs(float(low)), abs(float(high)), least), _index(difference.shape, int(difference.argmax()))
    largest = float(difference[worst])
    return at._replace(
        error=largest / scale if scale else math.inf if largest else 0.0,
        **_values(worst, actual, expected),
        compared=theirs.size,
        scale=scale,
        spread=spread,
    )


def _index(shape: Index, flat: int) -> Index:
    return tuple(map(int, np.unravel_index(flat, shape)))


def _values(where: Index, actual: np.ndarray, expected: np.ndarray) -> dict:
    return {"worst_index": where, "actual": actual[where].item(), "expected": expected[where].item()}


def _broken(at: Comparison, wrong: np.ndarray, actual: np.ndarray, expected: np.ndarray, what: str) -> Comparison:
    """A failure that single entries are to blame for."""
    where = _index(wrong.shape, int(wrong.argmax()))
    problem = f"{what} at {int(wrong.sum()):,} of {wrong.size:,} entries"
    return at._replace(**_values(where, actual, expected), problem=problem)


def unknown_fill(values: np.ndarray) -> str:
    """Names a mask's fill that is not the lowest value: as the scale, it would hide every difference elsewhere."""
    if not values.size:
        return ""
    lowest = values.min()
    if lowest >= _LIKE_FILL:
        return ""
    same = values == lowest
    rest = float(np.abs(values[~same]).max(initial=0))
    if same.sum() < 2 or not rest or lowest >= _LIKE_FILL * max(rest, 1.0):
        return ""
    return (
        f"{int(same.sum()):,} entries hold exactly {lowest:.6g}, all others at most {rest:.6g}: "
        f"a mask's fill must be {values.dtype}'s lowest value, so as not to set the scale"
    )
