"""Ctrl-C and SIGTERM, heard between steps."""

import signal
from types import FrameType


class Interrupt:
    """While entered, the first signal is only noted; a second Ctrl-C stops at once, as it does elsewhere.

    Attributes:
        name: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        signal.signal(signal.SIGINT, signal.default_int_handler)
