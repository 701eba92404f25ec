"""Published checkpoints in and out, without torch or transformers: one table per family in `families/`."""

from jax_encoder.huggingface.checkpoint import Checkpoint, family_for, load, save
from jax_encoder.huggingface.families import FAMILIES

__all__ = ["FAMILIES", "Checkpoint", "family_for", "load", "save"]
