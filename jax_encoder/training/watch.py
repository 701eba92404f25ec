"""What a person would notice who watched a run: a loss that leaps up, an input that does not come."""

import contextlib
import math
import statistics
import threading
from collections import deque
from collections.abc import Callable, Iterator

from jax_encoder.training.metrics import Record

# Of so many steps before, at least; a leap is so many standard deviations, and so large a part of their mean.
_WINDOW, _LEAST, _DEVIATIONS, _PART = 100, 20, 6.0, 0.05
# Seconds after which an input is said to be stalled, and again each time that it has taken twice as long.
_PATIENCE = 60.0


class Spikes:
    """Tells losses that are far above those of the steps before.

    Args:
        before: the training records of a run that goes on, oldest first.
    """

    def __init__(self, before: list[Record]):
        self._losses: deque[float] = deque(maxlen=_WINDOW)
        for record in before[-_WINDOW:]:
            self.add(record["step"], record["loss"])

    def add(self, step: int, loss: float | None) -> str | None:
        """Takes note of a step's loss, None if it was not finite; returns what to say of it, if it is a spike."""
        if loss is None or not math.isfinite(loss):
            return None
        said = None
        if len(self._losses) >= _LEAST:
            mean, deviation = statistics.fmean(self._losses), statistics.pstdev(self._losses)
            if loss > mean + max(_DEVIATIONS * deviation, _PART * mean):
                said = f"step {step}: loss {loss:.3f} is a spike; before it was {mean:.3f} ± {deviation:.3f}"
        self._losses.append(loss)
        return said


class Watchdog:
    """Says what a run waits for, if it waits for long. While entered, it listens in a thread of its own.

    Args:
        say: shows one line.
        patience: seconds until the first.
    """

    def __init__(self, say: Callable[[str], None], patience: float = _PATIENCE):
        self._say, self._patience = say, patience
        self._turn = threading.Condition()
        self._what: str | None = None
        self._number, self._over = 0, False
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._turn:
            self._over = True
            self._turn.notify()
        self._thread.join()

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """While entered, the run waits for something."""
        with self._turn:
            self._what, self._number = what, self._number + 1
            self._turn.notify()
        try:
            yield
        finally:
            with self._turn:
                self._what, self._number = None, self._number + 1
                self._turn.notify()

    def _watch(self) -> None:
        with self._turn:
            while not self._over:
                if self._what is None:
                    self._turn.wait()
                else:
                    self._wait(self._what, self._number)

    def _wait(self, what: str, number: int) -> None:
        """Until what is waited for has come, or all is over."""
        waited, patience = 0.0, self._patience
        while not self._turn.wait_for(lambda: self._over or self._number != number, patience):
            waited += patience
            patience = waited
            self._say(f"{what} has not come in {waited:.0f} s: the input is stalled")
