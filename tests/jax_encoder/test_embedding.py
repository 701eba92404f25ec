"""A token whose word is dropped: what the others grow by, counted by hand."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jax_encoder import masks
from jax_encoder.config import EncoderConfig
from jax_encoder.embedding import Embedding

DROPPED = 5
CONFIG = dataclasses.replace(EncoderConfig.tiny(), dropped_token=DROPPED)


def kept(tokens, segments) -> tuple[np.ndarray, np.ndarray]:
    """The words of a row, and what is kept of them."""
    embedding = Embedding(CONFIG, rngs=nnx.Rngs(0), dtype=jnp.float32, param_dtype=jnp.float32)
    tokens_BT, segments_BT = (jnp.asarray([row], jnp.int32) for row in (tokens, segments))
    _, taps = embedding(tokens_BT, masks.from_segments(segments_BT), jnp.zeros_like(tokens_BT), None)
    return np.asarray(taps.word[0]), np.asarray(taps.kept[0])


def test_words_grow_by_the_share_of_their_own_document():
    word_TE, kept_TE = kept([7, DROPPED, 8, 9, 10, DROPPED, 11], [1, 1, 1, 1, 2, 2, 0])
    # 88 % were left in training; here three of four are, and one of two.
    growth_T = np.array([0.88 / 0.75, 0, 0.88 / 0.75, 0.88 / 0.75, 0.88 / 0.5, 0, 0])
    np.testing.assert_allclose(kept_TE, word_TE * growth_T[:, None], rtol=1e-6)
    assert np.abs(word_TE[:6]).min() > 0


def test_without_the_token_words_shrink_and_with_nothing_else_they_are_0():
    word_TE, kept_TE = kept([7, 8, DROPPED, DROPPED], [1, 1, 2, 2])
    np.testing.assert_allclose(kept_TE[:2], 0.88 * word_TE[:2], rtol=1e-6)
    assert (kept_TE[2:] == 0).all()
