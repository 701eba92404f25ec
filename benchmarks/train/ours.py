"""Our step, the one that `train.py pretrain` takes."""

from typing import Any

import jax

from benchmarks.train.stepping import Stepper, serve_steps
from benchmarks.train.tasks import BETAS, CLIP, DECAY, EPS, LEARNING_RATE, Given
from benchmarks.workers import Record
from jax_encoder.memory import keep_memory
from jax_encoder.training.config import ModelOptions, OptimizerOptions, PretrainConfig
from jax_encoder.training.step import build


def make(work: Given, spec: Record) -> Stepper:
    """Compiled and donated, as the run does it."""
    keep_memory()
    optimizer = OptimizerOptions(
        learning_rate=LEARNING_RATE, b1=BETAS[0], b2=BETAS[1], eps=EPS, weight_decay=DECAY, clip_norm=CLIP
    )
    options = PretrainConfig(
        steps=100_000, batch_size=work.shape.rows, model=ModelOptions(dtype=spec["dtype"]), optimizer=optimizer
    )
    program = build(options, work.encoder)
    batches = [jax.device_put(batch) for batch in work.batches]
    state = program.init()
    compiled = program.step.lower(state, batches[0]).compile()

    def step(batch: Any) -> Any:
        nonlocal state
        state, metrics = compiled(state, batch)
        return metrics

    def loss(metrics: Any) -> float:
        jax.block_until_ready(state)
        return float(metrics.loss)

    return Stepper(batches, step, loss)


if __name__ == "__main__":
    serve_steps(make)
