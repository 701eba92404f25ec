"""Ctrl-C, SIGTERM and SIGHUP, heard between steps."""

import signal
from types import FrameType

from jax_encoder.training.ending import NUMBERS, name_of


class Interrupt:
    """While entered, the first signal is only noted; a second Ctrl-C stops at once, as it does elsewhere.

    Args:
        raises: whether it does so by KeyboardInterrupt; False where an `Ending` ends the process.

    Attributes:
        number: the first signal that came, or None.
    """

    def __init__(self, *, raises: bool = True) -> None:
        self._raises = raises
        self.number: int | None = None
        self._at_once = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        self._before = {number: signal.signal(number, self._note) for number in NUMBERS}
        return self

    @property
    def name(self) -> str | None:
        """What people call the first signal that came, or None."""
        return None if self.number is None else name_of(self.number)

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
        if self.number is not None and number == signal.SIGINT and self._raises:
            self._at_once = True
            raise KeyboardInterrupt
        if self.number is None:
            self.number = number
