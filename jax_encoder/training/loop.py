"""The hot loop: steps, and between them evaluation, checkpoints and an ear for interrupts."""

import time
from collections import deque
from contextlib import closing
from functools import partial
from typing import NamedTuple

import jax
from rich.console import Console

from jax_encoder.data.batches import prefetch
from jax_encoder.data.files import DiskFullError
from jax_encoder.data.masking import Batch
from jax_encoder.kernels import table
from jax_encoder.params import Params, named
from jax_encoder.training import dump, metrics
from jax_encoder.training.compilation import compiling
from jax_encoder.training.config import DRAWN_SINCE
from jax_encoder.training.display import Display
from jax_encoder.training.evaluation import evaluate
from jax_encoder.training.interrupt import Interrupt
from jax_encoder.training.run_folder import replay_command, resume_command
from jax_encoder.training.session import Session, abstract_state
from jax_encoder.training.skips import Skips
from jax_encoder.training.step import StepMetrics, TrainState

# Steps in flight while their predecessors' metrics are read: the device never waits for the host.
_LAG = 1


class Outcome(NamedTuple):
    """How far a run has come, and which signal stopped it, if one did."""

    step: int
    stopped_by: str | None


def train(session: Session, console: Console) -> Outcome:
    """Goes on from the newest whole checkpoint to the last step, or until a signal comes.

    Raises:
        InputError: there is no whole checkpoint.
        FloatingPointError: in too many steps in a row the loss or a gradient was not finite; nothing after the last
            checkpoint is saved but the last of these steps.
    """
    with Interrupt() as interrupt:
        state, passed_over = session.checkpoints.restore(abstract_state(session.program))
        for line in passed_over:
            console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
        start = int(state.step)
        if passed_over:
            console.print(f"going back to step {start}", style="yellow", highlight=False)
        if start == session.config.steps:
            return Outcome(start, None)
        console.print(_attention(session), highlight=False, markup=False, soft_wrap=True)
        if start and _dropped_otherwise(session):
            console.print(
                "this run was begun by an earlier version of jax-encoder, in which dropout drew other masks: it goes "
                "on with today's, as good and not the same, and will not end as it would have there",
                style="yellow",
                highlight=False,
                soft_wrap=True,
            )
        with compiling(console, "the training step"):
            step = session.program.step.lower(state, _batch(session, start)).compile()
        with (
            closing(metrics.MetricsLog(session.folder.metrics, session.folder.tensorboard, step=start)) as log,
            Display(console, steps=session.config.steps, start=start) as display,
        ):
            return _Loop(session, log, display).run(step, state, interrupt)


def _batch(session: Session, step: int) -> Batch:
    return jax.device_put(session.batches.batch(step))


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
    def __init__(self, session: Session, log: metrics.MetricsLog, display: Display):
        self.session, self.log, self.display = session, log, display
        self.clock = _Clock(metrics.training_seconds(session.folder.metrics))
        self.pending: deque[tuple[int, StepMetrics]] = deque()
        self.evaluated = False
        self.skips = Skips(session.config.max_skipped, metrics.of_split(session.folder.metrics, "train"))

    def run(self, compiled: jax.stages.Compiled, state: TrainState, interrupt: Interrupt) -> Outcome:
        config, start = self.session.config, int(state.step)
        self.clock.resume()
        with closing(prefetch(partial(_batch, self.session), start=start, stop=config.steps)) as batches:
            for step, batch in enumerate(batches, start + 1):
                interrupt.check()
                state, measured = compiled(state, batch)
                self.pending.append((step, measured))
                self._record(leave=0 if self.skips.waits else _LAG)
                if self.skips.too_many:
                    self._give_up(step, state.params, batch)
                last = step == config.steps
                evaluates = last or step % config.eval_every == 0
                saves = last or step % config.checkpoint_every == 0 or interrupt.name is not None
                if evaluates or saves:
                    self._record(leave=0)
                    self.clock.pause()
                    if evaluates:
                        self._evaluate(step, state.params)
                    if saves:
                        self._save(step, state, must=last or interrupt.name is not None)
                    self.clock.resume()
                if interrupt.name is not None:
                    break
        return Outcome(step, None if step == config.steps else interrupt.name)

    def _record(self, *, leave: int) -> None:
        """Reads, checks and writes the metrics of all steps but the last `leave`; waits until they are done."""
        while len(self.pending) > leave:
            step, measured = self.pending.popleft()
            values = {name: value.item() for name, value in jax.device_get(measured)._asdict().items()}
            if said := self.skips.add(step, values):
                self.display.note(said)
            values["seconds"] = round(self.clock.seconds(), 3)
            self.log.write("train", step, values)
            self.display.step(step, values)

    def _give_up(self, step: int, params: Params, batch: Batch) -> None:
        """Keeps the step, and ends the run."""
        session = self.session
        kept = session.folder.kept_step(step)
        dump.write(kept, dump.Dump(session.config, session.encoder, step, named(params), batch))
        raise FloatingPointError(
            f"{self.skips.told()}; the run stops, and nothing after step {session.checkpoints.newest()} is saved.\n"
            f"The last of these steps is kept: {replay_command(kept)}\n"
            "shows where it stops being finite. Start a new run with a lower --learning-rate, a longer --warmup-steps "
            "or a lower --clip-norm"
        )

    def _save(self, step: int, state: TrainState, *, must: bool) -> None:
        """Saves a checkpoint; where the disk is full the run goes on without, unless it `must` be saved."""
        try:
            self.log.flush()
            self.session.checkpoints.save(state)
        except DiskFullError as error:
            newest = f"the newest checkpoint is that of step {self.session.checkpoints.newest()}"
            if must:
                raise DiskFullError(
                    f"step {step} could not be saved, {error}; {newest}. Make room, and go on with\n"
                    f"  {resume_command(self.session.folder.path)}"
                ) from None
            self.display.note(f"step {step} is not saved, {error}; the run goes on, {newest}")

    def _evaluate(self, step: int, params: Params) -> None:
        if not self.evaluated:
            with compiling(self.display.console, "the evaluation", spinner=False):
                jax.block_until_ready(self.session.program.evaluate(params, self.session.held_out[0]))
            self.evaluated = True
        values = evaluate(self.session.program, params, self.session.held_out)._asdict()
        self.log.write("held_out", step, values)
        self.display.note(f"step {step}: held-out loss {values['loss']:.3f}, accuracy {values['accuracy']:.1%}")
