"""Our training step, the one that `train.py pretrain` takes: donated, with the run's dropout and AdamW."""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.gpu import breakdown
from benchmarks.gpu.children import Record, serve
from benchmarks.gpu.machine import require_accelerator
from benchmarks.gpu.timing import time_steps
from benchmarks.gpu.work import Shape, batches_of, encoder_of, rows_of, shape_of, work_of
from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.training.config import ModelOptions, OptimizerOptions, PretrainConfig
from jax_encoder.training.step import Program, build

_GIB = 2**30
_TRACED_STEPS = 3


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
    rows = shape.rows
    while True:
        try:
            yield _timed(program, pool, _fitting(program, pool, rows), encoder, spec | {"ends": ends})
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


def _timed(program: Program, pool: Batch, compiled: Compiled, encoder: EncoderConfig, spec: Record) -> Record:
    """Runs a compiled step over the rows, again and again."""
    state, loss = program.init(), float("nan")
    cycle = itertools.cycle([jax.device_put(batch) for batch in batches_of(pool, compiled.rows)])

    def run(steps: int) -> None:
        nonlocal state, loss
        for _ in range(steps):
            state, metrics = compiled.step(state, next(cycle))
        jax.block_until_ready(state)
        loss = float(metrics.loss)

    timing = time_steps(run, seconds=min(spec["ends"] - time.monotonic() - 5, 12))
    if not np.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss} after the steps that were timed")
    traced = _trace(run, spec["trace"]) if spec["trace"] else {}
    work, memory = work_of(encoder, pool, compiled.rows), jax.devices()[0].memory_stats() or {}
    return {
        **{key: spec[key] for key in ("shape", "side", "recipe")},
        "rows": compiled.rows,
        **timing.as_record(),
        "tokens": work.tokens,
        "flops": work.flops,
        "compile_seconds": compiled.seconds,
        "peak_gib": memory["peak_bytes_in_use"] / _GIB if "peak_bytes_in_use" in memory else None,
        "planned_gib": planned_bytes(compiled.step) / _GIB,
        "loss": loss,
        **traced,
    }


def _fitting(program: Program, pool: Batch, rows: int) -> Compiled:
    """Compiles for `rows`, or for so many fewer that the memory that XLA plans is there."""
    stats = jax.devices()[0].memory_stats() or {}
    while True:
        start = time.perf_counter()
        step = program.step.lower(jax.eval_shape(program.init), batches_of(pool, rows)[0]).compile()
        compiled = Compiled(rows, step, time.perf_counter() - start)
        planned, limit = planned_bytes(step), stats.get("bytes_limit")
        if limit is None or planned <= limit or rows == 1:
            return compiled
        # What a row takes is all but proportional; multiples of 8 suit the products.
        rows = max(1, min(rows - 1, int(rows * limit / planned)) // 8 * 8)


def planned_bytes(step: Any) -> int:
    """Device memory that a compiled step needs: what it is given, what it returns anew, and all between."""
    plan = step.memory_analysis()
    held = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return int(held + plan.temp_size_in_bytes)


def _trace(run: Any, folder: str) -> Record:
    """Writes a profile of a few steps, and sums its device time up by kind of operation."""
    with jax.profiler.trace(folder):
        run(_TRACED_STEPS)
    with contextlib.suppress(FileNotFoundError):
        return {"breakdown": breakdown.of_folder(folder, steps=_TRACED_STEPS)}
    return {}


if __name__ == "__main__":
    serve(measure)
