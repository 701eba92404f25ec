"""Several processes for one list of tasks, which end when their parent does, however that ends."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any, TypeVar

from jax_encoder.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")

_POLL = 0.5  # seconds between two looks at how far the tasks are
_counter: "Synchronized[int] | None" = None


def advance(count: int) -> None:
    """Says, within a task, that so much more is done."""
    if _counter is not None:
        with _counter.get_lock():
            _counter.value += count


def each(
    work: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int, progress: Callable[[int], None]
) -> Iterator[Result]:
    """Yields results as they come, in any order.

    Args:
        work: a function that other processes can import.
        tasks: what to call it with.
        workers: processes; 1 is this one.
        progress: told all that `advance` was told so far.

    Raises:
        InputError: a process was killed.
    """
    global _counter
    counter = multiprocessing.get_context("spawn").Value("q", 0)
    if workers == 1 or len(tasks) < 2:
        _counter = counter
        try:
            for task in tasks:
                yield work(task)
                progress(counter.value)
        finally:
            _counter = None
        return
    context: Any = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, _begin, (counter,))
    try:
        waiting = {pool.submit(work, task) for task in tasks}
        while waiting:
            done, waiting = wait(waiting, _POLL, FIRST_COMPLETED)
            progress(counter.value)
            yield from (future.result() for future in done)
    except BrokenProcessPool:
        raise InputError(
            "a process was killed, which the system does when memory is short: give the same command again, it goes on "
            "where this one stopped; fewer --workers need less memory"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(counter: "Synchronized[int]") -> None:
    global _counter
    _counter = counter
    # Threads of the tokenizer beside as many processes would only wait for one another.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; the parent ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
