"""Published checkpoints, as the harness reads them."""

import warnings
from pathlib import Path

from jax_encoder.errors import ReadingWarning
from jax_encoder.huggingface.checkpoint import Checkpoint, load


def load_silently(name: str | Path) -> Checkpoint:
    """Reads a checkpoint. What transformers would read otherwise is not warned of: the report on its text shows it.

    Raises:
        InputError: as `load`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReadingWarning)
        return load(name)
