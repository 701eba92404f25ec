"""Kernels of JAX's own, called under the settings that they are written for, in both passes."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array


def called(run: Callable[..., Array], dtype: DTypeLike) -> Callable[..., Array]:
    """A function whose forward and backward pass are both traced under the kernels' settings, whatever the process has.

    Args:
        run: calls a kernel.
        dtype: of what it computes.
    """

    @jax.custom_vjp
    def call(*given: Array) -> Array:
        with _settings(dtype):
            return run(*given)

    def forward(*given: Array) -> tuple[Array, Any]:
        with _settings(dtype):
            return jax.vjp(run, *given)

    def backward(pull: Any, cotangent: Array) -> Any:
        with _settings(dtype):
            return pull(cotangent)

    call.defvjp(forward, backward)
    return call


@contextlib.contextmanager
def _settings(dtype: DTypeLike) -> Iterator[None]:
    """32 bits, numpy's promotions, and products as exact as the dtype: the kernels do not know "high"."""
    precision = "highest" if jnp.dtype(dtype) == jnp.float32 else "default"
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.default_matmul_precision(precision),
    ):
        yield
