"""Held-out means, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_encoder.data.masking import Batch
from jax_encoder.training.evaluation import Evaluation, evaluate
from jax_encoder.training.objective import LossSums
from jax_encoder.training.step import Program

# Summed loss, hits and targets of batches; a batch holds its number.
SUMS = np.array([[60.0, 30.0, 30.0], [40.0, 0.0, 10.0], [0.0, 0.0, 0.0], [1e16, 0.0, 1.0], [-1e16, 0.0, 1.0]])
MANY, FEW, EMPTY, LARGE, NEGATIVE = (
    Batch(*(np.full((1, 1), number, np.int32) for _ in range(5)), np.ones((1, 1), np.float32))
    for number in range(len(SUMS))
)
PROGRAM = Program(
    init=jax.jit(lambda: 0),
    step=jax.jit(lambda: 0),
    evaluate=jax.jit(lambda params, batch: LossSums(*jnp.asarray(SUMS)[batch.tokens[0, 0]])),
)


def test_every_target_weighs_the_same_whatever_its_batch():
    assert evaluate(PROGRAM, {}, [MANY, FEW]) == Evaluation(loss=2.5, accuracy=0.75, targets=40)
    assert evaluate(PROGRAM, {}, [FEW]) == Evaluation(4.0, 0.0, 10)


def test_an_empty_batch_changes_nothing():
    assert evaluate(PROGRAM, {}, [MANY, EMPTY]) == evaluate(PROGRAM, {}, [MANY])


def test_sums_are_added_up_exactly():
    assert evaluate(PROGRAM, {}, [LARGE, FEW, NEGATIVE]).loss == pytest.approx(40 / 12)
