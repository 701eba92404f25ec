"""An encoder that is given documents computes what it computes from their mask, whatever its layers use."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jax_encoder import masks
from tests.jax_encoder.test_encoder import BERT, MODERN, build

T = 41
WINDOWED = dataclasses.replace(MODERN, num_key_value_heads=1, max_len=T)
ROTARY = dataclasses.replace(WINDOWED, windows=(None,) * 4)
# Rows that are full, ragged, holed and empty, and documents that are packed.
SEGMENTS = np.zeros((4, T), np.int32)
SEGMENTS[0] = np.repeat([1, 2, 3], [20, 3, 18])
SEGMENTS[1, :17] = 1
SEGMENTS[2, ::3] = 1


@pytest.fixture(scope="module")
def outputs():
    """Output and gradient of the parameters, by config and by what the mask is."""
    tokens_BT = jnp.asarray(np.random.default_rng(1).integers(0, BERT.vocab_size, SEGMENTS.shape), jnp.int32)

    @nnx.jit(static_argnums=1)
    def run(model, attention):
        def loss(model):
            segments_BT = jnp.asarray(SEGMENTS)
            mask = masks.Documents(segments_BT, attention) if attention else masks.from_segments(segments_BT)
            logits_BTV, taps = model(tokens_BT, mask, positions_BT=masks.positions_from_segments(segments_BT))
            return jnp.sin(logits_BTV).sum(), (logits_BTV, [layer.attention.context for layer in taps.encoder.layers])

        return nnx.value_and_grad(loss, has_aux=True)(model)

    def of(config, attention):
        return run(build(config), attention)

    return of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "attention"),
    [
        (WINDOWED, "windows"),
        (ROTARY, "rows"),
        pytest.param(dataclasses.replace(WINDOWED, scan_layers=False), "windows", marks=pytest.mark.slow),
    ],
    ids=["scanned windows", "rows", "unrolled windows"],
)
def test_documents_are_their_mask(outputs, config, attention):
    found, expected = (outputs(config, one) for one in (attention, None))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-11 * max(float(np.abs(other).max()), 1))
    for context_BTNH in found[0][1][1]:
        assert (np.asarray(context_BTNH)[SEGMENTS == 0] == 0).all()


def test_what_no_kernel_takes_has_every_tap():
    model, segments_BT = (
        build(dataclasses.replace(BERT, num_layers=1, layer_groups=(0,), windows=(None,))),
        SEGMENTS[:, :9],
    )
    tokens_BT = jnp.ones(segments_BT.shape, jnp.int32)
    _, taps = model(tokens_BT, masks.Documents(jnp.asarray(segments_BT)))
    assert taps.encoder.layers[0].attention.scores.shape == (4, 3, 9, 9)
