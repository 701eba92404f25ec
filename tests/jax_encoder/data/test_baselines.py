"""Baselines against a case counted by hand, and as probabilities that add up to one."""

import math

import numpy as np
import pytest

from jax_encoder.data import baselines
from jax_encoder.data.baselines import baseline_losses, bigram_probabilities, count, unigram_probabilities
from jax_encoder.data.batches import EvaluationBatches
from jax_encoder.data.masking import Batch, Masking, original_tokens
from jax_encoder.data.packing import Rows
from jax_encoder.data.tokenizer import Vocabulary
from jax_encoder.errors import InputError

PAD, UNK, CLS, SEP, MASK, A, B, C = range(8)
VOCABULARY = Vocabulary(size=8, pad=PAD, cls=CLS, sep=SEP, mask=MASK, unk=UNK, special=(0, 1, 2, 3, 4))

# Two documents, "a b a ?" and "a c", and one of them with a row to itself, "b".
ROWS = Rows(
    np.array([[CLS, A, B, A, UNK, SEP, CLS, A, C, SEP], [CLS, B, SEP] + [PAD] * 7], np.uint16),
    np.array([[1] * 6 + [2] * 4, [1] * 3 + [0] * 7], np.uint16),
)


def batch(tokens: list[int], targets: list[int], labels: list[int]) -> Batch:
    """One row with these targets and one filler."""
    shape = (1, len(targets) + 1)
    return Batch(
        tokens=np.array([tokens], np.int32),
        segments=np.ones((1, len(tokens)), np.int32),
        positions=np.arange(len(tokens), dtype=np.int32)[None, :],
        targets=np.array([[*targets, 0]], np.int32).reshape(shape),
        labels=np.array([[*labels, 0]], np.int32).reshape(shape),
        weights=np.array([[1.0] * len(targets) + [0.0]], np.float32),
    )


def random_rows(seed: int, size: int) -> tuple[Rows, Vocabulary]:
    """Rows with a skewed vocabulary, and three ids that never occur."""
    rng = np.random.default_rng(seed)
    tokens = np.minimum(rng.geometric(0.15, (50, 20)) + 2, size - 4)
    segments = np.repeat([[1] * 8 + [2] * 9 + [0] * 3], 50, axis=0)
    tokens[:, [0, 8]] = 1
    return Rows(tokens.astype(np.uint16), segments.astype(np.uint16)), Vocabulary(size, 0, 1, 2, 3, None, (0, 1, 2, 3))


def test_counts_by_hand():
    counts = count(ROWS, VOCABULARY)
    assert counts.unigram.tolist() == [0, 0, 0, 0, 0, 3, 2, 1]
    assert counts.ordinary == 3
    pairs = {(int(pair) // 8, int(pair) % 8): int(n) for pair, n in zip(counts.pairs, counts.pair_counts, strict=True)}
    assert pairs == {(CLS, A): 2, (CLS, B): 1, (A, B): 1, (A, C): 1, (B, A): 1}
    assert counts.left.tolist() == [0, 0, 3, 0, 0, 2, 1, 0]
    assert counts.followers.tolist() == [0, 0, 2, 0, 0, 2, 1, 0]


def test_losses_by_hand():
    # "a [b] [a]" with b and a hidden: the bigram is told b before the second target, though b is hidden too.
    judged = batch([CLS, A, MASK, MASK, SEP], [2, 3], [B, A])
    unigram = {A: 4 / 9, B: 3 / 9, C: 2 / 9}
    after_a = (1 + 2 * unigram[B]) / (2 + 2)
    after_b = (1 + 1 * unigram[A]) / (1 + 1)
    losses = baseline_losses(ROWS, [judged], VOCABULARY)
    assert losses.unigram == pytest.approx(-(math.log(unigram[B]) + math.log(unigram[A])) / 2, rel=1e-14)
    assert losses.bigram == pytest.approx(-(math.log(after_a) + math.log(after_b)) / 2, rel=1e-14)


def test_losses_are_means_over_targets_not_batches():
    one, three = batch([CLS, MASK, A], [1], [C]), batch([CLS, MASK, B, MASK, A, MASK], [1, 3, 5], [A, A, B])
    together = baseline_losses(ROWS, [one, three], VOCABULARY)
    apart = np.array([baseline_losses(ROWS, [given], VOCABULARY) for given in (one, three)])
    np.testing.assert_allclose(together, (apart[0] + 3 * apart[1]) / 4, rtol=1e-14)


def test_an_unseen_left_neighbour_leaves_the_unigram():
    counts = count(ROWS, VOCABULARY)
    right = np.array([A, B, C])
    expected = unigram_probabilities(counts, right)
    np.testing.assert_allclose(bigram_probabilities(counts, np.array([C] * 3), right), expected, rtol=1e-15)


@pytest.mark.parametrize("size", [8, 40, 61])
def test_probabilities_add_up_to_one(size):
    rows, vocabulary = random_rows(size, size) if size > 8 else (ROWS, VOCABULARY)
    counts = count(rows, vocabulary)
    ordinary = np.setdiff1d(np.arange(size), vocabulary.special)
    assert unigram_probabilities(counts, ordinary).sum() == pytest.approx(1, rel=1e-13)
    for left in range(size):
        probabilities = bigram_probabilities(counts, np.full(len(ordinary), left), ordinary)
        assert (probabilities > 0).all()
        assert probabilities.sum() == pytest.approx(1, rel=1e-13)


def test_counting_in_chunks_is_counting_at_once(monkeypatch):
    rows, vocabulary = random_rows(3, 40)
    whole = count(rows, vocabulary)
    for chunk in (1, 70):
        monkeypatch.setattr(baselines, "_CHUNK", chunk)
        for part, expected in zip(count(rows, vocabulary), whole, strict=True):
            np.testing.assert_array_equal(part, expected)


def test_neighbours_help_where_the_text_has_an_order():
    tokens = np.tile(np.array([1, *range(4, 23)], np.uint16), (40, 1))
    rows, vocabulary = Rows(tokens, np.ones_like(tokens)), Vocabulary(23, 0, 1, 2, 3, None, (0, 1, 2, 3))
    batches = EvaluationBatches(rows, Masking(vocabulary, 0.3), batch_size=7)
    losses = baseline_losses(rows, batches, vocabulary)
    assert losses.unigram == pytest.approx(math.log(19), rel=1e-12)
    assert losses.bigram < 0.1


def test_evaluation_batches_are_judged_as_a_slow_loop_would():
    rows, vocabulary = random_rows(5, 40)
    counts = count(rows, vocabulary)
    batches = EvaluationBatches(rows, Masking(vocabulary, 0.3), batch_size=8)
    logs = []
    for given in batches:
        original = original_tokens(given)
        for row, column in zip(*np.nonzero(given.weights), strict=True):
            target = given.targets[row, column]
            pair = original[row, target - 1 : target], original[row, target : target + 1]
            logs.append(math.log(bigram_probabilities(counts, *pair)[0]))
    assert baseline_losses(rows, batches, vocabulary).bigram == pytest.approx(-np.mean(logs), rel=1e-12)


def test_text_of_unknown_tokens_only():
    unknown = Rows(np.array([[CLS, UNK, SEP]], np.uint16), np.ones((1, 3), np.uint16))
    with pytest.raises(InputError, match="the training text has no token that could be predicted: to this tokenizer"):
        baseline_losses(unknown, [batch([CLS, MASK], [1], [A])], VOCABULARY)
    with pytest.raises(InputError, match="the held-out text has no token that could be predicted: to this tokenizer"):
        baseline_losses(ROWS, EvaluationBatches(unknown, Masking(VOCABULARY, 0.2), batch_size=1), VOCABULARY)
