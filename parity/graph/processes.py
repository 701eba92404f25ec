"""What every process that a check starts has in common."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """A process that is started meanwhile never hears Ctrl-C, which is for the one that starts it; that one, later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
