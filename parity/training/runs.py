"""Training in jax_encoder and in torch_ref: the same parameters, batches and dropout masks, step by step."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

import torch_ref
from jax_encoder import dropout
from jax_encoder.config import EncoderConfig
from jax_encoder.params import named, nested
from jax_encoder.training.optimizer import make_optimizer
from jax_encoder.training.step import TrainState, build, micro_batch_key, step_key
from parity.encoder.inputs import tensor
from parity.encoder.subject import EncoderSubject
from parity.encoder.table import match
from parity.encoder.weights import rows
from parity.judge.crash import running
from parity.judge.outcome import Outcome, judged
from parity.judge.verdict import Report, Run
from parity.training.bugs import TRAINING_BUGS, TrainingBug
from parity.training.course import Course, prepare
from parity.training.follow import Laboratory, Result, Side, Suspect, allowed, follow
from torch_ref.training import MicroBatch, Trainer

# Of a run that is compared, and of one as it is deployed.
DTYPES = {True: jnp.float64, False: jnp.float32}


class Snapshot(NamedTuple):
    """The state of a reference between two steps, by the names of its parameters."""

    done: int
    params: dict[str, torch.Tensor]
    first: dict[str, torch.Tensor]
    second: dict[str, torch.Tensor]
    grads: dict[str, torch.Tensor]


class Lesson:
    """A course made ready for both sides: what their parameters are called, where they start, what each step sees."""

    def __init__(self, course: Course):
        self.course = course
        with running("JAX"), jax.enable_x64(False):
            self.programs = {wide: build(course.config, course.encoder, dtype=DTYPES[wide]) for wide in (False, True)}
            start = {name: np.asarray(leaf) for name, leaf in named(self.programs[False].init().params).items()}
        with running("torch"):
            model = torch_ref.MaskedLM(course.encoder)
        shapes = {name: tuple(param.shape) for name, param in model.named_parameters()}
        self.names = tuple(shapes)
        self.table = match(rows(course.encoder), {name: array.shape for name, array in start.items()}, shapes)
        params = {name: torch.from_numpy(array).double() for name, array in self.table.to_torch(start).items()}
        self.start = Snapshot(0, params, {}, {}, {})
        # All runs of the reference see a step before any sees the next.
        self.micro_batches = functools.lru_cache(maxsize=2)(self._micro_batches)

    def _micro_batches(self, step: int) -> tuple[MicroBatch, ...]:
        """What the reference sees at a step, counted from 0, with the dropout masks that our side draws."""
        _, encoder, config, batches = self.course
        key = step_key(config.seed, step)
        made = []
        for index, fields in enumerate(
            zip(*(np.split(f, config.accumulate) for f in batches.batch(step)), strict=True)
        ):
            embedding, layers = _draw(encoder, fields[0].shape, micro_batch_key(key, index))
            keeps = torch_ref.EncoderKeeps(
                tensor(embedding), tuple(torch_ref.LayerKeeps(*map(tensor, layer)) for layer in layers)
            )
            made.append(MicroBatch(*map(tensor, fields))._replace(keeps=keeps))
        return tuple(made)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _draw(config: EncoderConfig, shape_BT: tuple[int, int], key: jax.Array) -> tuple[Any, list[Any]]:
    """What dropout keeps of the embeddings and in every layer."""
    layers = [dropout.layer_keeps(key, layer, config, shape_BT) for layer in range(config.num_layers)]
    return dropout.embedding_keep(key, config, shape_BT), layers


class JaxRun:
    """A `parity.training.follow.Side`: the trainer's own step, in float64 or, as it is deployed, in float32."""

    def __init__(self, lesson: Lesson, snapshot: Snapshot, *, wide: bool):
        self._lesson, self._wide = lesson, wide
        config, still = lesson.course.config, {name: torch.zeros_like(p) for name, p in snapshot.params.items()}
        with jax.enable_x64(wide):
            params, mu, nu = map(self._tree, (snapshot.params, still | snapshot.first, still | snapshot.second))
            done = jnp.asarray(snapshot.done, jnp.int32)
            state = make_optimizer(config.optimizer, config.steps).init(params)
            start = TrainState(params, optax.tree.set(state, count=done, mu=mu, nu=nu), done)
            # Copied: a step writes to the memory that it is given, and must not be given any twice.
            self._state = jax.tree.map(jnp.copy, start)
        self._step = lesson.programs[wide].step

    def step(self) -> Result:
        with jax.enable_x64(self._wide):
            batch = self._lesson.course.batches.batch(int(self._state.step))
            self._state, measured = self._step(self._state, batch)
            # Copied: the next step is given this memory to write to.
            params = {name: np.array(leaf) for name, leaf in named(self._state.params).items()}
            rate, loss, norm = map(np.array, (measured.learning_rate, measured.loss, measured.grad_norm))
        theirs = self._lesson.table.to_torch(params)
        return Result(rate, loss, norm, {name: theirs[name] for name in self._lesson.names})

    def _tree(self, tensors: dict[str, torch.Tensor]) -> Any:
        """Parameters of the reference as ours; what only a mistaken one has is left out."""
        theirs = {name: tensors[name].numpy() for name in self._lesson.names}
        tree = nested(self._lesson.table.to_jax(theirs))
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, DTYPES[self._wide]), tree)


class TorchRun:
    """A `parity.training.follow.Reference`: the plain loop, in float64 or float32.

    Args:
        lesson: what to train on.
        snapshot: where to start.
        kind: the loop, which may be mistaken.
        dtype: of everything.
    """

    def __init__(
        self, lesson: Lesson, snapshot: Snapshot, kind: type[Trainer] = Trainer, dtype: torch.dtype = torch.float64
    ):
        _, encoder, config, _ = lesson.course
        self._lesson = lesson
        model = torch_ref.MaskedLM(encoder).to(dtype)
        model.load_state_dict({name: snapshot.params[name] for name in model.state_dict()})
        self._trainer = kind(model, config.optimizer, config.steps)
        self._trainer.done = snapshot.done
        for name, param in self._params().items():
            if name in snapshot.grads:
                param.grad = snapshot.grads[name].clone()
            if name in snapshot.first:
                self._trainer.optimizer.state[param] = {
                    "step": torch.tensor(float(snapshot.done)),
                    "exp_avg": snapshot.first[name].clone(),
                    "exp_avg_sq": snapshot.second[name].clone(),
                }

    def step(self) -> Result:
        measured = self._trainer.step(self._lesson.micro_batches(self._trainer.done))
        params = self._params()
        return Result(
            np.array(measured.learning_rate),
            measured.loss.numpy(),
            measured.gradient_norm.numpy(),
            {name: params[name].detach().clone().numpy() for name in self._lesson.names},
        )

    def state(self) -> Snapshot:
        params = self._params()
        states = {name: self._trainer.optimizer.state.get(param) for name, param in params.items()}
        return Snapshot(
            self._trainer.done,
            {name: param.detach().clone() for name, param in params.items()},
            {name: state["exp_avg"].clone() for name, state in states.items() if state},
            {name: state["exp_avg_sq"].clone() for name, state in states.items() if state},
            {name: param.grad.clone() for name, param in params.items() if param.grad is not None},
        )

    def _params(self) -> dict[str, torch.nn.Parameter]:
        return dict(self._trainer.model.named_parameters())


Progress = Callable[[int], object]


def check_training(course: Course, progress: Progress = lambda step: None) -> Report:
    """Trains on both sides in float64, until they part, and in float32.

    Args:
        course: as from `prepare`.
        progress: called with the number of each step before it.
    """
    with EncoderSubject().session():
        return compare_training(Lesson(course), progress=progress)


def compare_training(lesson: Lesson, kind: type[Trainer] = Trainer, progress: Progress = lambda step: None) -> Report:
    """As `check_training`, with a reference that may be mistaken."""

    def one_step(kind: type[Trainer]) -> Callable[[Snapshot], Result]:
        return lambda before: TorchRun(lesson, before, kind).step()

    config, start = lesson.course.config, lesson.start
    laboratory = Laboratory(
        ours=lambda before: JaxRun(lesson, before, wide=True).step(),
        clean=one_step(Trainer),
        suspects={bug.name: Suspect(bug.mistake, one_step(bug.trainer)) for bug in TRAINING_BUGS},
    )
    lower: dict[str, Side] = {
        "JAX float32": JaxRun(lesson, start, wide=False),
        "torch float32": TorchRun(lesson, start, dtype=torch.float32),
    }
    sides = JaxRun(lesson, start, wide=True), TorchRun(lesson, start, kind)
    name = (lesson.course.preset, f"{config.steps} steps")
    run, curves = follow(name, sides, config.steps, laboratory, lower, progress)
    run = dataclasses.replace(run, inadequate=tuple(_inadequacies(lesson, run)))
    subject = f"training in jax_encoder, repeated in torch_ref; {config.accumulate} micro-batches to a step"
    return Report(subject, allowed(config.steps), EncoderSubject().environment(), (run,), curves=curves)


def _inadequacies(lesson: Lesson, run: Run) -> Iterator[str]:
    """What these steps could not have shown."""
    config = lesson.course.config
    counts = ({float(part.weights.sum()) for part in lesson.micro_batches(step)} for step in range(config.steps))
    if config.accumulate > 1 and all(len(one) == 1 for one in counts):
        yield "all micro-batches of a step have equally many targets: it does not matter how they are weighed"
    norms = [one.expected for one in run.comparisons if one.site.endswith(" gradient_norm")]
    if not any(isinstance(norm, float) and norm > config.optimizer.clip_norm for norm in norms):
        yield "no gradient was clipped"


def outcomes(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Makes every mistake in the reference on purpose, and asks the check about it; None takes all."""
    lesson: Lesson | None = None
    for bug in TRAINING_BUGS:
        if names is None or bug.name in names:
            lesson = lesson or Lesson(prepare("bert", steps=3, accumulate=2))
            yield outcome(bug, compare_training(lesson, bug.trainer))


def outcome(bug: TrainingBug, report: Report) -> Outcome:
    """Whether the check said what is true; the first site is right only at the right step."""
    (run,) = report.runs
    first = bug.where.replace(r"step \d+", f"step {bug.step}")
    return judged(bug, "torch", "training", run, first=first)
