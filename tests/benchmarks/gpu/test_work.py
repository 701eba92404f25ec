"""What is counted: tokens, and operations, against what XLA counts in a compiled step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from benchmarks.gpu.work import (
    SHAPES,
    batches_of,
    document_lengths,
    encoder_of,
    rows_of,
    shape_of,
    step_flops,
    work_of,
)
from jax_encoder import masks
from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.model import MaskedLM
from jax_encoder.params import params_of
from jax_encoder.training.objective import loss_sums

T = 48
DENSE = dataclasses.replace(
    EncoderConfig.tiny(),
    vocab_size=1024,
    max_len=T,
    embed_dim=128,
    mlp_dim=512,
    scan_layers=False,
    num_heads=4,
    num_key_value_heads=4,
    head_dim=32,
    **dict.fromkeys(("embedding_dropout", "attention_dropout", "residual_dropout"), 0.0),
)
GATED = dataclasses.replace(DENSE, mlp_kind="gated", num_key_value_heads=2)


@pytest.mark.parametrize("encoder", [DENSE, GATED], ids=["dense", "gated, shared keys"])
def test_the_formula_counts_what_xla_counts(encoder):
    """XLA also counts what is no product: norms, softmax, activations. Here, with narrow layers, that is a tenth."""
    shape = dataclasses.replace(SHAPES["bert_base"], row_length=T, rows=2, mask_rate=0.5)
    batch = batches_of(rows_of(shape, encoder), 2)[0]
    graph = nnx.graphdef(nnx.eval_shape(lambda: MaskedLM(encoder, rngs=nnx.Rngs(0))))
    params = params_of(nnx.eval_shape(lambda: MaskedLM(encoder, rngs=nnx.Rngs(0))))
    gradient = jax.jit(jax.grad(lambda params, batch: loss_sums(graph, params, batch, None)[0]))
    counted = gradient.lower(params, batch).cost_analysis()["flops"]
    ours = step_flops(encoder, 2 * T, int(batch.weights.sum()), document_lengths(batch.segments))
    assert 0.87 < ours / counted < 1.0


def test_pairs_within_windows_are_those_of_the_mask():
    shape = shape_of("modernbert_base", tiny=True)
    encoder = encoder_of(shape, tiny=True)
    rows = rows_of(shape, encoder)
    mask_BTS = masks.from_segments(jnp.asarray(rows.segments))
    joined = [int(masks.within_window(mask_BTS, window).sum()) for window in encoder.windows]
    assert len(set(joined)) == 2
    lengths = document_lengths(rows.segments)
    assert lengths.max() > 2 * 8 + 1 > lengths.min()
    tokens, targets = int(lengths.sum()), int(rows.weights.sum())
    without = step_flops(encoder, tokens, targets, [])
    scores_and_context = 3 * 4 * encoder.num_heads * encoder.head_dim * sum(joined)
    assert step_flops(encoder, tokens, targets, lengths) == without + scores_and_context


@pytest.mark.parametrize("name", SHAPES)
def test_rows_are_the_same_every_time_and_hold_what_is_said(name):
    shape = shape_of(name, tiny=True)
    encoder = encoder_of(shape, tiny=True)
    rows = rows_of(shape, encoder)
    for one, other in zip(rows, rows_of(shape, encoder), strict=True):
        np.testing.assert_array_equal(one, other)
    assert rows.tokens.shape == (4 * shape.rows, shape.row_length)
    documents = rows.segments.max(axis=1)
    if shape.median_document is None:
        assert (documents == 1).all()
        assert (rows.segments == 1).all()
    else:
        assert documents.mean() > 2
        assert (rows.segments > 0).mean() > 0.9
    assert rows.weights.sum() / (rows.segments > 0).sum() == pytest.approx(shape.mask_rate, rel=0.15)


def test_every_row_is_in_one_batch():
    shape = shape_of("bert_base", tiny=True)
    rows = rows_of(shape, encoder_of(shape, tiny=True))
    batches = batches_of(rows, 5)
    assert [len(batch.tokens) for batch in batches] == [5] * 6  # 32 rows, of which 2 are left out
    np.testing.assert_array_equal(np.concatenate([batch.tokens for batch in batches]), rows.tokens[:30])
    with pytest.raises(ValueError, match="a batch of 33 rows is more than there are, 32"):
        batches_of(rows, 33)


def test_work_is_proportional_to_the_rows():
    shape = shape_of("modernbert_base", tiny=True)
    encoder = encoder_of(shape, tiny=True)
    rows = rows_of(shape, encoder)
    whole, half = (work_of(encoder, rows, count) for count in (8, 4))
    assert whole.tokens == 2 * half.tokens
    assert whole.flops == pytest.approx(2 * half.flops)
    assert 4 * whole.tokens == (rows.segments > 0).sum()


def test_a_model_of_known_size_needs_six_operations_a_weight_and_token():
    """Kaplan et al. (2020): BERT-large's 302 million weights in products, and attention's share on top."""
    encoder = EncoderConfig.bert_large()
    weights = 24 * (4 * 1024 * 1024 + 2 * 1024 * 4096)
    assert step_flops(encoder, 512, 0, []) == 6 * weights * 512
    assert step_flops(encoder, 512, 0, [512]) == 6 * weights * 512 + 24 * 12 * 1024 * 512**2


def test_an_unknown_shape_is_refused():
    with pytest.raises(InputError, match=r"^--shapes bert_huge: must be of bert_base, bert_large, "):
        shape_of("bert_huge")
