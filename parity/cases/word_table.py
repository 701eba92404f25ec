"""Prepares the word embedding for the two cases that depend on its values: low-variance tokens and poisoned padding."""

import math

import numpy as np

from parity.cases.case import Case, LowVariance

# Frameworks may round a sinusoid or a sum of embeddings differently in the last bit. At this variance that changes what
# the norm puts out by 5e-13, a two-hundredth of what a check allows; an epsilon of 1e-12 for 1e-11 changes it by 1e-4.
LEAST_VARIANCE = 1e-7


def prepare(word_VD: np.ndarray, rest_BTD: np.ndarray, case: Case, eps: float) -> np.ndarray:
    """Copies the table and edits the rows that the case names.

    Args:
        word_VD: word embedding.
        rest_BTD: what is added to the word embedding at each position: position and token type; 0 if nothing is.
        case: rows of its low-variance tokens are set so that the sum has the mean and variance it asks for; the row of
            its poisoned token becomes NaN.
        eps: the norm's epsilon.
    """
    table_VD = word_VD.copy()
    for low in case.low_variance:
        b, t = _first(case, low)
        table_VD[low.token] = _total(low, word_VD.shape[1], eps) - rest_BTD[b, t]
    if case.poison is not None:
        table_VD[case.poison] = np.nan
    return table_VD


def inadequacies(word_VD: np.ndarray, rest_BTD: np.ndarray, case: Case, eps: float) -> tuple[str, ...]:
    """Measures the prepared table: which of the case's tokens are not what it asks for; empty if all are."""
    found = []
    for low in case.low_variance:
        total_PD = (word_VD[case.tokens_BT] + rest_BTD)[(case.tokens_BT == low.token) & case.seen_BS]
        wanted = _variance(low, eps)
        if not np.allclose(total_PD.var(axis=1), wanted, rtol=1e-3, atol=0):
            measured = ", ".join(f"{variance:.1e}" for variance in total_PD.var(axis=1))
            found.append(f"token {low.token} has variance {measured or 'unseen'}, must be {wanted:.1e}")
    if case.poison is not None and not np.isnan(word_VD[case.poison]).all():
        found.append(f"the row of the poisoned token, {case.poison}, is not NaN")
    return tuple(found)


def _first(case: Case, low: LowVariance) -> tuple[int, int]:
    """Where the token stands first."""
    b, t = np.argwhere(case.tokens_BT == low.token)[0].tolist()
    return b, t


def _variance(low: LowVariance, eps: float) -> float:
    return low.variance * max(eps, LEAST_VARIANCE)


def _total(low: LowVariance, dim: int, eps: float) -> np.ndarray:
    """The summed embedding: `dim` channels of exactly the mean and variance that are asked for, up to rounding."""
    noise_D = np.random.default_rng(low.token).standard_normal(dim)
    noise_D = (noise_D - noise_D.mean()) / noise_D.std()
    return (noise_D + low.mean) * math.sqrt(_variance(low, eps))
