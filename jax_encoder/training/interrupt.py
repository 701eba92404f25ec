"""Ctrl-C and SIGTERM, heard between steps."""

import signal
from types import FrameType


class Interrupt:
    """While entered, the first signal is only noted; a second Ctrl-C stops at once, as it does elsewhere.

    Attributes:
        name: the first signal that came, or None.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._at_once = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def check(self) -> None:
        """Stops what a second Ctrl-C should have stopped.

        Python drops what is raised inside of a callback of its garbage collector, of which JAX has one, or a finalizer.

        Raises:
            KeyboardInterrupt: a second Ctrl-C has come.
        """
        if self._at_once:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.name is not None and number == signal.SIGINT:
            self._at_once = True
            raise KeyboardInterrupt
        if self.name is None:
            self.name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
