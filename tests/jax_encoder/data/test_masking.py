"""Masking: exact counts, fixed shapes, BERT's proportions, and nothing but (seed, step) behind it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jax_encoder.data.masking import Batch, Masking, Stream, generator, mask_tokens, original_tokens
from jax_encoder.data.tokenizer import Vocabulary
from jax_encoder.errors import InputError

# The special tokens lie at both ends and in the middle, so that no range of ids is all text.
VOCABULARY = Vocabulary(size=40, pad=0, cls=1, sep=20, mask=39, unk=21, special=(0, 1, 20, 21, 39))
ORDINARY = np.setdiff1d(np.arange(40), VOCABULARY.special)


def rows(seed: int, num_rows: int, row_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of random documents, some of nothing but special tokens, some rows empty; ids 0 occur in text too."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(40, size=(num_rows, row_length))
    tokens[rng.random(num_rows) < 0.1] = VOCABULARY.unk
    lengths = rng.integers(row_length + 1, size=(num_rows, 1))
    columns = np.arange(row_length)
    segments = np.where(columns < lengths, 1 + np.cumsum(rng.random(tokens.shape) < 0.1, axis=1), 0)
    return tokens.astype(np.uint16), segments.astype(np.uint16)


def plain(num_rows: int, row_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Full rows of text alone."""
    tokens = np.random.default_rng(0).choice(ORDINARY, size=(num_rows, row_length)).astype(np.uint16)
    return tokens, np.ones_like(tokens)


some_rows = st.builds(rows, st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 30))
some_rates = st.floats(0.001, 0.999)
some_generators = st.builds(generator, st.integers(0, 2**64 - 1), st.sampled_from(Stream), st.integers(0, 2**40))


@given(some_rows, some_rates, some_generators)
def test_exact_counts_in_fixed_shapes(given_rows, rate, rng):
    tokens, segments = given_rows
    masking = Masking(VOCABULARY, rate)
    batch = mask_tokens(tokens, segments, masking, rng)
    K = masking.budget(tokens.shape[1])
    assert batch.targets.shape == batch.labels.shape == batch.weights.shape == (len(tokens), K)
    assert [array.dtype.name for array in batch] == ["int32"] * 5 + ["float32"]
    for row in range(len(tokens)):
        maskable = (segments[row] != 0) & np.isin(tokens[row], ORDINARY)
        count = max(1, round(rate * int(maskable.sum()))) if maskable.any() else 0
        np.testing.assert_array_equal(batch.weights[row], [1.0] * count + [0.0] * (K - count))
        targets = batch.targets[row, :count]
        assert (np.diff(targets) > 0).all()
        assert maskable[targets].all()
        np.testing.assert_array_equal(batch.labels[row, :count], tokens[row, targets])
        assert not batch.targets[row, count:].any()
        assert not batch.labels[row, count:].any()
    np.testing.assert_array_equal(batch.segments, segments)


@given(some_rows, some_rates, some_generators)
def test_only_targets_change_and_only_to_text_or_mask(given_rows, rate, rng):
    tokens, segments = given_rows
    before = tokens.copy(), segments.copy()
    batch = mask_tokens(tokens, segments, Masking(VOCABULARY, rate), rng)
    np.testing.assert_array_equal((tokens, segments), before, err_msg="the caller's arrays are not written to")
    is_target = np.zeros(tokens.shape, bool)
    for row, (targets, weights) in enumerate(zip(batch.targets, batch.weights, strict=True)):
        is_target[row, targets[weights > 0]] = True
    np.testing.assert_array_equal(batch.tokens[~is_target], tokens[~is_target])
    assert np.isin(batch.tokens[is_target], [*ORDINARY, VOCABULARY.mask]).all()
    np.testing.assert_array_equal(batch.segments, segments)
    hidden = batch.tokens.copy()
    np.testing.assert_array_equal(original_tokens(batch), tokens)
    np.testing.assert_array_equal(batch.tokens, hidden)


@given(some_rows)
def test_positions_restart_in_every_document(given_rows):
    tokens, segments = given_rows
    positions = mask_tokens(tokens, segments, Masking(VOCABULARY, 0.2), np.random.default_rng(0)).positions
    for row, row_segments in enumerate(segments.tolist()):
        for column, segment in enumerate(row_segments):
            assert positions[row, column] == (column - row_segments.index(segment) if segment else 0)


def test_equal_arguments_equal_batch_and_only_then():
    def batch(seed: int, stream: Stream, index: int) -> bytes:
        arrays = mask_tokens(*plain(4, 60), Masking(VOCABULARY, 0.3), generator(seed, stream, index))
        return b"".join(array.tobytes() for array in arrays)

    keys = [(seed, stream, index) for seed in (0, 1, 2**63) for stream in Stream for index in (0, 1, 2**32, 2**33)]
    batches = {key: batch(*key) for key in keys}
    assert len(set(batches.values())) == len(keys)
    assert all(batch(*key) == content for key, content in batches.items())


def test_streams_share_no_numbers():
    draws = [generator(3, stream, index).integers(2**63, size=1000) for stream in Stream for index in (0, 1)]
    assert len(np.unique(draws)) == 1000 * len(draws)


def test_eighty_ten_ten():
    tokens, segments = plain(500, 200)
    batch = mask_tokens(tokens, segments, Masking(VOCABULARY, 0.5), generator(0, Stream.TRAINING_MASKS, 0))
    assert np.count_nonzero(batch.weights) == 50_000
    inputs = np.take_along_axis(batch.tokens, batch.targets, axis=1)
    masked = (inputs == VOCABULARY.mask).mean()
    same = (inputs == batch.labels).mean()
    # A random token is the original once in 35. Four standard deviations of 50,000 draws are 0.007 and 0.006.
    assert masked == pytest.approx(0.8, abs=0.007)
    assert same == pytest.approx(0.1 + 0.1 / len(ORDINARY), abs=0.006)
    replaced = inputs[(inputs != VOCABULARY.mask) & (inputs != batch.labels)]
    counts = np.bincount(replaced, minlength=40)
    np.testing.assert_array_equal(np.flatnonzero(counts), ORDINARY)
    assert counts[ORDINARY].max() < 2 * counts[ORDINARY].min()


def test_every_column_is_chosen_as_often():
    tokens, segments = plain(20_000, 10)
    batch = mask_tokens(tokens, segments, Masking(VOCABULARY, 0.3), generator(1, Stream.TRAINING_MASKS, 0))
    share = np.bincount(batch.targets.ravel(), minlength=10) / 20_000
    np.testing.assert_allclose(share, 0.3, atol=0.013)  # four standard deviations


def test_the_budget_is_what_a_full_row_needs():
    for rate in (0.001, 0.15, 0.3, 0.5, 0.999):
        masking = Masking(VOCABULARY, rate)
        assert mask_tokens(*plain(2, 126), masking, np.random.default_rng(0)).weights.all()
        assert masking.budget(126) == max(1, round(126 * rate))


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_rate_out_of_range(rate):
    with pytest.raises(InputError) as caught:
        Masking(VOCABULARY, rate)
    assert str(caught.value) == f"the mask rate must be above 0 and below 1, got {rate}"


def test_a_batch_crosses_jit():
    batch = mask_tokens(*plain(2, 20), Masking(VOCABULARY, 0.3), np.random.default_rng(0))
    returned = jax.jit(lambda given: jax.tree.map(jnp.negative, given))(jax.device_put(batch))
    assert isinstance(returned, Batch)
    np.testing.assert_array_equal(returned.tokens, -batch.tokens)
