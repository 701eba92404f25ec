"""Judges the error that a lower precision makes, ours and the other framework's, both against the float64 reference.

Rounding cannot be told from a mistake by its size alone: it grows with depth, with the lengths of sums and with what
the inputs cancel. The other framework computes the same sums from the same parameters, so its error says how much
rounding there is, at every site. Ours may be MULTIPLE times that, and FLOOR says what counts as rounding where theirs
happens to have none. Both constants hold for every site, every model and every dtype.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from parity.errors import MismatchError
from parity.judge.relations import FEW
from parity.judge.sites import Site, collect
from parity.judge.verdict import Explanation, PrecisionRun, SiteError

# Digits of the mantissa, the leading one included.
DIGITS = {"float32": 24, "bfloat16": 8}

# Measured by `python -m parity calibrate`, where nothing is wrong; our error in units of theirs:
#   --configs 200 --dtype float32             108,450 values, median 0.96, largest 8.9; above 16: none, above 8: 1
#   --configs 60 --dtype float32 --seed 1      35,010 values, median 0.97, largest 5.8; above 16: none
#   --configs 100 --dtype bfloat16             48,434 values, median 1.03, largest 3.1; above 16: none
# The largest stand where a few ill-conditioned tokens decide. The smallest loss of digits that is planted in float32
# (`parity.precision.bugs`), TF32 products, makes it some 5,000. In bfloat16 the tier sees gross losses only: softmax
# or norms in bfloat16 leave 1.7 and 1.8.
MULTIPLE = 16.0
FLOOR = 0.25  # in units of the dtype's epsilon: about what rounding every entry once leaves

# A mistake explains an error if correcting for it leaves at most this share of it.
_EXPLAINED = 0.5


class PrecisionTrace(NamedTuple):
    """What one case came to: the reference in float64, and both sides in the lower dtype, all in the order computed."""

    reference: tuple[Site, ...]
    ours: tuple[Site, ...]
    theirs: tuple[Site, ...]


class BugTrace(NamedTuple):
    """What our side computes at full precision but for a known mistake; no name for none."""

    name: str
    mistake: str
    ours: tuple[Site, ...]


@dataclasses.dataclass(frozen=True)
class ExplainedRun(PrecisionRun):
    """One that failed, with the known mistakes that explain its first site to differ, the best first."""

    explanations: tuple[Explanation, ...] = ()


def epsilon(dtype: str) -> float:
    """The distance from 1 to the next number."""
    return 2.0 ** (1 - DIGITS[dtype])


def allowed(theirs: float, dtype: str) -> float:
    """The largest error of ours that counts as rounding."""
    return MULTIPLE * max(theirs, FLOOR * epsilon(dtype))


def ratio(error: SiteError) -> float:
    """Our error in units of what is taken for rounding there: theirs, or the floor."""
    return MULTIPLE * error.ours / error.allowed if error.allowed > 0 else math.inf


def measure(trace: PrecisionTrace, dtype: str) -> tuple[SiteError, ...]:
    """Measures the error of every site that any of the three has, those of the reference first.

    An error is the root of the mean square of the differences, in units of that of the reference's values. (The largest
    difference varies half as much again between two programs that are both right.) Entries that hold the lowest value
    of their dtype are a mask's fill and take no part. Ours is infinite where it cannot be measured: a site that is
    missing, misshapen, out of order, without entries, not finite, masked elsewhere, or secretly in float64. Theirs is
    NaN there, and nothing is allowed.

    Raises:
        MismatchError: there is no site, or one has no name or shares it.
    """
    if not trace.reference:
        raise MismatchError("the reference computes no value: there is no error to measure")
    sides = [collect(side) for side in trace]
    names = list(dict.fromkeys(site.name for side in sides for site in side))
    reference, ours, theirs = ({site.name: site.value for site in side} for side in sides)
    order = [[name for name in names if name in reference and name in side] for side in (ours, theirs)]
    misplaced = [_misplaced(side, common) for side, common in zip(sides[1:], order, strict=True)]
    found = []
    for name in names:
        expected = reference.get(name)
        error = math.inf if name in misplaced[0] else _error(ours.get(name), expected)
        their_error = math.inf if name in misplaced[1] else _error(theirs.get(name), expected)
        if not math.isfinite(their_error):
            their_error = math.nan
        found.append(SiteError(name, error, their_error, allowed(their_error, dtype)))
    return tuple(found)


def explain(trace: PrecisionTrace, site: str, bugs: Sequence[BugTrace]) -> tuple[Explanation, ...]:
    """The mistakes that give our side the values it has at `site`, or nearly so; the best first, each in its best form.

    There are none where the error cannot be measured or is that of one number or two, nor where our side has it without
    any of them.

    Args:
        trace: with our error in it.
        site: the first to have it.
        bugs: what our side computes without a mistake, and with each, which may have several forms.
    """
    expected, actual = _named(trace.reference, site), _named(trace.ours, site)
    error = _error(actual, expected)
    if not math.isfinite(error):
        return ()
    assert expected is not None, "without it there is no finite error"
    assert actual is not None, "without it there is no finite error"
    if expected.size < FEW:
        return ()
    scale, found = _without_fill(expected), []
    for bug in bugs:
        with_bug = _named(bug.ours, site)
        if with_bug is not None and with_bug.shape == actual.shape:
            residual = _distance(_without_fill(actual), _without_fill(with_bug), scale)
            if residual <= _EXPLAINED * error:
                found.append(Explanation(bug.name, bug.mistake, "JAX", residual))
    if any(not explanation.bug for explanation in found):
        return ()
    best: dict[str, Explanation] = {}
    for explanation in sorted(found, key=lambda explanation: explanation.residual):
        best.setdefault(explanation.bug, explanation)
    return tuple(best.values())


def _misplaced(side: Sequence[Site], common: Sequence[str]) -> set[str]:
    """Names that stand elsewhere in the order than in the reference."""
    here = [site.name for site in side if site.name in set(common)]
    return {name for name, there in zip(here, common, strict=True) if name != there}


def _error(actual: np.ndarray | None, expected: np.ndarray | None) -> float:
    """The error of one value, or infinity where there is none to measure."""
    if actual is None or expected is None or not expected.size:
        return math.inf
    if actual.dtype == np.float64:
        return math.inf
    fill = _is_fill(expected)
    if not np.array_equal(fill, _is_fill(actual)):  # nor if the shapes are not
        return math.inf
    kept = _without_fill(expected)
    return _distance(_without_fill(actual), kept, kept)


def _is_fill(values: np.ndarray) -> np.ndarray:
    """Where a mask stands: the lowest value of float64, float32 or bfloat16, whichever the array was made in."""
    lowest = [np.finfo(np.float64).min, *((epsilon(name) / 2 - 1) * 2.0**128 for name in DIGITS)]
    return np.isin(values.astype(np.float64), lowest)


def _without_fill(values: np.ndarray) -> np.ndarray:
    return np.where(_is_fill(values), 0.0, values.astype(np.float64))


def _distance(actual: np.ndarray, expected: np.ndarray, scale: np.ndarray) -> float:
    """The root mean square of the differences, in units of that of `scale`; infinite where there is no telling."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference = _root_mean_square(actual - expected)
    if not math.isfinite(difference):
        return math.inf
    if not difference:
        return 0.0
    unit = _root_mean_square(scale)
    return difference / unit if unit else math.inf


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _named(sites: Sequence[Site], name: str) -> np.ndarray | None:
    return next((site.value for site in sites if site.name == name), None)
