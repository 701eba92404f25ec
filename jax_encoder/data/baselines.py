"""What counting alone can predict: the losses that a model must beat, on the very targets it is judged by.

Axes: B batch, T column, K target, V vocabulary, P distinct pairs, M targets of a batch.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, Integer

from jax_encoder.data.masking import Batch, original_tokens
from jax_encoder.data.packing import Rows
from jax_encoder.data.tokenizer import Vocabulary
from jax_encoder.errors import InputError

_CHUNK = 2**23  # tokens counted at once


class BaselineLosses(NamedTuple):
    """Cross-entropy in nats per target."""

    unigram: float
    bigram: float


class Counts(NamedTuple):
    """How often tokens, and pairs of neighbours in one document, occur. Special tokens count as left neighbours only.

    Attributes:
        unigram: of each id, 0 for special tokens.
        ordinary: how many ids are not special: what probability is spread over.
        pairs: left id * V + right id, ascending.
        pair_counts: of each pair.
        left: how often each id has a right neighbour.
        followers: how many different ones.
    """

    unigram: Int64[np.ndarray, " V"]
    ordinary: int
    pairs: Int64[np.ndarray, " P"]
    pair_counts: Int64[np.ndarray, " P"]
    left: Int64[np.ndarray, " V"]
    followers: Int64[np.ndarray, " V"]


def baseline_losses(rows: Rows, batches: Iterable[Batch], vocabulary: Vocabulary) -> BaselineLosses:
    """Judges both baselines on every target of `batches`.

    Args:
        rows: training rows to count, nothing hidden.
        batches: evaluation batches. The bigram is told the true token before each target, hidden or not.
        vocabulary: of both.

    Raises:
        InputError: there is nothing to count, or nothing to predict.
    """
    counts = count(rows, vocabulary)
    if not len(counts.pairs):
        raise InputError("the training text has no token that could be predicted: to this tokenizer all are unknown")
    unigram, bigram, targets = [], [], 0
    for batch in batches:
        real_BK = batch.weights > 0
        # Column 0 is [CLS], never a target, so there is always a left neighbour in the same document.
        columns_BK = np.maximum(batch.targets - 1, 0)
        left_M = np.take_along_axis(original_tokens(batch), columns_BK, axis=1)[real_BK]
        right_M = batch.labels[real_BK]
        unigram.append(-float(np.log(unigram_probabilities(counts, right_M)).sum()))
        bigram.append(-float(np.log(bigram_probabilities(counts, left_M, right_M)).sum()))
        targets += len(right_M)
    if not targets:
        raise InputError("the held-out text has no token that could be predicted: to this tokenizer all are unknown")
    return BaselineLosses(math.fsum(unigram) / targets, math.fsum(bigram) / targets)


def count(rows: Rows, vocabulary: Vocabulary) -> Counts:
    """Counts tokens and pairs of neighbours; memory grows with the number of different pairs."""
    V = vocabulary.size
    is_ordinary_V = np.ones(V, bool)
    is_ordinary_V[list(vocabulary.special)] = False
    unigram_V, pairs_P, counts_P = np.zeros(V, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    step = max(1, _CHUNK // rows.tokens.shape[1])
    for start in range(0, len(rows.tokens), step):
        tokens_BT, segments_BT = (np.asarray(part[start : start + step], np.int64) for part in rows)
        counted_BT = (segments_BT != 0) & is_ordinary_V[tokens_BT]
        unigram_V += np.bincount(tokens_BT[counted_BT], minlength=V)
        # No pair spans two documents: the right one begins with [CLS], which is not counted.
        pairs = (tokens_BT[:, :-1] * V + tokens_BT[:, 1:])[counted_BT[:, 1:]]
        new_P, new_counts_P = np.unique(pairs, return_counts=True)
        pairs_P, counts_P = _add(np.concatenate([pairs_P, new_P]), np.concatenate([counts_P, new_counts_P]))
    left_P = pairs_P // V
    return Counts(
        unigram=unigram_V,
        ordinary=int(is_ordinary_V.sum()),
        pairs=pairs_P,
        pair_counts=counts_P,
        left=np.bincount(left_P, weights=counts_P, minlength=V).astype(np.int64),
        followers=np.bincount(left_P, minlength=V),
    )


def _add(pairs: Int64[np.ndarray, " M"], counts: Int64[np.ndarray, " M"]) -> tuple[np.ndarray, np.ndarray]:
    """Adds up the counts of equal pairs; the pairs come back ascending."""
    order = np.argsort(pairs, kind="stable")
    pairs, counts = pairs[order], counts[order]
    firsts = np.flatnonzero(np.diff(pairs, prepend=-1))
    return pairs[firsts], np.add.reduceat(counts, firsts) if len(firsts) else counts


def unigram_probabilities(counts: Counts, right_M: Integer[np.ndarray, " M"]) -> Float64[np.ndarray, " M"]:
    """Frequency with one added to every count, so that nothing is impossible."""
    return (counts.unigram[right_M] + 1) / (counts.unigram.sum() + counts.ordinary)


def bigram_probabilities(
    counts: Counts, left_M: Integer[np.ndarray, " M"], right_M: Integer[np.ndarray, " M"]
) -> Float64[np.ndarray, " M"]:
    """Frequency behind `left_M`, mixed with the unigram the more, the more different tokens have followed it.

    Witten & Bell (1991), as in Chen & Goodman (1998), section 2.4: (c(l, r) + f(l) p(r)) / (c(l) + f(l)).
    """
    wanted_M = left_M.astype(np.int64) * len(counts.unigram) + right_M
    places_M = np.minimum(np.searchsorted(counts.pairs, wanted_M), max(len(counts.pairs) - 1, 0))
    together_M = np.where(counts.pairs[places_M] == wanted_M, counts.pair_counts[places_M], 0)
    # A left neighbour that was never one in training says nothing: the unigram alone.
    followers_M = np.maximum(counts.followers[left_M], 1)
    mixed_M = together_M + followers_M * unigram_probabilities(counts, right_M)
    return mixed_M / (counts.left[left_M] + followers_M)
