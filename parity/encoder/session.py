"""What building and running both sides needs, set for a while and restored."""

import contextlib
from collections.abc import Iterator

import jax
import torch


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """float64 and full-precision products in JAX, one thread in torch."""
    with in_dtype("float64"), jax.default_matmul_precision("highest"):
        yield


@contextlib.contextmanager
def in_dtype(dtype: str) -> Iterator[None]:
    """float64 in JAX where it is asked for and nowhere else, one thread in torch; all other settings as they are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the variants are small: more threads cost more than they compute
    try:
        with jax.enable_x64(dtype == "float64"):
            yield
    finally:
        torch.set_num_threads(threads)
