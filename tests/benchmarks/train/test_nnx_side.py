"""The encoder of stock parts trains."""

import jax
import pytest

from benchmarks.train import nnx_side
from benchmarks.train.stepping import prepared
from benchmarks.train.tasks import given


@pytest.mark.slow
def test_it_computes_in_float32_and_learns(monkeypatch):
    monkeypatch.setattr("benchmarks.train.stepping._SECONDS", 0.01)
    work = given("minilm_l6", tiny=True)
    # As a process of its own has it, and Flax's parts want it.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        stepper = nnx_side.make(work, {})
        first = stepper.step(stepper.batches[0])
        found, measure = prepared(lambda *_: stepper, {"task": "minilm_l6", "tiny": True})
        assert measure()["seconds"] > 0
    assert first.dtype == "float32"
    assert found["loss"] < float(first)
