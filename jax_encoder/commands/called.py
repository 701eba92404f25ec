"""What the user typed to start this process, for hints that are to be typed again, and how it speaks to them."""

import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jax_encoder.errors import ReadingWarning


def called_as() -> str:
    """The command without its arguments: "python train.py", "jax-encoder" or "python -m jax_encoder"."""
    stem = Path(sys.argv[0]).stem
    if stem == "train":
        return f"python {shlex.quote(sys.argv[0])}"
    return stem if stem == "jax-encoder" else "python -m jax_encoder"


def pretrain_command() -> str:
    """What begins a run: a clone's script has another name for it than the installed command."""
    called = called_as()
    return f"{called} {'train' if called in ('jax-encoder', 'python -m jax_encoder') else 'pretrain'}"


@contextmanager
def notes_shown() -> Iterator[None]:
    """Prints what another library will read otherwise as lines on the error stream, and not as Python's warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ReadingWarning)
        yield
    for one in caught:
        if issubclass(one.category, ReadingWarning):
            print(f"{called_as()}: note: {one.message}", file=sys.stderr)
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
