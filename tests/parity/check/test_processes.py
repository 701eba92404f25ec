"""Work shared out among processes: in order, the same for any number of them, and over at once when it is stopped."""

import functools
import multiprocessing
import signal
import time

import pytest

from parity.check.processes import shared_out
from parity.errors import UsageError

PIECES = [3, 1, 2]


def tenfold(piece: int) -> int:
    time.sleep(0.01 * piece)
    return 10 * piece


def blocked(_: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def refused(piece: int) -> int:
    raise UsageError(f"not {piece}")


def for_ever_but(end: float, piece: int) -> int:
    while piece == 2 and time.monotonic() < end:
        time.sleep(0.01)
    return piece


@pytest.mark.parametrize("jobs", [1, 2])
def test_in_the_order_asked_for(jobs):
    told = []
    assert shared_out(tenfold, PIECES, jobs=jobs, done=told.append) == [30, 10, 20]
    assert sorted(told) == sorted(PIECES)
    assert shared_out(tenfold, [], jobs=jobs) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_raised_is_raised_here(jobs):
    with pytest.raises(UsageError, match="not "):
        shared_out(refused, PIECES, jobs=jobs)
    assert not multiprocessing.active_children()


def test_only_this_process_hears_of_an_interrupt():
    assert shared_out(blocked, PIECES, jobs=2) == [True] * 3
    assert not blocked(0)


@pytest.fixture
def interruptible():
    """Python's own answer to Ctrl-C, which a shell has ignored by what it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_what_is_going_on():
    def interrupt(_: int) -> None:
        signal.raise_signal(signal.SIGINT)

    end = time.monotonic() + 60
    with pytest.raises(KeyboardInterrupt):
        shared_out(functools.partial(for_ever_but, end), [2, 1], jobs=2, done=interrupt)
    assert time.monotonic() < end - 30
    assert not multiprocessing.active_children()
