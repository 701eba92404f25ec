"""Whether a kernel computes here what the reference does, tried on the device before any layer gets it.

A kernel is proved by its meaning, in Pallas' interpreter. What a compiler and a driver make of it on one machine is
seen on that machine only.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jax_encoder.kernels import einsum
from jax_encoder.kernels.sight import Attend, Sight

# Two documents and padding, over three blocks of the kernels that have blocks.
_LENGTHS = (200, 120)
_COLUMNS = 384


@cache
def trial(made: Callable[[bool], Attend], dtype: str, head_dim: int, window: int | None) -> str:
    """Why an implementation cannot be trusted on this device; empty if it can. Forward and all three gradients.

    Args:
        made: gives the implementation, as `table.Implementation` has it.
        dtype: of query, key and value.
        head_dim: H.
        window: as the implementation is told.
    """
    # A thread of its own: the caller may be tracing a program, of which this must be no part.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_tried, made(False), dtype, head_dim, window).result()


def _tried(attend: Attend, dtype: str, head_dim: int, window: int | None) -> str:
    heads = [jax.random.normal(jax.random.key(index), (1, 2, _COLUMNS, head_dim), jnp.float32) for index in range(4)]
    *given, cotangent = (x.astype(dtype) for x in heads)
    numbers = np.repeat((1, 2, 0), (*_LENGTHS, _COLUMNS - sum(_LENGTHS)))
    sight = Sight(jnp.asarray(numbers[None], jnp.int32), window)
    real = jnp.asarray(numbers != 0)[None, None, :, None]

    def computed(attend: Attend) -> Callable[..., list[Array]]:
        def attended(query: Array, key: Array, value: Array) -> Array:
            return jnp.where(real, attend(query, key, value, sight, head_dim**-0.5), 0)

        def run(*given: Array) -> list[Array]:
            out, pull = jax.vjp(attended, *given)
            return [out, *pull(cotangent)]

        return jax.jit(run)

    with jax.default_matmul_precision("highest"):
        expected = computed(einsum.attend)(*given)
    try:
        found = jax.block_until_ready(computed(attend)(*given))
    except Exception as error:  # whatever a compiler or a driver raises, the reference is there
        return f"it fails on this device ({type(error).__name__}: {str(error).strip().splitlines()[0][:120]})"
    # A wrong function is off by its size, rounding by few of the dtype's last digits.
    allowed = max(4 * float(jnp.finfo(dtype).eps), 1e-5)
    names = ("output", "gradient of the query", "gradient of the key", "gradient of the value")
    for name, one, other in zip(names, found, expected, strict=True):
        ours, theirs = (np.asarray(x.astype(jnp.float32)) for x in (one, other))
        off = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
        if not off <= allowed:  # what is no number is no agreement
            return f"its {name} is off by {off:.0e} on this device"
    return ""
