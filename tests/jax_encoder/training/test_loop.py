import dataclasses
import io
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from jax_encoder.training import metrics
from jax_encoder.training.config import _ADDED
from jax_encoder.training.ending import NUMBERS
from jax_encoder.training.interrupt import Interrupt
from jax_encoder.training.loop import Outcome, train
from jax_encoder.training.run_folder import RunFolder
from jax_encoder.training.session import Session, load_trained, open_session
from tests.jax_encoder.training.helpers import STEPS, lines, quiet


@pytest.fixture(scope="module")
def whole(prepared, reopen, tmp_path_factory) -> Session:
    """The run without interruption."""
    path = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(prepared.folder.path, path)
    session = reopen(path)
    assert train(session, quiet()) == Outcome(STEPS, None)
    return session


class Disturbed:
    """Batches that do something before a certain one is made."""

    def __init__(self, batches, at: int, act):
        self.batches, self.at, self.act = batches, at, act

    def batch(self, step: int):
        if step == self.at:
            self.act()
        return self.batches.batch(step)


def assert_same_run(one: Session, other: Session) -> None:
    assert lines(one) == lines(other)
    like = one.program.init()
    one_state, other_state = (session.checkpoints.restore(like).state for session in (one, other))
    assert jax.tree.structure(one_state) == jax.tree.structure(other_state)
    for a, b in zip(jax.tree.leaves(one_state), jax.tree.leaves(other_state), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_whole_run_leaves_what_it_should(whole):
    records = lines(whole)
    train_steps = [record["step"] for record in records if record["split"] == "train"]
    held_out_steps = [record["step"] for record in records if record["split"] == "held_out"]
    assert train_steps == [1, 2, 3, 4, 5, 6, 7, 8]
    assert held_out_steps == [3, 6, 8]
    assert whole.checkpoints.steps() == [4, 8]
    first = records[0]
    names = {"split", "step", "loss", "accuracy", "grad_norm", "learning_rate", "tokens", "skipped"}
    assert first.keys() == names
    assert first["tokens"] == np.count_nonzero(whole.batches.batch(0).segments)
    assert first["learning_rate"] == pytest.approx(1e-3 / 3)


def test_evaluation_is_the_mean_over_all_targets_of_the_held_out_rows(whole):
    params = load_trained(whole.folder.path).params
    sums = [whole.program.evaluate(params, batch) for batch in whole.held_out]
    last = metrics.of_split(whole.folder.metrics, "held_out")[-1]
    assert last["targets"] == sum(np.count_nonzero(batch.weights) for batch in whole.held_out)
    assert last["loss"] == pytest.approx(float(sum(s.loss for s in sums)) / last["targets"], rel=1e-6)
    assert last["accuracy"] == pytest.approx(float(sum(s.correct for s in sums)) / last["targets"], rel=1e-6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_the_rest_is_the_same_bit_for_bit(session, whole, reopen, number):
    asked = Disturbed(session.batches, 5, lambda: os.kill(os.getpid(), number))
    step, stopped_by = train(session._replace(batches=asked), quiet())
    assert stopped_by == number
    assert 3 <= step < STEPS
    assert session.checkpoints.newest() == step == lines(session)[-1]["step"]
    again = reopen(session.folder.path)
    assert train(again, quiet()) == Outcome(STEPS, None)
    assert_same_run(again, whole)


@pytest.mark.parametrize(("number", "at"), [(1, 3), (2, 6), (3, 8)])
def test_an_evaluation_that_a_signal_breaks_off_is_made_up_for(session, whole, reopen, number, at):
    """At the first, at another, and after the last step."""
    asked = session._replace(held_out=Asking(session.held_out, number))
    assert train(asked, quiet()) == Outcome(at, signal.SIGTERM)
    assert session.checkpoints.newest() == at
    assert [one["step"] for one in lines(session) if one["split"] == "held_out"] == [s for s in (3, 6, 8) if s < at]
    again = reopen(session.folder.path)
    assert train(again, quiet()) == Outcome(STEPS, None)
    assert_same_run(again, whole)


class Asking:
    """Held-out batches that are interrupted when they are gone through for the n-th time."""

    def __init__(self, batches, number: int):
        self.batches, self.rows, self.left = batches, batches.rows, number

    def __getitem__(self, index: int):
        return self.batches[index]

    def __iter__(self):
        self.left -= 1
        for batch in self.batches:
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch


def test_a_crash_between_checkpoints_loses_nothing_but_time(session, whole, reopen):
    def crash():
        raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError, match="the disk is on fire"):
        train(session._replace(batches=Disturbed(session.batches, 7, crash)), quiet())
    assert session.checkpoints.newest() == 4
    assert lines(session)[-1]["step"] > 4
    again = reopen(session.folder.path)
    train(again, quiet())
    assert_same_run(again, whole)


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(whole, reopen, tmp_path):
    shutil.copytree(whole.folder.path, tmp_path / "run")
    again = reopen(tmp_path / "run")
    (again.folder.checkpoints / "step_00000008" / "_METADATA").write_text("{}")
    console = quiet()
    train(again, console)
    text = console.file.getvalue()
    assert "the checkpoint of step 8 is damaged: step_00000008/_METADATA is not what was written" in text
    assert "going back to step 4" in text
    assert_same_run(again, whole)


def test_a_complete_run_is_left_as_it_is(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.folder.path.rglob("*")}
    assert train(whole, quiet()) == Outcome(STEPS, None)
    assert {path: path.stat().st_mtime_ns for path in whole.folder.path.rglob("*")} == before


# The second may come while the garbage collector calls back, and what is raised there is only told.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_second_ctrl_c_stops_at_once(session, monkeypatch):
    heard = threading.Semaphore(0)
    note = Interrupt._note
    monkeypatch.setattr(Interrupt, "_note", lambda *arguments: (note(*arguments), heard.release()))

    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        assert heard.acquire(timeout=60)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(session._replace(batches=Disturbed(session.batches, 3, twice)), quiet())
    assert int(session.checkpoints.restore(session.program.init()).state.step) <= 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_second_ctrl_c_that_python_drops_stops_at_the_next_step():
    class Finalized:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        interrupt.check()
        Finalized()
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()


def test_a_second_sigterm_changes_nothing():
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        interrupt.check()
        assert interrupt.name == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_are_given_back():
    before = [signal.getsignal(number) for number in NUMBERS]
    with Interrupt() as interrupt:
        assert interrupt.name is None
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.name == "SIGTERM"
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_trained_parameters_can_be_read(whole):
    encoder, config, params, step = load_trained(whole.folder.path)
    assert (encoder, step) == (whole.encoder, STEPS)
    assert config == dataclasses.replace(whole.config, run=str(whole.folder.path))
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, whole.program.init().params)


def test_without_a_terminal_there_are_plain_lines(session):
    console = quiet()
    train(session, console)
    shown = console.file.getvalue().splitlines()
    assert shown[0] == "attention: 2 layers by einsum (attention weights are dropped)"
    assert [line.split("  ")[0] for line in shown if "tokens/s" in line] == [f"step {n}/8" for n in range(1, 9)]
    assert len([line for line in shown if "held-out loss" in line]) == 3


def test_on_a_terminal_there_is_a_bar(session):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    train(session, console)
    assert "8/8" in console.file.getvalue()
    assert "lr 6.70e-05" in console.file.getvalue()


def test_the_folder_holds_the_text_as_it_was(prepared, reopen):
    again = reopen(Path(prepared.folder.path))
    for step in (0, 100):
        for a, b in zip(prepared.batches.batch(step), again.batches.batch(step), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("version", "step", "rate", "told"), [(2, 4, 0.1, True), (3, 4, 0.1, False), (2, 0, 0.1, False), (2, 4, 0.0, False)]
)
def test_a_run_that_was_begun_with_other_masks_is_told(prepared, version, step, rate, told, tmp_path):
    """Only where they have been used: before the first step, and without dropout, nothing is another."""
    shutil.copytree(prepared.folder.path, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    values = json.loads(folder.config.read_text())
    values["training"]["version"] = version
    for name in [name for since, added in _ADDED.items() if since > version for name in added]:
        group, _, option = name.rpartition(".")
        del (values["training"][group] if group else values["training"])[option]
    rates = dict.fromkeys(("embedding_dropout", "attention_dropout", "residual_dropout"), rate)
    values["encoder"] |= rates
    folder.write_json(folder.config, values)
    session = open_session(folder)._replace(program=prepared.program, batches=Stopping())
    session.checkpoints.save(prepared.program.init()._replace(step=jax.numpy.asarray(step, jax.numpy.int32)))
    console = quiet()
    with pytest.raises(StopIteration):
        train(session, console)
    assert ("dropout drew other masks" in console.file.getvalue()) is told


class Stopping:
    """Batches that end a run before its first step."""

    def batch(self, step: int):
        raise StopIteration
