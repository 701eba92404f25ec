"""The rate of matrix products on this machine's CPU: no step can be faster than its operations over that rate."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.comparison import Side
from benchmarks.workers import Record, serve, timed

# Rows, inner and outer width: those of the MLP of minilm_l6 for 16 rows of 128 tokens, and a square one.
_SIZES = ((2048, 384, 1536), (2048, 1536, 384), (2048, 2048, 2048))
_TINY = ((64, 64, 64),)
_SECONDS, _REPEATS = 0.3, 3


def rates(dtypes: Sequence[str], *, tiny: bool) -> list[Record]:
    """Of both frameworks, one after the other: the fastest of a few repeats, by dtype and size."""
    found = []
    for by in ("jax", "torch"):
        with Side(by, "benchmarks.products", {"by": by}).start({"dtypes": dtypes, "tiny": tiny}) as worker:
            found += worker.ready(seconds=120)["products"]
    return found


def limit(records: Sequence[Record], dtype: str) -> float:
    """FLOP/s of the fastest product in this dtype."""
    return max(record["flops_per_second"] for record in records if record["dtype"] == dtype)


def prepared(spec: Record) -> tuple[Record, Callable[[], Record]]:
    """All rates of one framework; there is nothing to measure in turn."""
    make = {"jax": _jax, "torch": _torch}[spec["by"]]
    sizes = _TINY if spec["tiny"] else _SIZES
    found = [_rate(make(size, dtype), size, spec["by"], dtype) for dtype in spec["dtypes"] for size in sizes]
    return {"products": found}, dict


def _rate(run: Callable[[int], None], size: tuple[int, int, int], by: str, dtype: str) -> Record:
    run(3)
    steps = max(1, round(_SECONDS / (timed(lambda: run(5))["seconds"] / 5)))
    seconds = min(timed(lambda: run(steps))["seconds"] / steps for _ in range(_REPEATS))
    rows, inner, outer = size
    return {"by": by, "dtype": dtype, "size": size, "flops_per_second": 2 * rows * inner * outer / seconds}


def _jax(size: tuple[int, int, int], dtype: str) -> Callable[[int], None]:
    import jax
    import jax.numpy as jnp

    rows, inner, outer = size
    one, other = jax.random.split(jax.random.key(0))
    a, b = jax.random.normal(one, (rows, inner), dtype), jax.random.normal(other, (inner, outer), dtype)
    # With bfloat16 out XLA takes twice as long as with float32 out.
    multiply: Any = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))

    def run(steps: int) -> None:
        for _ in range(steps):
            product = multiply(a, b)
        jax.block_until_ready(product)

    return run


def _torch(size: tuple[int, int, int], dtype: str) -> Callable[[int], None]:
    import torch

    rows, inner, outer = size
    a = torch.randn(rows, inner).to(getattr(torch, dtype))
    b = torch.randn(inner, outer).to(getattr(torch, dtype))

    def run(steps: int) -> None:
        for _ in range(steps):
            torch.matmul(a, b)

    return run


if __name__ == "__main__":
    serve(prepared)
