"""Our training step, the one that `train.py pretrain` takes: donated, with the run's dropout and AdamW."""

import dataclasses
import itertools
import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.gpu import breakdown
from benchmarks.gpu.children import Record, serve
from benchmarks.gpu.machine import require_accelerator
from benchmarks.gpu.timing import budget, time_steps
from benchmarks.gpu.work import Shape, batches_of, encoder_of, rows_of, shape_of, work_of
from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.training.config import ModelOptions, OptimizerOptions, PretrainConfig
from jax_encoder.training.step import Program, build

_GIB = 2**30
_TRACED_STEPS = 3
# Of the device's memory: what to aim at, and what the plan of a compiled step may take.
_LIKELY, _MOST = 0.75, 0.95


class Compiled(NamedTuple):
    """A step for so many rows, and how long XLA took."""

    rows: int
    step: Any
    seconds: float


def measure(spec: Record) -> Iterator[Record]:
    """Times one shape, with as many rows as fit."""
    require_accelerator(jax.default_backend(), tiny=spec["tiny"])
    ends = time.monotonic() + spec["seconds"]
    shape = shape_of(spec["shape"], tiny=spec["tiny"], rows=spec["rows"])
    encoder = dataclasses.replace(encoder_of(shape, tiny=spec["tiny"]), **spec["encoder"])
    program, pool = build(options(shape, spec), encoder), rows_of(shape, encoder)
    rows = min(shape.rows, _likely_rows(encoder, pool))
    while True:
        try:
            yield from _timed(program, pool, _fitting(program, pool, rows), encoder, spec | {"ends": ends})
            return
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or rows == 1:
                raise
            rows //= 2


def options(shape: Shape, spec: Record) -> PretrainConfig:
    """The run that this step is of."""
    return PretrainConfig(
        steps=10_000,
        batch_size=shape.rows,
        model=ModelOptions(dtype="bfloat16", **spec["model"]),
        optimizer=OptimizerOptions(learning_rate=1e-4),
    )


def _timed(program: Program, pool: Batch, compiled: Compiled, encoder: EncoderConfig, spec: Record) -> Iterator[Record]:
    """Runs a compiled step over the rows, again and again."""
    state, loss = program.init(), float("nan")
    cycle = itertools.cycle([jax.device_put(batch) for batch in batches_of(pool, compiled.rows)])

    def run(steps: int) -> None:
        nonlocal state, loss
        for _ in range(steps):
            state, metrics = compiled.step(state, next(cycle))
        jax.block_until_ready(state)
        loss = float(metrics.loss)

    timing = time_steps(run, seconds=budget(spec["ends"], tiny=spec["tiny"]))
    if not np.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss} after the steps that were timed")
    memory = _memory()
    who = {key: spec[key] for key in ("shape", "side", "recipe")}
    yield {
        **who,
        "rows": compiled.rows,
        **timing.as_record(),
        **work_of(encoder, pool, compiled.rows)._asdict(),
        "compile_seconds": compiled.seconds,
        "peak_gib": memory["peak_bytes_in_use"] / _GIB if memory else None,
        "planned_gib": planned_bytes(compiled.step) / _GIB,
        "loss": loss,
    }
    if spec["trace"]:
        # A record of its own, so that a profiler that fails takes no figure along.
        with jax.profiler.trace(spec["trace"]):
            run(_TRACED_STEPS)
        yield who | {"breakdown": breakdown.of_folder(spec["trace"], steps=_TRACED_STEPS)}


def _likely_rows(encoder: EncoderConfig, pool: Batch) -> int:
    """Rows that probably fit, so that not much is compiled in vain; any number where the memory is not known."""
    memory = _memory()
    if not memory:
        return len(pool.tokens)
    T, K = pool.tokens.shape[1], pool.targets.shape[1]
    # Bytes that wait for the backward pass: weights in float32 and bfloat16, dropped and masked; some 17 values of a
    # token's width in bfloat16, and as much again beside them; logits three times in float32.
    layer = 9 * encoder.num_heads * T**2 + 50 * T * encoder.embed_dim
    row = encoder.num_layers * layer + 12 * K * encoder.vocab_size
    return max(8, int(_LIKELY * memory["bytes_limit"] / row) // 8 * 8)


def _fitting(program: Program, pool: Batch, rows: int) -> Compiled:
    """Compiles for `rows`, or for so many fewer that the memory that XLA plans is there."""
    while True:
        start = time.perf_counter()
        step = program.step.lower(jax.eval_shape(program.init), batches_of(pool, rows)[0]).compile()
        compiled = Compiled(rows, step, time.perf_counter() - start)
        limit = _MOST * _memory().get("bytes_limit", math.inf)
        planned = planned_bytes(step)
        if planned <= limit or rows == 1:
            return compiled
        # What a row takes is all but proportional; multiples of 8 suit the products.
        fewer = int(rows * limit / planned)
        rows = max(1, min(rows - 1, fewer // 8 * 8 or fewer))


def planned_bytes(step: Any) -> int:
    """Device memory that a compiled step needs: what it is given, what it returns anew, and all between."""
    plan = step.memory_analysis()
    held = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return int(held + plan.temp_size_in_bytes)


def _memory() -> dict[str, int]:
    """The device's own count of its bytes; empty for a CPU."""
    return jax.devices()[0].memory_stats() or {}


if __name__ == "__main__":
    serve(measure)
