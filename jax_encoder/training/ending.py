"""Ctrl-C, SIGTERM and SIGHUP while a command does what cannot hear them: compiling, reading text, waiting for a device.

Python runs its handlers between two of its own instructions, so a signal that comes in the middle of a compiler's work
is heard a minute later. The number of every signal is written to a socket at once, however, and a thread reads it.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator

# Whoever sends SIGTERM kills half a minute later, as a rule.
GRACE = 25.0
NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def name_of(number: int) -> str:
    """What people call a signal."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def status_of(number: int) -> int:
    """The exit status of a process that a signal ended, as shells have it."""
    return 128 + number


class Ending:
    """Ends the process when a signal comes, where nothing is lost by it. Entered in the main thread of a command;
    elsewhere, and before, it does nothing.

    Args:
        grace: seconds that SIGTERM and SIGHUP leave to what does lose something, a step that is under way.

    Attributes:
        entered: whether it hears signals.
    """

    def __init__(self, grace: float = GRACE):
        self._grace = grace
        self._told: str | None = None
        self._late = ""
        self._saving = threading.Event()
        self._heard: list[int] = []
        self.entered = False
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> "Ending":
        if threading.current_thread() is not threading.main_thread():
            return self
        self.entered = True
        ours, written = socket.socketpair()
        written.setblocking(False)
        before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        listening = threading.Thread(target=self._listen, args=(ours,), daemon=True, name="signals")
        listening.start()
        for last in (ours.close, listening.join, written.close):
            self._restore.callback(last)
        self._restore.callback(signal.set_wakeup_fd, before)
        for number in NUMBERS:
            # The number is written only where Python has a handler; the thread does what is to be done.
            self._restore.callback(signal.signal, number, signal.signal(number, lambda *_: None))
        return self

    def __exit__(self, *_: object) -> None:
        self._late = ""
        self._restore.close()

    @contextlib.contextmanager
    def at_once(self, told: str) -> Iterator[None]:
        """While entered, a signal ends the process at once.

        Args:
            told: what follows "stopped by SIGTERM" on the screen: what is lost, and how to go on.
        """
        before, self._told = self._told, told
        try:
            if self._heard:
                self._end(self._heard[0], told)
            yield
        finally:
            self._told = before

    @contextlib.contextmanager
    def unwinding(self, told: str) -> Iterator[None]:
        """While entered, a signal raises SystemExit, so that what was begun is cleaned up. `told` as in `at_once`."""

        def leave(number: int, _: object) -> None:
            _say(number, told)
            raise SystemExit(status_of(number))

        before = {number: signal.signal(number, leave) for number in NUMBERS} if self.entered else {}
        self._late = ""
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def in_steps(self, late: str) -> None:
        """From now on a signal is heard between steps; `late` follows "stopped by SIGTERM" if a step takes too long, or
        if a second Ctrl-C comes."""
        self._late = late

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """While entered, a checkpoint is being saved, which is worth waiting for."""
        self._saving.set()
        try:
            yield
        finally:
            self._saving.clear()

    def _listen(self, ours: socket.socket) -> None:
        while number := ours.recv(1):
            self._hear(number[0])

    def _hear(self, number: int) -> None:
        if number not in NUMBERS:
            return
        self._heard.append(number)
        if self._told is not None:
            self._end(number, self._told)
        if number == signal.SIGINT and self._heard.count(number) > 1 and self._late:
            self._end(number, self._late)
        if number != signal.SIGINT:
            late = threading.Timer(self._grace, self._too_late, (number,))
            late.daemon = True
            late.start()

    def _too_late(self, number: int) -> None:
        if self._late and not self._saving.is_set():
            self._end(number, self._late)

    def _end(self, number: int, told: str) -> None:
        _say(number, told)
        for child in multiprocessing.active_children():
            child.terminate()
        os._exit(status_of(number))


def _say(number: int, told: str) -> None:
    """Says so on the screen, whatever a progress bar has made of it."""
    if sys.stdout.isatty():
        print("\x1b[?25h")
    print(f"stopped by {name_of(number)} {told}", flush=True)
    sys.stderr.flush()
