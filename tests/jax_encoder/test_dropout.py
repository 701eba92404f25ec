"""Masks of dropout: what they are for a key, and that nobody stores them. Their statistics have a file of their own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_encoder import dropout
from jax_encoder.config import EncoderConfig

CONFIG = dataclasses.replace(EncoderConfig.tiny(), embedding_dropout=0.3, attention_dropout=0.1, residual_dropout=0.2)
KEY = jax.random.key(7)
SHAPE = (5, 3, 11, 11)


def mixed(word: int) -> int:
    """lowbias32 as it is published, in whole numbers."""
    word = ((word ^ word >> 16) * 0x21F0AAAD) % 2**32
    word = ((word ^ word >> 15) * 0xD35A2D97) % 2**32
    return word ^ word >> 15


def hashed(key, shape) -> np.ndarray:
    """All words of a key, one after the other."""
    first, second = map(int, jax.random.bits(key, (2,), jnp.uint32))
    words = [mixed(mixed((number + first) % 2**32) ^ second) for number in range(int(np.prod(shape)))]
    return np.array(words, np.uint64).reshape(shape)


@pytest.mark.parametrize("shape", [(7,), (4, 5), SHAPE, (1, 3, 1, 5), ()])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_a_mask_is_a_function_of_key_and_number_that_anyone_can_compute(shape, rate):
    kept = dropout.keep(KEY, rate, shape)
    np.testing.assert_array_equal(kept, hashed(KEY, shape) >= round(rate * 2**32))
    np.testing.assert_array_equal(kept, jax.jit(dropout.keep, static_argnums=(1, 2))(KEY, rate, shape))


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_any_kind_of_key_will_do(impl):
    key = jax.random.key(3, impl=impl)
    np.testing.assert_array_equal(dropout.keep(key, 0.5, (9, 8)), hashed(key, (9, 8)) >= 2**31)


def test_rates_next_to_0_and_1():
    assert np.asarray(dropout.keep(KEY, 1e-12, (1000,))).all()
    assert not np.asarray(dropout.keep(KEY, 1 - 1e-12, (1000,))).any()


def test_kept_values_are_scaled_so_that_the_mean_stays():
    x = jnp.arange(1.0, 13.0).reshape(3, 4)
    kept = np.asarray(dropout.keep(KEY, 0.25, x.shape))
    assert 0 < kept.sum() < kept.size
    np.testing.assert_allclose(dropout.apply(x, dropout.Drop(KEY, 0.25)), np.where(kept, x / 0.75, 0), rtol=1e-6)


def test_the_derivative_drops_the_same():
    x, weights = jnp.linspace(1.0, 2.0, 60).reshape(5, 12), jnp.linspace(-1.0, 1.0, 60).reshape(5, 12)
    drop = dropout.Drop(KEY, 0.25)
    kept = np.asarray(dropout.keep(KEY, 0.25, x.shape))
    gradient = jax.grad(lambda x: (dropout.apply(x, drop) * weights).sum())
    np.testing.assert_allclose(gradient(x), np.where(kept, weights / 0.75, 0), rtol=1e-6)
    twice = jax.grad(lambda x: (gradient(x * x) * x).sum())
    np.testing.assert_allclose(twice(x), np.where(kept, weights / 0.75, 0), rtol=1e-6)


def test_nothing_but_the_key_is_stored_for_the_backward_pass():
    stored = jax.eval_shape(
        lambda x: jax.vjp(lambda x: dropout.apply(x, dropout.Drop(KEY, 0.5)), x)[1], jnp.ones(SHAPE)
    )
    assert [leaf.shape for leaf in jax.tree.leaves(stored)] == [()]


def test_rate_zero_and_no_key_drop_nothing():
    assert dropout.place(KEY, 0.0) is None
    assert dropout.layer_drops(None, 0, CONFIG) == dropout.NO_DROPOUT
    assert dropout.embedding_drop(None, CONFIG) is None
    x = jnp.ones((3,))
    assert dropout.apply(x, None) is x


def test_no_two_places_layers_or_steps_share_a_mask():
    drawn = []
    for step in range(2):
        key = jax.random.fold_in(KEY, step)
        drops = [dropout.embedding_drop(key, CONFIG)]
        for layer in range(CONFIG.num_layers):
            drops += dropout.layer_drops(key, layer, CONFIG)
        drawn += [dropout.keep(drop.key, 0.5, (64, 8)) for drop in drops]
    bits = {np.asarray(kept).tobytes() for kept in drawn}
    assert len(bits) == len(drawn) == 2 * (1 + 3 * CONFIG.num_layers)


def test_a_traced_layer_number_draws_the_same_masks():
    def masks(layer):
        return [dropout.keep(drop.key, drop.rate, SHAPE) for drop in dropout.layer_drops(KEY, layer, CONFIG)]

    for one, other in zip(masks(1), jax.jit(masks)(1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_that_32_bits_cannot_number_have_keys_of_their_own(monkeypatch):
    monkeypatch.setattr(dropout, "_NUMBERS", 60)
    words = np.asarray(dropout._bits(KEY, (2, 3, 5, 7)))
    rows = [hashed(jax.random.fold_in(KEY, row), (5, 7)) for row in range(6)]
    np.testing.assert_array_equal(words.reshape(6, 5, 7), rows)


def test_more_than_2_to_the_32_entries():
    """The first and the last rows of an array that no memory here could hold: XLA computes what is asked for."""
    shape = (3, 2**15, 2**16)

    def ends(key):
        words = dropout._bits(key, shape)
        return words[0, 0, :512], words[-1, -1, -512:], words[-1, 0, :512]

    compiled = jax.jit(ends).lower(KEY).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 2**20
    first, last, below = map(np.asarray, compiled(KEY))
    assert len({*first.tolist(), *last.tolist(), *below.tolist()}) > 3 * 512 - 2
    key = jax.random.fold_in(KEY, 2)
    start, end = (hashed_at(key, range(begin, begin + 512)) for begin in (0, 2**31 - 512))
    np.testing.assert_array_equal(below, start)
    np.testing.assert_array_equal(last, end)


def hashed_at(key, numbers) -> np.ndarray:
    first, second = map(int, jax.random.bits(key, (2,), jnp.uint32))
    return np.array([mixed(mixed((number + first) % 2**32) ^ second) for number in numbers], np.uint32)
