import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jax_encoder import masks

segment_rows = st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=4)


def packed(lengths: list[int], width: int) -> list[int]:
    """Segment ids of documents of these lengths laid end to end, then padding."""
    ids = [document for document, length in enumerate(lengths, start=1) for _ in range(length)]
    return (ids + [0] * width)[:width]


@given(segment_rows)
def test_segments_see_their_own_and_never_padding(rows):
    mask_BTS = np.asarray(masks.from_segments(jnp.asarray(rows, jnp.int32)))
    for b, row in enumerate(rows):
        for t, query in enumerate(row):
            for s, key in enumerate(row):
                assert mask_BTS[b, t, s] == (query == key and key != 0)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=4))
def test_lengths_are_valid_prefixes(lengths):
    from_lengths = masks.from_lengths(jnp.asarray(lengths, jnp.int32), 7)
    from_valid = masks.from_valid(jnp.asarray([[t < n for t in range(7)] for n in lengths]))
    np.testing.assert_array_equal(from_lengths, from_valid)
    np.testing.assert_array_equal(from_lengths.sum((1, 2)), np.square(lengths))


@given(st.lists(st.integers(1, 4), max_size=4))
@settings(max_examples=30)
def test_positions_restart_in_every_document(lengths):
    row = packed(lengths, 9)
    positions = np.asarray(masks.positions_from_segments(jnp.asarray([row], jnp.int32)))[0]
    seen = {}
    for t, document in enumerate(row):
        assert positions[t] == (seen.get(document, 0) if document else 0)
        seen[document] = seen.get(document, 0) + 1


@pytest.mark.parametrize("window", [1, 3])
def test_a_window_holds_w_keys_to_each_side(window):
    everything = jnp.ones((1, 9, 9), bool)
    narrow = np.asarray(masks.within_window(everything, window))[0]
    assert narrow[4].sum() == 2 * window + 1
    assert narrow[0].sum() == window + 1
    np.testing.assert_array_equal(narrow, narrow.T)
    np.testing.assert_array_equal(masks.within_window(everything, jnp.int32(window))[0], narrow)


def test_no_window_leaves_the_mask_as_it_is():
    mask_BTS = jnp.tril(jnp.ones((1, 5, 5), bool))
    assert masks.within_window(mask_BTS, None) is mask_BTS


def test_softmax_of_an_empty_row_is_zero_and_of_any_other_sums_to_one():
    mask_BTS = jnp.asarray([[[True, False], [False, False]]])
    scores_BNTS = jnp.asarray([[[[1e308, -1e308], [3.0, 4.0]]]])
    weights = masks.softmax(masks.fill(scores_BNTS, mask_BTS), mask_BTS)
    np.testing.assert_array_equal(weights, [[[[1.0, 0.0], [0.0, 0.0]]]])


def test_scores_below_the_fill_do_not_let_masked_keys_in():
    mask_BTS = jnp.asarray([[[True, False]]])
    lowest = jnp.full((1, 1, 1, 2), jnp.finfo(jnp.float32).min, jnp.float32)
    weights = masks.softmax(masks.fill(lowest, mask_BTS), mask_BTS)
    assert weights[0, 0, 0, 1] == 0


def test_softmax_has_the_derivative_of_its_definition_and_none_where_nothing_is_seen():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        scores, cotangent = (jnp.asarray(rng.standard_normal((1, 2, 3, 3))) for _ in range(2))
        mask = jnp.array([[[True, True, True], [True, False, True], [False, False, False]]])

        def defined(scores):
            exponentials = jnp.where(mask[:, None], jnp.exp(scores), 0)
            return exponentials / jnp.maximum(exponentials.sum(axis=-1, keepdims=True), 1e-30)

        def ours(scores):
            return masks.softmax(masks.fill(scores, mask), mask)

        found, expected = (jax.vjp(one, scores)[1](cotangent)[0] for one in (ours, defined))
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-16)
        assert jnp.abs(found[0, :, 2]).max() == 0
        assert jnp.abs(found[0, :, 1, 1]).max() == 0
