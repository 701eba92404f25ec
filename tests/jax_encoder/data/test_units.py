"""Whole words and spans are hidden whole, in documents' bounds, and as often as single tokens."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jax_encoder.data.masking import Masking, Share, Stream, generator, mask_tokens
from jax_encoder.data.tokenizer_form import TokenizerForm
from jax_encoder.data.tokenizer_training import train_tokenizer
from jax_encoder.data.units import continuing
from tests.jax_encoder.data.test_masking import VOCABULARY, plain, rows, some_generators, some_rates, some_rows
from tests.jax_encoder.training.helpers import SENTENCES

CONTINUING = tuple(range(25, 39))  # a third of what is text


def masking(unit: str, rate: float = 0.3, **changes) -> Masking:
    return dataclasses.replace(Masking(VOCABULARY, rate, unit, continuing=CONTINUING), **changes)


def hidden(batch) -> np.ndarray:
    """Which columns are targets."""
    found = np.zeros(batch.tokens.shape, bool)
    for row, (targets, weights) in enumerate(zip(batch.targets, batch.weights, strict=True)):
        found[row, targets[weights > 0]] = True
    return found


def words(tokens: np.ndarray, segments: np.ndarray) -> list[tuple[int, list[int]]]:
    """Row and columns of every word."""
    found: list[tuple[int, list[int]]] = []
    for row in range(len(tokens)):
        for column in range(tokens.shape[1]):
            if segments[row, column] == 0 or tokens[row, column] in VOCABULARY.special:
                continue
            goes_on = tokens[row, column] in CONTINUING and column > 0
            before = (row, column - 1)
            together = segments[before] == segments[row, column]
            if goes_on and together and found and (found[-1][0], found[-1][1][-1]) == before:
                found[-1][1].append(column)
                continue
            found.append((row, [column]))
    return found


@given(some_rows, some_rates, some_generators, st.sampled_from(["words", "spans"]))
def test_a_word_is_hidden_whole_or_not_at_all(given_rows, rate, rng, unit):
    tokens, segments = given_rows
    chosen = masking(unit, rate)
    batch = mask_tokens(tokens, segments, chosen, rng)
    is_target = hidden(batch)
    for row in range(len(tokens)):
        maskable = (segments[row] != 0) & ~np.isin(tokens[row], VOCABULARY.special)
        most = max(1, round(rate * int(maskable.sum()))) if maskable.any() else 0
        assert min(most, 1) <= is_target[row].sum() <= most
        assert maskable[is_target[row]].all()
        split = [
            columns for one, columns in words(tokens, segments) if one == row and len({*is_target[row, columns]}) > 1
        ]
        # One that alone is longer than all that may be hidden; a span may be cut within a word after ten tokens.
        assert unit == "spans" or len(split) <= (is_target[row].sum() == most)
    np.testing.assert_array_equal(batch.labels[batch.weights > 0], tokens[is_target])


@pytest.mark.parametrize("unit", ["words", "spans"])
def test_about_as_much_is_hidden_and_by_the_shares(unit):
    tokens, segments = plain(200, 120)
    batch = mask_tokens(tokens, segments, masking(unit, shares=(0.5, 0.3)), generator(0, Stream.TRAINING_MASKS, 0))
    count = batch.weights.sum()
    assert 0.27 < count / tokens.size <= 0.3
    is_target = hidden(batch)
    assert (batch.tokens[is_target] == VOCABULARY.mask).mean() == pytest.approx(0.5, abs=0.03)
    # What is put in is now and then what was there.
    assert (batch.tokens[is_target] == tokens[is_target]).mean() == pytest.approx(0.2 + 0.3 / 35, abs=0.03)


def test_spans_are_about_four_words_and_have_one_fate():
    tokens, segments = plain(200, 120)
    chosen = masking("spans", 0.1, continuing=())
    batch = mask_tokens(tokens, segments, chosen, generator(1, Stream.TRAINING_MASKS, 0))
    is_target = np.pad(hidden(batch), ((0, 0), (1, 1)))
    begins, ends = (np.nonzero(np.diff(is_target.astype(int), axis=1) == sign)[1] for sign in (1, -1))
    lengths = ends - begins
    # Of a geometric distribution of mean 5, cut at 10; neighbours may touch.
    assert 3.5 < lengths.mean() < 5.5
    masked = np.pad(batch.tokens == VOCABULARY.mask, ((0, 0), (1, 1)))
    inside = is_target[:, 1:] & is_target[:, :-1]
    same = (masked[:, 1:] == masked[:, :-1])[inside].mean()
    assert same > 0.9  # single fates would agree in 0.68


def test_documents_share_no_unit():
    tokens = np.full((1, 12), 30, np.uint16)  # all go on with the word before
    segments = np.repeat([1, 2, 3], 4)[None].astype(np.uint16)
    for seed in range(20):
        batch = mask_tokens(tokens, segments, masking("words", 0.34), generator(seed, Stream.TRAINING_MASKS, 0))
        assert hidden(batch).reshape(3, 4).sum(axis=1).tolist() in ([4, 0, 0], [0, 4, 0], [0, 0, 4])


@pytest.mark.parametrize("unit", ["words", "spans"])
def test_a_share_of_a_batch_has_the_targets_of_the_whole(unit):
    tokens, segments = rows(3, 6, 30)
    whole = mask_tokens(tokens, segments, masking(unit), generator(0, Stream.TRAINING_MASKS, 5))
    for index in range(3):
        part = Share(index, 3).of(6)
        rng = generator(0, Stream.TRAINING_MASKS, 5)
        batch = mask_tokens(tokens[part], segments[part], masking(unit), rng, Share(index, 3))
        for one, other in zip(batch, whole, strict=True):
            np.testing.assert_array_equal(one, other[part])


def test_what_goes_on_with_a_word_is_told_by_its_spelling():
    for kind, begins in (
        ("wordpiece", lambda token: not token.startswith("##")),
        ("bpe", lambda token: token[0] == "Ġ"),
    ):
        tokenizer = train_tokenizer([". ".join(SENTENCES)] * 9, TokenizerForm(kind), vocab_size=400)
        vocabulary = tokenizer.get_vocab(with_added_tokens=False)
        expected = {id_ for token, id_ in vocabulary.items() if not begins(token)}
        assert set(continuing(tokenizer)) == expected
        assert 0 < len(expected) < len(vocabulary)
