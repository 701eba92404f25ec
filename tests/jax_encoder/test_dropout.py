import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_encoder import dropout
from jax_encoder.config import EncoderConfig

CONFIG = dataclasses.replace(EncoderConfig.tiny(), embedding_dropout=0.3, attention_dropout=0.1, residual_dropout=0.2)
KEY = jax.random.key(7, impl="rbg")
SHAPE_BT = (5, 11)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_is_met(rate):
    draws = 400_000
    kept = np.asarray(dropout.keep(KEY, rate, (draws,)))
    assert abs(kept.mean() - (1 - rate)) < 5 * (rate * (1 - rate) / draws) ** 0.5


def test_kept_values_are_scaled_so_that_the_mean_stays():
    x = jnp.full((4,), 3.0)
    applied = dropout.apply(x, jnp.asarray([True, False, True, True]), 0.25)
    np.testing.assert_allclose(applied, [4.0, 0.0, 4.0, 4.0], rtol=1e-15)


def test_rate_zero_and_no_key_draw_nothing():
    assert dropout.keep(KEY, 0.0, (3,)) is None
    assert dropout.layer_keeps(None, 0, CONFIG, SHAPE_BT) == dropout.NO_DROPOUT
    assert dropout.embedding_keep(None, CONFIG, SHAPE_BT) is None


def test_no_two_sites_layers_or_steps_share_a_mask():
    drawn = []
    for step in range(2):
        key = jax.random.fold_in(KEY, step)
        drawn.append(dropout.embedding_keep(key, dataclasses.replace(CONFIG, embedding_dropout=0.2), SHAPE_BT))
        for layer in range(CONFIG.num_layers):
            drawn += dropout.layer_keeps(key, layer, CONFIG, SHAPE_BT)[1:]
    bits = {np.asarray(kept).tobytes() for kept in drawn}
    assert len(bits) == len(drawn) == 2 * (1 + 2 * CONFIG.num_layers)


def test_a_traced_layer_number_draws_the_same_masks():
    eager = dropout.layer_keeps(KEY, 1, CONFIG, SHAPE_BT)
    traced = jax.jit(lambda layer: dropout.layer_keeps(KEY, layer, CONFIG, SHAPE_BT))(1)
    for one, other in zip(eager, traced, strict=True):
        np.testing.assert_array_equal(one, other)
    assert eager.weights.shape == (5, CONFIG.num_heads, 11, 11)
