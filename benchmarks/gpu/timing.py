"""How a step is timed, the same for every side."""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

_SECONDS_A_REPEAT = 0.7  # long enough that waiting for the device once does not show
_REPEATS = 7
_AT_MOST, _TINY_AT_MOST = 12.0, 0.5  # seconds that timing one thing may take


class Timing(NamedTuple):
    """Milliseconds a step: the median over repeats, and the extremes.

    Attributes:
        ms, fastest_ms, slowest_ms: of one step.
        repeats: how many were timed, each of `steps` steps.
    """

    ms: float
    fastest_ms: float
    slowest_ms: float
    repeats: int
    steps: int

    def as_record(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict()


def time_steps(run: Callable[[int], None], *, seconds: float, warm_up: int = 3) -> Timing:
    """Times steps after a warm-up.

    Args:
        run: takes so many steps, and returns when the device has done them.
        seconds: all that this may take; there are two repeats of one step at least.
        warm_up: steps that do not count; all compiling must happen in them.
    """
    run(warm_up)
    one = _seconds(run, 2) / 2
    steps = max(1, min(200, round(min(_SECONDS_A_REPEAT, seconds / _REPEATS) / one)))
    repeats = max(2, min(_REPEATS, int(seconds / (steps * one))))
    each = sorted(1e3 * _seconds(run, steps) / steps for _ in range(repeats))
    return Timing(statistics.median(each), each[0], each[-1], repeats, steps)


def _seconds(run: Callable[[int], None], steps: int) -> float:
    start = time.perf_counter()
    run(steps)
    return time.perf_counter() - start


def budget(ends: float, *, tiny: bool) -> float:
    """Seconds for `time_steps`, so that all is done a little before the clock says `ends`."""
    return min(ends - time.monotonic() - 5, _TINY_AT_MOST if tiny else _AT_MOST)
