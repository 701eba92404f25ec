"""Memory that a process uses again and again on a CPU stays its own.

A program of XLA takes one block for all that it computes on the way and gives it back when it ends. From glibc such a
block comes as fresh pages, which the kernel clears as they are touched: of a training step with 900 MB of them that was
0.4 s of 2.1 s of processor time.
"""

import ctypes
import os
import sys
from collections.abc import Callable

import jax

# glibc's malloc.h: how many blocks may be mapped for themselves, and how much may lie free at the end of the heap.
_MMAP_MAX, _TRIM_THRESHOLD = -4, -1
_ALL = 2**31 - 1
_ASYNCHRONOUS = "jax_cpu_enable_async_dispatch"


def keep_memory() -> None:
    """Has the C library keep what is freed, for the whole process and for good; to be called before JAX's first array.

    Elsewhere than on Linux with glibc nothing changes, nor where the user has said how JAX is to start programs on a
    CPU. The heap that grows is the main thread's: the others' are limited to 64 MB, and what is larger is mapped for
    itself all the same. So programs run in the thread that calls them, which waits for them anyhow.
    """
    mallopt = _mallopt()
    if mallopt is None or _ASYNCHRONOUS.upper() in os.environ:
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _ALL)
    jax.config.update(_ASYNCHRONOUS, False)


def _mallopt() -> Callable[[int, int], int] | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    # musl has neither.
    return library.mallopt if hasattr(library, "gnu_get_libc_version") else None
