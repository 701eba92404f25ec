"""All sides are given the same work."""

import numpy as np
import pytest

from benchmarks.train.tasks import TASKS, given


@pytest.mark.parametrize("name", ["minilm_l6", "mini"])
def test_the_true_sizes_are_those_that_are_said(name):
    work, shape = given(name, tiny=False), TASKS[name].shape
    assert {batch.tokens.shape for batch in work.batches} == {(shape.rows, shape.row_length)}
    assert work.work.tokens == shape.rows * shape.row_length
    assert all((batch.segments == 1).all() for batch in work.batches)
    share = np.mean([batch.weights.sum() for batch in work.batches]) / work.work.tokens
    assert share == pytest.approx(shape.mask_rate, rel=0.03)


def test_a_step_of_minilm_has_the_operations_of_its_formula():
    # 164 GFLOP a step, of which the head has 3 x 2 x 304 x 384 x (384 + 30,522).
    work = given("minilm_l6", tiny=False).work
    layer = 2 * 2048 * (4 * 384 * 384 + 2 * 384 * 1536) + 4 * 384 * 16 * 128**2
    assert work.flops == pytest.approx(3 * (6 * layer + 2 * 304 * 384 * (384 + 30_522)), rel=1e-12)


def test_packed_and_padded_text_have_the_same_tokens_a_step():
    packed, longest, full = (given("text", tiny=False, padded=padded) for padded in (None, "longest", "full"))
    assert {batch.tokens.shape for batch in packed.batches} == {(16, 128)}
    assert len({batch.tokens.shape for batch in full.batches}) == 1
    assert full.batches[0].tokens.shape[1] == 128
    fill = packed.work.tokens / (16 * 128)
    assert fill > 0.98
    for padded in (longest, full):
        # What is longer than a row is cut off here and goes on in another row there.
        assert padded.work.tokens == pytest.approx(packed.work.tokens, rel=0.2)
        assert all(batch.segments.max() == 1 for batch in padded.batches)
    assert longest.work == full.work
