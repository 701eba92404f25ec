"""Whether words that keep or drop values are as good as random: every test is shown a mixer that it must reject.

Seeds are fixed: a p-value is what it is. Both tails count, for a counter times a number is too even to be random.

Reference for the tests: Knuth, The Art of Computer Programming 2, section 3.3; avalanche: Webster & Tavares (1985),
https://doi.org/10.1007/3-540-39799-X_41
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jax_encoder import dropout
from jax_encoder.config import EncoderConfig
from jax_encoder.training.step import micro_batch_key, step_key

KEY = jax.random.key(11)
# A sound mixer would fail one of a hundred thousand tests like these.
SOUND, UNSOUND = 1e-5, 1e-12
SIDE = 512
RATES = dict.fromkeys(("embedding_dropout", "attention_dropout", "residual_dropout"), 0.1)


def multiplied(x):
    """What leaves low bits to themselves."""
    return x * jnp.uint32(0x21F0AAAD)


def shifted(x):
    """Xorshift32, linear in every bit."""
    for shift in (13, -17, 5):
        x = x ^ (x << shift if shift > 0 else x >> -shift)
    return x


def half_mixed(x):
    """lowbias32's first half, which carries nothing down into the lowest bits."""
    return (x ^ x >> 16) * jnp.uint32(0x21F0AAAD)


def spilled(x):
    """Sets a bit wherever the next lower one is set."""
    return x | x << 1


def words(key, shape) -> np.ndarray:
    return np.asarray(dropout._bits(key, shape))


def both_tails(statistic: float, degrees: int) -> float:
    return 2 * min(stats.chi2.sf(statistic, degrees), stats.chi2.cdf(statistic, degrees))


def of_all(p_values: np.ndarray) -> float:
    """The p-value of the least of many."""
    least = float(np.min(p_values))
    return -np.expm1(p_values.size * np.log1p(-least)) if least < 1 else 1.0


def uniform() -> float:
    """Chi-square of each byte, and of neighbours' highest four bits together."""
    drawn = words(KEY, (2**20,))
    bytes_ = [drawn >> shift & 255 for shift in (0, 8, 16, 24)]
    pairs = (drawn[:-1:2] >> 28) * 16 + (drawn[1::2] >> 28)
    counts = [np.bincount(one, minlength=256) for one in (*bytes_, pairs)]
    return of_all(np.array([both_tails(stats.chisquare(one).statistic, 255) for one in counts]))


def rates() -> float:
    """Binomial: as many are dropped as the rate says."""
    ps = []
    for index, rate in enumerate((0.02, 0.1, 0.5, 0.9)):
        kept = np.asarray(dropout.keep(jax.random.fold_in(KEY, index), rate, (2**20,)))
        ps.append(stats.binomtest(int(kept.sum()), kept.size, 1 - rate).pvalue)
    return of_all(np.array(ps))


def signs(key, shape=(SIDE, SIDE)) -> np.ndarray:
    """Kept and dropped in equal parts, as 1 and -1."""
    return np.where(np.asarray(dropout.keep(key, 0.5, shape)), 1.0, -1.0)


def correlated(one: np.ndarray, other: np.ndarray, leave_out_itself: bool) -> float:
    """The largest correlation at any offset of rows and columns."""
    product = np.fft.rfft2(one).conj() * np.fft.rfft2(other)
    scores = np.fft.irfft2(product, s=one.shape).ravel()[leave_out_itself:] / np.sqrt(one.size)
    # Of a mask with itself, an offset and its opposite are one.
    tested = scores.size // 2 if leave_out_itself else scores.size
    worst = 2 * stats.norm.sf(np.abs(scores).max())
    return float(-np.expm1(tested * np.log1p(-min(worst, 1 - 1e-16))))


def serial() -> float:
    """Neighbours, rows, and every other offset within one mask."""
    return correlated(signs(KEY), signs(KEY), True)


def row_sums() -> float:
    """Rows and columns are dropped as often as chance has it, neither more evenly nor less."""
    drawn = signs(KEY)
    ps = [both_tails(float((drawn.sum(axis) ** 2).sum() / SIDE), SIDE) for axis in (0, 1)]
    return of_all(np.array(ps))


def avalanche() -> float:
    """A flipped bit of the number, or of the key's second half, flips every bit of the word half of the time."""
    rng = np.random.default_rng(5)
    numbers, second = (jnp.asarray(rng.integers(0, 2**32, 2**16, np.uint32)) for _ in range(2))
    flips = []
    for bit in range(32):
        one = jnp.uint32(1 << bit)
        before = dropout._hashed(numbers, second)
        for after in (dropout._hashed(numbers ^ one, second), dropout._hashed(numbers, second ^ one)):
            changed = np.asarray(before ^ after)
            flips.append([(changed >> out & 1).mean() for out in range(32)])
    scores = (np.array(flips) - 0.5) * 2 * np.sqrt(numbers.size)
    return both_tails(float((scores**2).sum()), scores.size)


def between_masks() -> float:
    """Places, layers, micro-batches and steps: every two masks, at every offset."""
    config = dataclasses.replace(EncoderConfig.tiny(), **RATES)
    drops = []
    for step, part in ((0, 0), (0, 1), (1, 0), (1, 1)):
        key = micro_batch_key(step_key(0, step), part)
        drops += [dropout.embedding_drop(key, config), *dropout.layer_drops(key, 0, config)]
        drops += dropout.layer_drops(key, 1, config)
    masks = [signs(drop.key, (128, 128)) for drop in drops]
    pairs = [(one, other) for index, one in enumerate(masks) for other in masks[:index]]
    return of_all(np.array([correlated(*pair, False) for pair in pairs]))


TESTS = (uniform, rates, serial, row_sums, avalanche, between_masks)


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_words_are_as_good_as_random(test):
    assert test() > SOUND


@pytest.mark.parametrize(
    ("test", "mixer"),
    [
        (uniform, multiplied),
        (rates, spilled),
        (serial, half_mixed),
        (row_sums, shifted),
        (avalanche, half_mixed),
        (avalanche, shifted),
        (between_masks, shifted),
    ],
    ids=lambda one: one.__name__,
)
def test_a_weak_mixer_is_rejected(test, mixer, monkeypatch):
    monkeypatch.setattr(dropout, "_mixed", mixer)
    assert test() < UNSOUND
