"""Work in a process that has so many devices: the CPU, simulated several times. Imports no framework.

How many there are is settled before JAX starts, and this process may have started it long ago.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from parity.errors import UsageError
from parity.graph.processes import unheard

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_FLAG = "--xla_force_host_platform_device_count"


def simulated(
    work: Callable[[Piece], Result],
    pieces: Sequence[Piece],
    *,
    devices: int,
    progress: Callable[[Piece], object] = lambda piece: None,
) -> list[Result]:
    """`[work(piece) for piece in pieces]`, one after the other, in one other process.

    Args:
        work: a function of a module, so that a process can be told of it.
        pieces: what it is called with.
        devices: how many CPU devices JAX sees there.
        progress: called before each piece.

    Raises:
        UsageError: the process was ended from outside, as for want of memory.
    """
    context = multiprocessing.get_context("spawn")  # a fork would have JAX as it is here
    with ProcessPoolExecutor(1, context, initializer=begin, initargs=(devices,)) as pool:
        found = []
        try:
            for piece in pieces:
                progress(piece)
                with unheard():
                    asked = pool.submit(work, piece)
                found.append(asked.result())
        except BrokenProcessPool as error:
            raise UsageError(
                f"the process with {devices} devices was ended from outside, perhaps for want of memory"
            ) from error
        except BaseException:
            for child in multiprocessing.active_children():
                child.terminate()
            pool.shutdown(cancel_futures=True)
            raise
    return found


def begin(devices: int) -> None:
    """Has JAX see so many CPU devices and nothing else, once it starts."""
    others = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if not flag.startswith(_FLAG)]
    os.environ["XLA_FLAGS"] = " ".join([*others, f"{_FLAG}={devices}"])
    os.environ["JAX_PLATFORMS"] = "cpu"
