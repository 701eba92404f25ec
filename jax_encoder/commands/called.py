"""What the user typed to start this process, for hints that are to be typed again."""

import shlex
import sys
from pathlib import Path


def called_as() -> str:
    """The command without its arguments: "python train.py", "jax-encoder" or "python -m jax_encoder"."""
    stem = Path(sys.argv[0]).stem
    if stem == "train":
        return f"python {shlex.quote(sys.argv[0])}"
    return stem if stem == "jax-encoder" else "python -m jax_encoder"
