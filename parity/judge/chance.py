"""How far chance can lead: limits on counts of random draws that hold however few there are.

Bernstein's inequality, not the normal curve: for the rare events that a Bonferroni limit is about, counts of a few
hundred are not normal yet. Boucheron, Lugosi & Massart (2013), Concentration Inequalities, theorem 2.10; that it holds
for draws without replacement, too, is Hoeffding (1963), section 6, https://doi.org/10.1080/01621459.1963.10500830.

Axes: K slices, E entries.
"""

import math
from typing import NamedTuple

import numpy as np

# Of sound draws this share, over all keys, leaves some test of a run beyond its limit.
FALSE_ALARM = 1e-6

# A rate that is wrong by this share of itself is missed less often than this.
RESOLUTION, MISSED = 0.01, 1e-4

# 16 random bits meet a rate to within this.
GRAIN = 2.0**-17

# Values drawn at one rate, at most: what 2^25 cannot tell is said, not drawn.
_MOST = 2**25

# Entries of all slices that are made numbers at a time.
_AT_ONCE = 2**24


class Alike(NamedTuple):
    """How much two slices of the same draws have in common.

    Attributes:
        excess: of the pair that has the most, the difference from what chance alone would make, in units of the limit.
        pair: which two they are.
        share: of what two such slices can have in common beyond chance at most; 1 if one drops all that the other does.
        correlation: between the two.
        beyond: how many pairs are beyond the limit.
        pairs: how many were compared.
        blind: how many have so few entries dropped that the limit would not show it if they were the same.
    """

    excess: float
    pair: tuple[int, int]
    share: float
    correlation: float
    beyond: int
    pairs: int
    blind: int


def limit(variance: np.ndarray | float, chance: float) -> np.ndarray | float:
    """How far a sum of independent terms of at most 1 may be from its mean.

    Args:
        variance: of the sum.
        chance: that it is farther, upwards or downwards, is at most this.
    """
    cost = math.log(2 / chance)
    return cost / 3 + np.sqrt((cost / 3) ** 2 + 2 * cost * np.asarray(variance))


def rate_excess(dropped: int, entries: int, rate: float, chance: float) -> float:
    """How far a count is from a rate, in units of the limit."""
    allowed = limit(entries * rate * (1 - rate), chance) + GRAIN * entries
    return float(abs(dropped - entries * rate) / allowed)


def resolution(entries: int, rate: float, chance: float) -> float:
    """The smallest share of itself by which a rate can be wrong and be found out, but for `MISSED` of all draws."""
    variance = entries * rate * (1 - rate)
    return float((limit(variance, chance) + limit(variance, 2 * MISSED)) / entries + GRAIN) / rate


def enough(rate: float, chance: float) -> int:
    """How many values to draw at a rate, to find out one that is wrong by `RESOLUTION` of itself."""
    entries = 1024
    while resolution(entries, rate, chance) > RESOLUTION and entries < _MOST:
        entries = math.ceil(entries * 1.1)
    return min(entries, _MOST)


def alike(dropped_KE: np.ndarray, chance: float, pairs_KK: np.ndarray | None = None) -> Alike:
    """Compares slices pair by pair: how often both drop the same entry.

    How many each drops is taken as given, so that a wrong rate is no likeness.

    Args:
        dropped_KE: at least two slices.
        chance: that any pair of independent slices is beyond its limit.
        pairs_KK: which pairs to compare, at least one; None takes every one once.
    """
    K, E = dropped_KE.shape
    chosen_KK = np.triu(np.ones((K, K), bool), 1) if pairs_KK is None else pairs_KK
    together_KK, count_K = _together(dropped_KE), np.count_nonzero(dropped_KE, axis=1).astype(np.float64)
    expected_KK = np.outer(count_K, count_K) / E
    variance_KK = expected_KK * (1 - np.maximum.outer(count_K, count_K) / E)
    most_KK = np.minimum.outer(count_K, count_K) - expected_KK
    allowed_KK = limit(variance_KK, chance / chosen_KK.sum())
    excess_KK = np.where(chosen_KK, np.abs(together_KK - expected_KK) / allowed_KK, -1.0)
    i, j = map(int, np.unravel_index(int(excess_KK.argmax()), (K, K)))
    above = float(together_KK[i, j] - expected_KK[i, j])
    deviations = math.sqrt(math.prod(count_K[k] * (1 - count_K[k] / E) for k in (i, j)))
    return Alike(
        excess=float(excess_KK[i, j]),
        pair=(i, j),
        share=above / float(most_KK[i, j]) if most_KK[i, j] else 0.0,
        correlation=above / deviations if deviations else 0.0,
        beyond=int((excess_KK > 1).sum()),
        pairs=int(chosen_KK.sum()),
        blind=int((chosen_KK & (most_KK <= allowed_KK)).sum()),
    )


def _together(dropped_KE: np.ndarray) -> np.ndarray:
    """How many entries each two slices both drop; float32 counts exactly, as far as it is asked to."""
    K, E = dropped_KE.shape
    if K == 2:  # most calls; the diagonal is never asked for
        return np.full((2, 2), float(np.count_nonzero(dropped_KE[0] & dropped_KE[1])))
    step, total_KK = max(1, _AT_ONCE // K), np.zeros((K, K))
    for start in range(0, E, step):
        part_KE = dropped_KE[:, start : start + step].astype(np.float32)
        total_KK += part_KE @ part_KE.T
    return total_KK
