"""Steps whose loss or gradient is not finite, and steps with nothing to predict."""

import jax
import numpy as np
import optax
import pytest

from jax_encoder.commands.train import main
from jax_encoder.errors import InputError
from jax_encoder.params import named
from jax_encoder.training import dump
from jax_encoder.training.loop import Outcome, train
from tests.jax_encoder.training.helpers import STEPS, lines, quiet


def test_too_many_steps_that_are_not_finite_end_the_run_and_the_last_can_be_run_again(session, capsys):
    state = session.program.init()
    bias = state.params["head"]["bias"]
    state.params["head"]["bias"] = bias.at[3].set(np.nan)
    session.checkpoints.save(state)
    console = quiet()
    with pytest.raises(FloatingPointError) as raised:
        train(session, console)
    kept = session.folder.kept_step(3)
    assert str(raised.value) == (
        "loss is nan at step 3, and in all 3 steps from 1 on a number is not finite; the run stops, and nothing after "
        f"step 0 is saved.\nThe last of these steps is kept: python -m jax_encoder replay {kept}\n"
        "shows where it stops being finite. Start a new run with a lower --learning-rate, a longer --warmup-steps or a "
        "lower --clip-norm"
    )
    assert "step 2: loss is nan; it moves nothing (2 in a row, 2 in all)" in console.file.getvalue()
    assert session.checkpoints.steps() == [0]
    assert [(one["step"], one["skipped"], one["loss"], one["grad_norm"]) for one in lines(session)] == [
        (step, 1, None, None) for step in (1, 2, 3)
    ]
    assert main(["replay", str(kept)]) == 0
    share = f"{1 / session.encoder.vocab_size:.2%}"
    assert capsys.readouterr().out.splitlines() == [
        "step 3, run again: loss nan, gradient norm nan",
        f"first value that is not finite: head.logits in part 1 of 2, {share} of its entries",
        "parameters that are not finite: head.bias",
        f"gradients that are not finite: {', '.join(sorted(named(state.params))[:5])} and "
        f"{len(named(state.params)) - 5} more",
    ]


class Spoiled:
    """Batches of which some have words that there are none of, which embed as NaN, or nothing to predict."""

    def __init__(self, batches, unknown: set[int], empty: set[int] = frozenset()):
        self.batches, self.unknown, self.empty = batches, unknown, empty

    def batch(self, step: int):
        batch = self.batches.batch(step)
        if step in self.unknown:
            return batch._replace(tokens=np.full_like(batch.tokens, 10**6))
        return batch._replace(weights=0 * batch.weights) if step in self.empty else batch


def test_single_steps_are_left_out_and_the_run_goes_on(session, reopen):
    spoiled = session._replace(batches=Spoiled(session.batches, {1, 2, 4, 5}, {6}))
    console = quiet()
    assert train(spoiled, console) == Outcome(STEPS, None)
    train_lines = [one for one in lines(session) if one["split"] == "train"]
    assert [one["skipped"] for one in train_lines] == [0, 1, 1, 0, 1, 1, 0, 0]
    assert [one["loss"] is None for one in train_lines] == [0, 1, 1, 0, 1, 1, 0, 0]
    assert (train_lines[6]["loss"], train_lines[6]["grad_norm"]) == (0, 0)
    assert "step 6: loss is nan; it moves nothing (2 in a row, 4 in all)" in console.file.getvalue()
    state = session.checkpoints.restore(session.program.init()).state
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert [int(count) for _, count in optax.tree.get_all_with_path(state.opt_state, "count")] == [3, 8]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: (path / "batch.npz").unlink(), "No such file or directory"),
        (lambda path: (path / "params.npz").write_bytes(b"PK"), ""),
        (lambda path: (path / "step.json").write_text("{}"), "'training'"),
    ],
)
def test_what_is_no_kept_step_is_refused(prepared, tmp_path, change, message):
    params = {"head.bias": np.zeros(3)}
    dump.write(tmp_path, dump.Dump(prepared.config, prepared.encoder, 4, params, prepared.batches.batch(3)))
    read = dump.read(tmp_path)
    assert (read.step, read.encoder, read.params["head.bias"].shape) == (4, prepared.encoder, (3,))
    change(tmp_path)
    with pytest.raises(InputError, match=rf"cannot be read as a step that a run has kept: .*{message}"):
        dump.read(tmp_path)
