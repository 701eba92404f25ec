"""What the trainer drops, by the keys that it makes: of every step its own, of that one for every micro-batch."""

from collections.abc import Iterator
from typing import Any

import jax

from jax_encoder.training import step as steps
from parity.encoder.bugs.draws import DrawsBug, drawing
from parity.encoder.bugs.model import Patch
from parity.encoder.draws import check_draws
from parity.judge.outcome import Outcome, judged
from parity.judge.verdict import Run
from parity.training.course import Course, prepare

STEPS = 32

_step_key = steps.step_key


def check_trainer_draws(course: Course) -> Run:
    """Judges what the trainer drops in `STEPS` steps, whether or not the course has as many."""
    seed, parts = course.config.seed, range(course.config.accumulate)
    keys = [[steps.micro_batch_key(steps.step_key(seed, step), part) for part in parts] for step in range(STEPS)]
    return check_draws(course.preset, course.encoder, keys)


def _step_left_out(patch: Patch) -> None:
    patch.set(steps, "step_key", lambda seed, step: _step_key(seed, 0))


def _index_left_out(patch: Patch) -> None:
    patch.set(steps, "micro_batch_key", lambda key, index: key)


def _added(patch: Patch) -> None:
    """The numbers of a step and of a micro-batch are added: a step's second has the key of the next step's first."""

    def step_key(seed: int, step: Any) -> Any:
        return jax.random.key_data(_step_key(seed, 0)) + jax.numpy.uint32(step)

    def micro_batch_key(key: Any, index: Any) -> Any:
        return jax.random.wrap_key_data(key + jax.numpy.uint32(index), impl="threefry2x32")

    patch.set(steps, "step_key", step_key)
    patch.set(steps, "micro_batch_key", micro_batch_key)


KEY_BUGS: tuple[DrawsBug, ...] = (
    drawing("draws-steps-alike", r"draws\.\w+\.steps", _step_left_out),
    drawing("draws-micro-batches-alike", r"draws\.\w+\.micro_batches", _index_left_out),
    drawing("draws-masks-alike", r"draws\.masks", _added),
)


def outcomes(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Makes every mistake in the trainer's keys on purpose; None takes all."""
    for bug in KEY_BUGS:
        if names is None or bug.name in names:
            yield outcome(bug, prepare("bert", steps=1, accumulate=2))


def outcome(bug: DrawsBug, course: Course) -> Outcome:
    """Makes one mistake, and asks the check about it."""
    patch = Patch()
    bug.plant(patch)
    with patch.active():
        return judged(bug, "JAX", "draws", check_trainer_draws(course))
