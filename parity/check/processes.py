"""Work shared out among a few processes: what every piece of it comes to, in the order asked for."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from parity.errors import UsageError
from parity.graph.processes import unheard

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def shared_out(
    work: Callable[[Piece], Result],
    pieces: Sequence[Piece],
    *,
    jobs: int,
    start: Callable[[], object] | None = None,
    done: Callable[[Piece], object] = lambda piece: None,
) -> list[Result]:
    """`[work(piece) for piece in pieces]`, side by side; Ctrl-C ends all of it at once.

    Args:
        work: a function of a module, or a partial of one, so that a process can be told of it.
        pieces: what takes longest stands first, so that no process is left with it in the end.
        jobs: how many processes; one is this one.
        start: called once in each other process, before its first piece.
        done: called after each piece, in the order in which they are done.

    Raises:
        UsageError: a process was ended from outside, as for want of memory.
    """
    workers = min(jobs, len(pieces))
    if workers < 2:
        return [_here(work, piece, done) for piece in pieces]
    # Not forked: JAX has threads by now, and a fork of theirs may never come back.
    context = multiprocessing.get_context("spawn")
    found: dict[int, Result] = {}
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(workers, context, initializer=start) as pool:
        try:
            with unheard():
                asked = {pool.submit(work, piece): index for index, piece in enumerate(pieces)}
            for one in as_completed(asked):
                found[asked[one]] = one.result()
                done(pieces[asked[one]])
        except BrokenProcessPool as error:
            raise UsageError(
                f"one of {workers} processes was ended from outside, perhaps for want of memory: try --jobs 1"
            ) from error
        except BaseException:
            for child in multiprocessing.active_children():
                if child not in others:
                    child.terminate()
            pool.shutdown(cancel_futures=True)
            raise
    return [found[index] for index in range(len(pieces))]


def _here(work: Callable[[Piece], Result], piece: Piece, done: Callable[[Piece], object]) -> Result:
    found = work(piece)
    done(piece)
    return found
