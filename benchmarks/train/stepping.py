"""How a side's step is timed, the same for every side."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks.train.tasks import TASKS, Given, given
from benchmarks.workers import Record, serve, timed

# A measurement lasts about as long, so that waiting for the last step does not show.
_SECONDS = 0.7


class Stepper(NamedTuple):
    """A side that is ready to train.

    Attributes:
        batches: in the side's own form, to go round.
        step: takes one step, and may return before it is done.
        loss: of what `step` returned, once it is done.
    """

    batches: Sequence[Any]
    step: Callable[[Any], Any]
    loss: Callable[[Any], float]


def serve_steps(make: Callable[[Given, Record], Stepper]) -> None:
    """The side's process: builds its step, warms it up, and times it whenever it is asked to."""
    serve(lambda spec: prepared(make, spec))


def prepared(make: Callable[[Given, Record], Stepper], spec: Record) -> tuple[Record, Callable[[], Record]]:
    """What getting ready took, and what times the step.

    Args:
        make: builds the side's step.
        spec: "task" and "tiny", "padded" of sentences, and what `make` reads.

    Raises:
        FloatingPointError: a loss is not finite, or is not what a network without knowledge has.
    """
    work = given(spec["task"], tiny=spec["tiny"], padded=spec.get("padded"))
    start = time.perf_counter()
    stepper = make(work, spec)
    runner = _Runner(stepper, work, by_token=TASKS[spec["task"]].text)
    first = runner.loss_after(1)
    found = {"first_seconds": time.perf_counter() - start, "loss": first, **work.work._asdict()}
    # All sides are drawn small, so each begins where nothing is known: at the logarithm of the vocabulary.
    if not abs(first - math.log(work.encoder.vocab_size)) < 1:
        raise FloatingPointError(
            f"the first loss is {first}, where {math.log(work.encoder.vocab_size):.2f} is expected"
        )
    # Where the shapes of batches differ, each may be compiled for.
    runner.loss_after(len(stepper.batches) if TASKS[spec["task"]].text else 1)
    one = timed(lambda: runner.loss_after(1))["seconds"]
    steps = max(1, round(_SECONDS / one))
    if TASKS[spec["task"]].text:
        # Whole rounds: batches have unequally many tokens.
        steps = -(-steps // len(stepper.batches)) * len(stepper.batches)
    return found | {"steps": steps}, lambda: runner.timed(steps)


class _Runner:
    def __init__(self, stepper: Stepper, work: Given, *, by_token: bool):
        self.stepper, self.unit = stepper, work.work.tokens if by_token else 1.0
        self.cycle: Iterator[Any] = itertools.cycle(stepper.batches)

    def loss_after(self, steps: int) -> float:
        for _ in range(steps):
            out = self.stepper.step(next(self.cycle))
        loss = self.stepper.loss(out)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss}")
        return loss

    def timed(self, steps: int) -> Record:
        """The time of so many steps; units are steps, or real tokens where batches have unequally many."""
        return timed(lambda: self.loss_after(steps)) | {"units": steps * self.unit}
