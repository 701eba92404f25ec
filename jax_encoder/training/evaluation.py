"""How good parameters are on batches that are not trained on."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import jax

from jax_encoder.data.masking import Batch
from jax_encoder.params import Params
from jax_encoder.training.step import Program


class Evaluation(NamedTuple):
    """Means over all targets of all batches, and how many those are."""

    loss: float
    accuracy: float
    targets: int


def evaluate(program: Program, params: Params, batches: Iterable[Batch]) -> Evaluation:
    """Evaluates without dropout; sums are added up and divided once, as batches have unequally many targets."""
    # Waits for each: what has been handed to the device could not be given up.
    sums = [jax.device_get(program.evaluate(params, program.placed_whole(batch))) for batch in batches]
    loss, correct, targets = (math.fsum(map(float, column)) for column in zip(*sums, strict=True))
    return Evaluation(loss / targets, correct / targets, int(targets))
