"""Tells a side that raises from a harness that does.

A binding runs whatever belongs to a side, its building as well, within `running`: what is raised there becomes a
`SideError`, which the report shows as the verdict ERROR. What is raised anywhere else is a mistake of the harness.
"""

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parity.errors import MismatchError, UsageError
from parity.judge.compare import Comparison
from parity.judge.verdict import Crash

# Code that is nobody's model: a frame of theirs says less than the nearest of another.
_LIBRARIES = sys.stdlib_module_names | {
    *("parity", "jax", "jaxlib", "flax", "optax", "torch", "numpy"),
    *("jaxtyping", "beartype"),
}


class SideError(Exception):
    """A side raised where it was built or run.

    Attributes:
        crash: what there is to say of it.
        compared: what had been compared before.
    """

    def __init__(self, crash: Crash):
        super().__init__(crash)
        self.crash = crash
        self.compared: tuple[Comparison, ...] = ()

    def __str__(self) -> str:
        return summary(self.crash)


@contextmanager
def running(side: str, reached: Callable[[], str] = lambda: "") -> Iterator[None]:
    """What is done within is the side's doing, and so is what it raises.

    Args:
        side: "JAX" or "torch".
        reached: finds the last value that the side comes to before it raises; asked only if it does.

    Raises:
        SideError: anything was raised but what already says whose it is.
    """
    try:
        yield
    except (MismatchError, UsageError, SideError):
        raise
    except Exception as error:
        crash = Crash(
            side,
            type(error).__name__,
            str(error),
            _where(error),
            _last(reached),
            "".join(traceback.format_exception(error)),
        )
        raise SideError(crash) from error


def summary(crash: Crash) -> str:
    """A crash in one line."""
    said = next((line.strip() for line in crash.message.splitlines() if line.strip()), "")
    return f"{crash.side} raised {crash.kind}{': ' if said else ''}{said}"


def _last(reached: Callable[[], str]) -> str:
    """What `reached` finds; it runs what has just raised, and may raise whatever that does."""
    try:
        return reached()
    except Exception:
        return ""


def _where(error: BaseException) -> str:
    """The innermost frame that is not a library's."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        name, file = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
        top = name.partition(".")[0]
        if top and top not in _LIBRARIES and not file.startswith("<"):
            parts = Path(file).parts
            start = len(parts) - 1 - parts[::-1].index(top) if top in parts else len(parts) - 1
            found = f"{'/'.join(parts[start:])}:{line}, in {frame.f_code.co_name}"
    return found
