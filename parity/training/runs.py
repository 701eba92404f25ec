"""Training in jax_encoder and in torch_ref: the same parameters, batches and dropout masks, step by step."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

import torch_ref
from jax_encoder.data.masking import Batch
from jax_encoder.params import Params, named, nested
from jax_encoder.training import evaluation
from jax_encoder.training import step as steps
from jax_encoder.training.optimizer import make_optimizer
from jax_encoder.training.step import Program, TrainState, build
from parity.encoder.bugs.model import Patch
from parity.encoder.draws import drawn_masks
from parity.encoder.inputs import keeps_of, tensor
from parity.encoder.subject import EncoderSubject
from parity.encoder.table import match
from parity.encoder.weights import rows
from parity.judge.crash import running
from parity.judge.outcome import Outcome, judged
from parity.judge.verdict import Report, Run
from parity.training.bugs import TRAINING_BUGS, TrainingBug
from parity.training.course import Course, prepare
from parity.training.draws import check_trainer_draws
from parity.training.follow import Evaluation, Laboratory, Result, Side, Suspect, allowed, follow
from parity.training.state import resumed
from torch_ref.training import MicroBatch, Trainer

# Of a run that is compared, and of one as it is deployed.
DTYPES = {True: jnp.float64, False: jnp.float32}


class Snapshot(NamedTuple):
    """The state of a reference between two steps, by the names of its parameters, which `moved` steps have moved."""

    done: int
    moved: int
    params: dict[str, torch.Tensor]
    first: dict[str, torch.Tensor]
    second: dict[str, torch.Tensor]
    grads: dict[str, torch.Tensor]


class Lesson:
    """A course made ready for both sides: what their parameters are called, where they start, what each step sees."""

    def __init__(self, course: Course):
        self.course = course
        with running("JAX"):
            self.programs = {wide: build(course.config, course.encoder, dtype=DTYPES[wide]) for wide in (False, True)}
            with jax.enable_x64(False):  # the start alone: what makes the wide program needs its width
                start = {name: np.asarray(leaf) for name, leaf in named(self.programs[False].init().params).items()}
        with running("torch"):
            model = torch_ref.MaskedLM(course.encoder)
        shapes = {name: tuple(param.shape) for name, param in model.named_parameters()}
        self.names = tuple(shapes)
        self.table = match(rows(course.encoder), {name: array.shape for name, array in start.items()}, shapes)
        params = {name: torch.from_numpy(array).double() for name, array in self.table.to_torch(start).items()}
        self.start = Snapshot(0, 0, params, {}, {}, {})
        # All runs of the reference see a step before any sees the next.
        self.micro_batches = functools.lru_cache(maxsize=2)(self._micro_batches)

    def _micro_batches(self, at: int) -> tuple[MicroBatch, ...]:
        """What the reference sees at a step, counted from 0, with the dropout masks that our side draws."""
        config = self.course.config
        key = steps.step_key(config.seed, at)
        parts = zip(*(np.split(field, config.accumulate) for field in self.course.batches.batch(at)), strict=True)
        return tuple(self._dropping(Batch(*fields), steps.micro_batch_key(key, i)) for i, fields in enumerate(parts))

    @functools.cached_property
    def held_out(self) -> tuple[MicroBatch, ...]:
        """What the reference is evaluated on; that there are masks is for a mistake to make use of."""
        key = steps.step_key(self.course.config.seed, 0)
        return tuple(self._dropping(batch, key) for batch in self.course.held_out)

    def _dropping(self, batch: Batch, key: jax.Array) -> MicroBatch:
        """A batch as the reference sees it, with the masks that our side draws from a key."""
        keeps = keeps_of(key, self.course.encoder, batch.tokens.shape, _draw)
        return MicroBatch(*map(tensor, batch))._replace(keeps=keeps)

    def evaluates(self, done: int) -> bool:
        """Whether the parameters are evaluated after so many steps."""
        return done in (1, self.course.config.steps)

    def evaluation(self, program: Program, params: Params) -> Evaluation:
        """What the trainer's own evaluation says of our parameters."""
        return Evaluation(*map(np.array, evaluation.evaluate(program, params, self.course.held_out)))

    def undropped(self, result: Result) -> Evaluation:
        """What it says of a result's parameters if every rate is 0."""
        _, encoder, config, *_ = self.course
        still = dataclasses.replace(encoder, embedding_dropout=0.0, attention_dropout=0.0, residual_dropout=0.0)
        program = build(config, still, dtype=DTYPES[True])
        return self.evaluation(program, self.tree(result.parameter, wide=True))

    def tree(self, params: Mapping[str, np.ndarray], *, wide: bool) -> Params:
        """Parameters of the reference as ours; what only a mistaken one has is left out."""
        tree = nested(self.table.to_jax({name: params[name] for name in self.names}))
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, DTYPES[wide]), tree)


_draw = jax.jit(drawn_masks, static_argnums=(0, 1))


class JaxRun:
    """A `parity.training.follow.Side`: the trainer's own step, in float64 or, as it is deployed, in float32."""

    def __init__(self, lesson: Lesson, snapshot: Snapshot, *, wide: bool):
        self._lesson, self._wide = lesson, wide
        config, still = lesson.course.config, {name: torch.zeros_like(p) for name, p in snapshot.params.items()}
        with jax.enable_x64(wide):
            moments = still | snapshot.first, still | snapshot.second
            params, mu, nu = (
                lesson.tree({name: one.numpy() for name, one in tensors.items()}, wide=wide)
                for tensors in (snapshot.params, *moments)
            )
            done = jnp.asarray(snapshot.done, jnp.int32)
            state = make_optimizer(config.optimizer, config.steps).init(params)
            state = resumed(state, mu, nu, moved=snapshot.moved, done=snapshot.done)
            start = TrainState(params, state, done)
            # Copied: a step writes to the memory that it is given, and must not be given any twice.
            self._state = jax.tree.map(jnp.copy, start)
        self._program = lesson.programs[wide]

    def step(self) -> Result:
        with jax.enable_x64(self._wide):
            batch = self._lesson.course.batches.batch(int(self._state.step))
            self._state, measured = self._program.step(self._state, batch)
            # Copied: the next step is given this memory to write to.
            params = {name: np.array(leaf) for name, leaf in named(self._state.params).items()}
            rate, loss, norm = map(np.array, (measured.learning_rate, measured.loss, measured.grad_norm))
            evaluated = None
            if self._wide and self._lesson.evaluates(int(self._state.step)):
                evaluated = self._lesson.evaluation(self._program, self._state.params)
        theirs = self._lesson.table.to_torch(params)
        return Result(rate, loss, norm, {name: theirs[name] for name in self._lesson.names}, evaluated)


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
        _, encoder, config, *_ = lesson.course
        self._lesson, self._wide = lesson, dtype == torch.float64
        model = torch_ref.MaskedLM(encoder).to(dtype)
        model.load_state_dict({name: snapshot.params[name] for name in model.state_dict()})
        self._trainer = kind(model, config.optimizer, config.steps, config)
        self._trainer.done = snapshot.done
        for name, param in self._params().items():
            if name in snapshot.grads:
                param.grad = snapshot.grads[name].clone()
            if name in snapshot.second:
                self._trainer.optimizer.state[param] = {
                    "step": torch.tensor(float(snapshot.moved)),
                    "exp_avg": snapshot.first[name].clone(),
                    "exp_avg_sq": snapshot.second[name].clone(),
                }
            elif name in snapshot.first:
                self._trainer.optimizer.state[param] = {"momentum_buffer": snapshot.first[name].clone()}

    def step(self) -> Result:
        measured = self._trainer.step(self._lesson.micro_batches(self._trainer.done))
        params, evaluated = self._params(), None
        if self._wide and self._lesson.evaluates(self._trainer.done):
            evaluated = Evaluation(*(one.numpy() for one in self._trainer.evaluate(self._lesson.held_out)))
        return Result(
            np.array(measured.learning_rate),
            measured.loss.numpy(),
            measured.gradient_norm.numpy(),
            {name: params[name].detach().clone().numpy() for name in self._lesson.names},
            evaluated,
        )

    def state(self) -> Snapshot:
        params = self._params()
        states = {name: self._trainer.optimizer.state.get(param) for name, param in params.items()}
        counts = [int(state["step"]) for state in states.values() if state and "step" in state]
        firsts = {name: _first(state) for name, state in states.items() if state}
        return Snapshot(
            self._trainer.done,
            max(counts, default=0),
            {name: param.detach().clone() for name, param in params.items()},
            {name: first.clone() for name, first in firsts.items()},
            {name: state["exp_avg_sq"].clone() for name, state in states.items() if state and "exp_avg_sq" in state},
            {name: param.grad.clone() for name, param in params.items() if param.grad is not None},
        )

    def _params(self) -> dict[str, torch.nn.Parameter]:
        return dict(self._trainer.model.named_parameters())


def _first(state: dict[str, torch.Tensor]) -> torch.Tensor:
    return state["exp_avg"] if "exp_avg" in state else state["momentum_buffer"]


Progress = Callable[[int], object]


def check_training(course: Course, progress: Progress = lambda step: None) -> Report:
    """Trains on both sides in float64, until they part, and in float32; and judges what is dropped by itself.

    Args:
        course: as from `prepare`.
        progress: called with the number of each step before it.
    """
    with EncoderSubject().session():
        report = compare_training(Lesson(course), progress=progress)
        return dataclasses.replace(report, runs=(*report.runs, check_trainer_draws(course)))


def compare_training(lesson: Lesson, kind: type[Trainer] = Trainer, progress: Progress = lambda step: None) -> Report:
    """As `check_training`, with a reference that may be mistaken."""

    def one_step(kind: type[Trainer]) -> Callable[[Snapshot], Result]:
        return lambda before: TorchRun(lesson, before, kind).step()

    config, start = lesson.course.config, lesson.start
    laboratory = Laboratory(
        ours=lambda before: JaxRun(lesson, before, wide=True).step(),
        clean=one_step(Trainer),
        suspects={bug.name: Suspect(bug.mistake, one_step(bug.trainer)) for bug in TRAINING_BUGS},
        undropped=lesson.undropped,
    )
    lower: dict[str, Side] = {
        "JAX float32": JaxRun(lesson, start, wide=False),
        "torch float32": TorchRun(lesson, start, dtype=torch.float32),
    }
    sides = JaxRun(lesson, start, wide=True), TorchRun(lesson, start, kind)
    name = (lesson.course.preset, f"{config.steps} steps")
    run, curves = follow(name, sides, config.steps, laboratory, lower, progress)
    run = dataclasses.replace(run, inadequate=tuple(_inadequacies(lesson, run)))
    how = f"by {config.optimizer.optimizer}, {config.accumulate} micro-batches to a step"
    subject = f"training in jax_encoder, repeated in torch_ref; {how}"
    return Report(subject, allowed(config.steps), EncoderSubject().environment(), (run,), curves=curves)


def _inadequacies(lesson: Lesson, run: Run) -> Iterator[str]:
    """What these steps could not have shown."""
    config = lesson.course.config
    counts = ({float(part.weights.sum()) for part in lesson.micro_batches(step)} for step in range(config.steps))
    if config.accumulate > 1 and all(len(one) == 1 for one in counts):
        yield "all micro-batches of a step have equally many targets: it does not matter how they are weighed"
    norms, bound = (one.expected for one in run.comparisons if one.site.endswith(" gradient_norm")), config.optimizer
    if bound.clip_norm is not None and not any(isinstance(norm, float) and norm > bound.clip_norm for norm in norms):
        yield "no gradient was clipped"
    if len({float(batch.weights.sum()) for batch in lesson.held_out}) == 1:
        yield "all held-out batches have equally many targets: it does not matter how they are weighed"


def outcomes(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Makes every mistake on purpose, in the reference and, where it has a form there, in ours; None takes all."""
    lesson: Lesson | None = None
    for bug in TRAINING_BUGS:
        if names is None or bug.name in names:
            lesson = lesson or Lesson(prepare("bert", steps=3, accumulate=2))
            yield outcome(bug, compare_training(lesson, bug.trainer))
            if bug.in_jax is not None:
                yield outcome(bug, compare_mistaken(lesson.course, bug.in_jax), "JAX")


def compare_mistaken(course: Course, plant: Callable[[Patch], object]) -> Report:
    """As `compare_training`, with a mistake made in our code."""
    patch = Patch()
    plant(patch)
    with patch.active():
        return compare_training(Lesson(course))  # traced anew, with the mistake in it


def outcome(bug: TrainingBug, report: Report, side: str = "torch") -> Outcome:
    """Whether the check said what is true; the first site is right only at the right step."""
    (run,) = report.runs
    first = bug.where.replace(r"step \d+", f"step {bug.step}")
    return judged(bug, side, "training", run, first=first)
