"""The rate of bfloat16 matrix products: what a training step cannot exceed on this card, at these clocks."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.gpu.children import Record, serve
from benchmarks.gpu.machine import require_accelerator
from benchmarks.gpu.timing import budget, time_steps

# Rows, inner and outer width: a square one, then those of the MLPs of BERT's two sizes for 128 rows of 512 tokens.
_SIZES = ((8192, 8192, 8192), (65_536, 768, 3072), (65_536, 1024, 4096))
_TINY = ((256, 256, 256),)
Run = Callable[[int], None]


def measure(spec: Record) -> Iterator[Record]:
    """One record a size, by the framework that is asked for."""
    ends = time.monotonic() + spec["seconds"]
    make = {"jax": _jax, "torch": _torch}[spec["by"]]
    sizes = _TINY if spec["tiny"] else _SIZES
    for size in sizes:
        rows, inner, outer = size
        seconds = budget(ends, tiny=spec["tiny"]) / len(sizes)
        timing = time_steps(make(size, spec["tiny"]), seconds=seconds)
        rate = 2 * rows * inner * outer / (1e-3 * timing.ms)
        yield {"by": spec["by"], "size": size, "flops_per_second": rate, **timing.as_record()}


def _jax(size: tuple[int, int, int], tiny: bool) -> Run:
    import jax
    import jax.numpy as jnp

    require_accelerator(jax.default_backend(), tiny=tiny)
    rows, inner, outer = size
    one, other = jax.random.split(jax.random.key(0))
    a = jax.random.normal(one, (rows, inner), jnp.bfloat16)
    b = jax.random.normal(other, (inner, outer), jnp.bfloat16)
    multiply: Any = jax.jit(lambda a, b: jnp.matmul(a, b))

    def run(steps: int) -> None:
        for _ in range(steps):
            product = multiply(a, b)
        jax.block_until_ready(product)

    return run


def _torch(size: tuple[int, int, int], tiny: bool) -> Run:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    require_accelerator(device, tiny=tiny)
    rows, inner, outer = size
    a = torch.randn(rows, inner, device=device, dtype=torch.bfloat16)
    b = torch.randn(inner, outer, device=device, dtype=torch.bfloat16)

    def run(steps: int) -> None:
        for _ in range(steps):
            torch.matmul(a, b)
        if device == "cuda":
            torch.cuda.synchronize()

    return run


if __name__ == "__main__":
    serve(measure)
