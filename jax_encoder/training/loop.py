"""The hot loop: steps, and between them evaluation, checkpoints and an ear for interrupts."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import count
from typing import NamedTuple

import jax
from rich.console import Console

from jax_encoder.data.batches import prefetch
from jax_encoder.data.files import DiskFullError
from jax_encoder.data.masking import Batch
from jax_encoder.kernels import table
from jax_encoder.params import Params, named
from jax_encoder.training import dump, metrics, processes
from jax_encoder.training.compilation import compiling
from jax_encoder.training.config import DRAWN_SINCE
from jax_encoder.training.display import Display
from jax_encoder.training.ending import Ending
from jax_encoder.training.evaluation import evaluate
from jax_encoder.training.interrupt import Interrupt
from jax_encoder.training.run_folder import replay_command, resume_command
from jax_encoder.training.session import Session, abstract_state
from jax_encoder.training.sharding import told
from jax_encoder.training.skips import Skips
from jax_encoder.training.step import StepMetrics, TrainState
from jax_encoder.training.watch import Spikes, Watchdog

# Steps in flight while their predecessors' metrics are read: the device never waits for the host.
_LAG = 1


class Outcome(NamedTuple):
    """How far a run has come, and the number of the signal that stopped it, if one did."""

    step: int
    stopped_by: int | None


class _StoppedError(Exception):
    """A signal came in the middle of an evaluation."""


def train(session: Session, console: Console, ending: Ending | None = None) -> Outcome:
    """Goes on from the newest whole checkpoint to the last step, or until a signal comes.

    Args:
        session: the run.
        console: where to say what happens.
        ending: what hears signals while programs are compiled; None: they are heard afterwards.

    Raises:
        InputError: there is no whole checkpoint.
        FloatingPointError: in too many steps in a row the loss or a gradient was not finite; nothing after the last
            checkpoint is saved but the last of these steps.
    """
    ending, go_on = ending or Ending(), f"go on with\n  {resume_command(session.folder.path)}"
    with Interrupt(raises=not ending.entered) as interrupt:
        state, passed_over = session.checkpoints.restore(abstract_state(session.program))
        for line in passed_over:
            console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
        start = int(state.step)
        if passed_over:
            console.print(f"going back to step {start}", style="yellow", highlight=False)
        owed = _owed(session, start)
        if start == session.config.steps and not owed:
            return Outcome(start, None)
        _tell(session, console)
        if start and _dropped_otherwise(session):
            console.print(
                "this run was begun by an earlier version of jax-encoder, in which dropout drew other masks: it goes "
                "on with today's, as good and not the same, and will not end as it would have there",
                style="yellow",
                highlight=False,
                soft_wrap=True,
            )
        step = None
        if start < session.config.steps:
            with compiling(console, "the training step"), ending.at_once(f"while compiling; {go_on}"):
                step = session.program.step.lower(state, _batch(session, start)).compile()
        ending.in_steps(f"in the middle of a step; what was done since the last checkpoint is lost; {go_on}")
        with (
            closing(_log(session, start)) as log,
            Display(console, steps=session.config.steps, start=start) as display,
        ):
            loop = _Loop(session, log, display, interrupt, ending, start)
            if owed and not loop.evaluate(start, state):
                return Outcome(start, interrupt.number)
            return Outcome(start, None) if step is None else loop.run(step, state)


def _log(session: Session, start: int) -> metrics.MetricsLog | metrics.NoLog:
    if not processes.leads():
        return metrics.NoLog()
    return metrics.MetricsLog(session.folder.metrics, session.folder.tensorboard, step=start)


def _owed(session: Session, step: int) -> bool:
    """Whether the evaluation that follows a step was given up, or never begun, when the run ended there."""
    due = step > 0 and (step % session.config.eval_every == 0 or step == session.config.steps)
    return due and all(one["step"] != step for one in metrics.of_split(session.folder.metrics, "held_out"))


def _batch(session: Session, step: int) -> Batch:
    return session.program.placed(session.batches.batch(step))


def _tell(session: Session, console: Console) -> None:
    """What computes, and how."""
    devices = told(session.program.layout, session.config)
    if devices:
        style = "yellow" if session.program.layout is None else None
        console.print(devices, style=style, highlight=False, markup=False, soft_wrap=True)
    console.print(_attention(session), highlight=False, markup=False, soft_wrap=True)


def _attention(session: Session) -> str:
    """How attention is computed, and why so."""
    options, encoder = session.config.model, session.encoder
    length = session.held_out.rows.tokens.shape[1]
    plan = table.plan(encoder, options.dtype, length, drops=True, asked=options.attention)
    return table.told(encoder, plan)


def _dropped_otherwise(session: Session) -> bool:
    """Whether the steps before were taken with masks that are no longer drawn."""
    encoder = session.encoder
    drops = any((encoder.embedding_dropout, encoder.attention_dropout, encoder.residual_dropout))
    return drops and session.folder.version() < DRAWN_SINCE


def _watched(batches: Iterator[Batch], watchdog: Watchdog, first: int) -> Iterator[Batch]:
    """The batches of steps from the first on; the watchdog says of which the input is stalled."""
    for step in count(first):
        with watchdog.waiting(f"the batch of step {step}"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


class _Clock:
    """Seconds spent in steps, by this process and those before it: only those after `resume` and until `pause`."""

    def __init__(self, before: float):
        self._before, self._since = before, 0.0

    def resume(self) -> None:
        self._since = time.perf_counter()

    def pause(self) -> None:
        self._before = self.seconds()

    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._since


class _Loop:
    def __init__(
        self,
        session: Session,
        log: metrics.MetricsLog | metrics.NoLog,
        display: Display,
        interrupt: Interrupt,
        ending: Ending,
        start: int,
    ):
        self.session, self.log, self.display = session, log, display
        self.interrupt, self.ending = interrupt, ending
        self.clock = _Clock(metrics.training_seconds(session.folder.metrics))
        self.pending: deque[tuple[int, StepMetrics]] = deque()
        self.evaluated = False
        before = [one for one in metrics.of_split(session.folder.metrics, "train") if one["step"] <= start]
        self.skips, self.spikes = Skips(session.config.max_skipped, before), Spikes(before)

    def run(self, compiled: jax.stages.Compiled, state: TrainState) -> Outcome:
        config, start, signalled = self.session.config, int(state.step), None
        self.clock.resume()
        made = prefetch(partial(_batch, self.session), start=start, stop=config.steps)
        with closing(made), Watchdog(self.display.note) as watchdog:
            for step, batch in enumerate(_watched(made, watchdog, start + 1), start + 1):
                self.interrupt.check()
                state, measured = compiled(state, batch)
                self.pending.append((step, measured))
                self._record(leave=0 if self.skips.waits else _LAG)
                if self.skips.too_many:
                    self._give_up(step, state.params)
                signalled = processes.agreed(step, self.interrupt.number)
                last, stopped = step == config.steps, signalled is not None
                evaluates = last or step % config.eval_every == 0
                # The first evaluation is compiled, which a signal breaks off.
                saves = last or stopped or step % config.checkpoint_every == 0 or (evaluates and not self.evaluated)
                if evaluates or saves:
                    self._record(leave=0)
                    self.clock.pause()
                    if saves:
                        self._save(state, must=last or stopped)
                    if evaluates and not stopped:
                        stopped = not self.evaluate(step, state)
                        signalled = self.interrupt.number if stopped else None
                        if stopped and not saves:
                            self._save(state, must=True)
                    self.clock.resume()
                if stopped:
                    break
        self.interrupt.check()
        return Outcome(step, signalled)

    def _record(self, *, leave: int) -> None:
        """Reads, checks and writes the metrics of all steps but the last `leave`; waits until they are done."""
        while len(self.pending) > leave:
            step, measured = self.pending.popleft()
            values = {name: value.item() for name, value in jax.device_get(measured)._asdict().items()}
            for said in (self.skips.add(step, values), self.spikes.add(step, values["loss"])):
                if said is not None:
                    self.display.note(said)
            values["seconds"] = round(self.clock.seconds(), 3)
            self.log.write("train", step, values)
            self.display.step(step, values)

    def _give_up(self, step: int, params: Params) -> None:
        """Keeps the step, and ends the run."""
        session = self.session
        kept = session.folder.kept_step(step)
        whole, batch = processes.fetched(named(params)), session.batches.batch(step - 1)
        if processes.leads():
            dump.write(kept, dump.Dump(session.config, session.encoder, step, whole, batch))
        raise FloatingPointError(
            f"{self.skips.told()}; the run stops, and nothing after step {session.checkpoints.newest()} is saved.\n"
            f"The last of these steps is kept: {replay_command(kept)}\n"
            "shows where it stops being finite. Start a new run with a lower --learning-rate, a longer --warmup-steps "
            "or a lower --clip-norm"
        )

    def _save(self, state: TrainState, *, must: bool) -> None:
        """Saves a checkpoint; where the disk is full the run goes on without, unless it `must` be saved, or other
        processes save their shares of it."""
        try:
            with self.ending.saving():
                self.log.flush()
                self.session.checkpoints.save(state)
        except DiskFullError as error:
            step, newest = int(state.step), self.session.checkpoints.newest()
            if must or not processes.alone():
                raise DiskFullError(
                    f"step {step} could not be saved, {error}; the newest checkpoint is that of step {newest}. Make "
                    f"room, and go on with\n  {resume_command(self.session.folder.path)}"
                ) from None
            self.display.note(
                f"step {step} is not saved, {error}; the run goes on, the newest checkpoint is that of step {newest}"
            )

    def evaluate(self, step: int, state: TrainState) -> bool:
        """Evaluates, and returns True; or gives up because of a signal: the run that goes on from here does it then."""
        if not self.evaluated:
            go_on = f"while compiling; go on with\n  {resume_command(self.session.folder.path)}"
            with compiling(self.display.console, "the evaluation", spinner=False), self.ending.at_once(go_on):
                program = self.session.program
                jax.block_until_ready(program.evaluate(state.params, program.placed_whole(self.session.held_out[0])))
            self.evaluated = True
        try:
            values = evaluate(self.session.program, state.params, self._unless_stopped())._asdict()
        except _StoppedError:
            return False
        self.log.write("held_out", step, values)
        self.display.note(f"step {step}: held-out loss {values['loss']:.3f}, accuracy {values['accuracy']:.1%}")
        return True

    def _unless_stopped(self) -> Iterator[Batch]:
        for batch in self.session.held_out:
            # Of several processes none knows where in an evaluation the others are.
            if self.interrupt.number is not None and processes.alone():
                raise _StoppedError
            yield batch
