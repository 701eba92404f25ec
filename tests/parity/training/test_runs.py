"""Whole training runs in both frameworks, and every mistake of the catalogue in the reference's loop."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from jax_encoder.errors import InputError
from jax_encoder.training import evaluation
from parity import cli
from parity.encoder.bugs.model import Patch
from parity.judge.verdict import Verdict
from parity.training.bugs import TRAINING_BUGS
from parity.training.course import EMPTY_STEP, PRESETS, prepare
from parity.training.follow import Result, Scales, allowed, compare_results, distances
from parity.training.runs import (
    JaxRun,
    Lesson,
    TorchRun,
    check_training,
    compare_mistaken,
    compare_training,
    outcome,
    outcomes,
)
from tests.jax_encoder.training.helpers import write_corpus
from torch_ref.training import Trainer

BUGS = {bug.name: bug for bug in TRAINING_BUGS}
STEPS = 4

# Slow: the lesson that all share is a training run.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shapes_unchecked")]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "corpus.txt"
    write_corpus(path, documents=200)
    return str(path)


@pytest.fixture(scope="module")
def lesson(text) -> Lesson:
    """BERT's form, of which every step has two micro-batches; compiled once."""
    return Lesson(prepare("bert", steps=STEPS, accumulate=2, data=(text,)))


@pytest.fixture(scope="module")
def report(lesson):
    return compare_training(lesson)


def test_both_sides_agree_at_every_step(report, lesson):
    assert report.verdict is Verdict.PASS
    (run,) = report.runs
    assert (run.variant, run.case) == ("bert", f"{STEPS} steps")
    assert len(run.comparisons) == STEPS * (3 + len(lesson.names)) + 2 * 3
    assert run.comparisons[0].site == "step 1 learning_rate"
    assert run.comparisons[-4].site == f"step {STEPS} parameter head.norm.bias"
    assert max(one.error for one in run.comparisons) < 1e-11
    assert run.culprits == run.replayed == ()


def test_the_first_and_the_last_parameters_are_evaluated(report, lesson):
    found = {one.site: one for one in report.runs[0].comparisons if " evaluation " in one.site}
    assert [*found] == [
        f"step {step} evaluation {what}" for step in (1, STEPS) for what in ("loss", "accuracy", "targets")
    ]
    batches = list(lesson.course.held_out)
    assert len(batches) >= 2
    assert len({batch.weights.sum() for batch in batches}) > 1
    assert found["step 1 evaluation targets"].expected == sum(batch.weights.sum() for batch in batches)
    assert found["step 1 evaluation loss"].expected > found[f"step {STEPS} evaluation loss"].expected > 1


def test_the_reference_is_evaluated_with_nothing_dropped_although_there_are_masks(lesson):
    assert all(batch.keeps is not None for batch in lesson.held_out)
    trainer = TorchRun(lesson, lesson.start)._trainer
    bare = [batch._replace(keeps=None) for batch in lesson.held_out]
    assert trainer.evaluate(bare) == trainer.evaluate(lesson.held_out)
    dropped, whole = (sum(trainer.sums(batch)[0].item() for batch in each) for each in (lesson.held_out, bare))
    assert dropped != whole


@pytest.mark.parametrize("bug", [bug for bug in TRAINING_BUGS if bug.in_jax], ids=lambda bug: bug.name)
def test_a_mistake_in_our_evaluation_is_caught_and_named(bug, lesson):
    found = outcome(bug, compare_mistaken(lesson.course, bug.in_jax), "JAX")
    assert found[:7] == (bug.name, "JAX", "training", True, True, True, True), found.said
    assert found.said.startswith("step 1 evaluation loss; step 1 evaluation loss (")


def test_our_evaluation_may_be_wrong_in_a_way_that_has_no_name(lesson):
    def plant(patch: Patch) -> None:
        plain = evaluation.evaluate
        patch.set(evaluation, "evaluate", lambda *given: plain(*given)._replace(loss=1.0))

    (run,) = compare_mistaken(lesson.course, plant).runs
    (culprit,) = run.culprits
    assert culprit.site == "step 1 evaluation loss"
    assert culprit.reads[0] == "step 1 parameter encoder.embedding.word.weight"
    assert culprit.explanations == ()


def test_everything_is_trained_with_dropout_in_unequal_parts(lesson):
    counts = [[float(part.weights.sum()) for part in lesson.micro_batches(step)] for step in range(STEPS)]
    assert any(one != other for one, other in counts)
    for part in lesson.micro_batches(0):
        keeps = [part.keeps.embedding, *(one for layer in part.keeps.layers for one in layer)]
        assert all(0.05 < 1 - float(keep.double().mean()) < 0.15 for keep in keeps)
    moved = TorchRun(lesson, lesson.start).step().parameter
    still = [name for name, array in moved.items() if (array == lesson.start.params[name].numpy()).all()]
    assert still == []


def test_one_step_has_nothing_to_predict_and_moves_nothing(lesson, report):
    assert not any(part.weights.any() for part in lesson.micro_batches(EMPTY_STEP - 1))
    found = {one.site: one.expected for one in report.runs[0].comparisons if one.site.startswith(f"step {EMPTY_STEP} ")}
    assert found[f"step {EMPTY_STEP} loss"] == found[f"step {EMPTY_STEP} gradient_norm"] == 0
    curve = report.curves["parameters, torch float32"]
    assert curve[EMPTY_STEP - 1] == curve[EMPTY_STEP - 2]


def test_curves_are_distances_from_float64(report):
    assert set(report.curves) == {
        f"{measure}, {run}"
        for measure in ("loss", "parameters")
        for run in ("JAX float64", "JAX float32", "torch float32")
    }
    for name, values in report.curves.items():
        assert len(values) == STEPS
        if name.startswith("parameters"):
            low, high = (1e-17, 1e-13) if name.endswith("float64") else (1e-9, 1e-5)
            assert all(low < value < high for value in values), name


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught_at_its_step_and_named(name, lesson):
    found = outcome(BUGS[name], compare_training(lesson, BUGS[name].trainer))
    assert found[:7] == (name, "torch", "training", True, True, True, True), found.said


def test_the_report_names_step_and_tensor(lesson):
    report = compare_training(lesson, BUGS["head-bias-frozen"].trainer)
    assert report.verdict is Verdict.FAIL_SEMANTIC
    run = report.runs[0]
    assert run.comparisons[run.first_to_differ].site == "step 1 parameter head.bias"
    (culprit,) = run.culprits
    assert culprit.reads == ("step 1 learning_rate", "step 1 gradient_norm")
    assert culprit.explanations[0][:3] == ("head-bias-frozen", "the bias of the decoder is never moved", "torch")
    assert culprit.explanations[0].residual < 1e-10
    assert len(culprit.elements) == 8
    assert report.curves == {}


class _Unknown(Trainer):
    """A mistake that is in no catalogue."""

    def update(self) -> float:
        self.options = dataclasses.replace(self.options, learning_rate=1e-3)
        return super().update()


def test_what_no_mistake_explains_stays_unexplained(lesson):
    report = compare_training(lesson, _Unknown)
    (run,) = report.runs
    assert run.comparisons[run.first_to_differ].site == "step 1 learning_rate"
    assert [culprit.site for culprit in run.culprits] == ["step 1 learning_rate"]
    assert run.culprits[0].explanations == ()


def test_ours_can_start_from_any_state_of_the_reference(lesson):
    run = TorchRun(lesson, lesson.start)
    run.step()
    between = run.state()
    ours, theirs = JaxRun(lesson, between, wide=True).step(), run.step()
    assert all(one.agrees for one in compare_results(2, ours, theirs, Scales()) if "key.bias" not in one.site)
    again = TorchRun(lesson, between).step()
    np.testing.assert_array_equal(again.loss, theirs.loss)
    assert all((again.parameter[name] == array).all() for name, array in theirs.parameter.items())


def test_runs_are_in_the_precision_they_say(lesson):
    assert {array.dtype for array in JaxRun(lesson, lesson.start, wide=False).step().parameter.values()} == {
        np.dtype(np.float32)
    }
    lower = TorchRun(lesson, lesson.start, dtype=torch.float32).step()
    assert {array.dtype for array in lower.parameter.values()} == {np.dtype(np.float32)}
    assert JaxRun(lesson, lesson.start, wide=True).step().loss.dtype == np.float64


@pytest.mark.slow
def test_without_accumulation_and_on_the_default_text():
    course = prepare("modernbert", steps=3, accumulate=1)
    assert course.encoder == dataclasses.replace(PRESETS["modernbert"], vocab_size=512)
    report = check_training(course)
    assert report.verdict is Verdict.PASS


def test_what_the_steps_cannot_show_makes_them_no_proof(lesson, monkeypatch):
    monkeypatch.setattr(lesson, "micro_batches", lambda step, known=lesson.micro_batches: (known(0)[0],) * 2)
    run = compare_training(lesson).runs[0]
    assert run.inadequate[:1] == (
        "all micro-batches of a step have equally many targets: it does not matter how they are weighed",
    )


def test_held_out_batches_with_equally_many_targets_show_no_mean_of_means(lesson, monkeypatch):
    monkeypatch.setattr(lesson, "held_out", (lesson.held_out[0],) * 2)
    assert (
        "all held-out batches have equally many targets: it does not matter how they are weighed"
        in compare_training(lesson).runs[0].inadequate
    )


@pytest.mark.slow
def test_the_self_test_says_what_happened():
    (found,) = outcomes(frozenset({"zero-grad-forgotten"}))
    assert found[:7] == ("zero-grad-forgotten", "torch", "training", True, True, True, True)
    assert found.said == "step 2 gradient_norm; step 2 gradient_norm (zero-grad-forgotten)"


def test_a_run_without_a_mistake_is_said_to_have_none(report):
    assert outcome(BUGS["untied"], report)[3:] == (False, False, False, False, "-; -")


def test_the_bound_grows_but_stays_below_every_mistake():
    assert [allowed(step) for step in (1, 100, 500, 1000, 10**6)] == [1e-10, 1e-10, 5e-10, 1e-9, 1e-9]


def result(**changes) -> Result:
    values = {"learning_rate": 0.5, "loss": 2.0, "gradient_norm": 3.0}
    scalars = {name: np.array(value) for name, value in (values | changes).items() if name in values}
    parameter = changes.get("parameter", {"bias": np.array([3.0, 4.0])})
    return Result(**scalars, parameter=parameter)


def test_distances():
    moved = result(loss=2.5, parameter={"bias": np.array([3.0, 4.5], np.float32)})
    assert distances(moved, result()) == {"loss": 0.5, "parameters": 0.1}


def test_what_rounding_alone_moves_is_judged_by_how_far_it_could_have_moved():
    scales = Scales()
    scales.add(result())
    scales.add(result(learning_rate=0.25))
    assert scales.of("step 2 parameter bias") == 0.75
    assert scales.of("step 2 learning_rate") == 0.5
    assert scales.of("step 2 loss") == scales.of("step 2 gradient_norm") == 0
    empty = Scales()
    empty.add(result(loss=0.0))
    assert empty.of("step 2 loss") == empty.of("step 2 gradient_norm") == 1
    assert scales.of("step 2 evaluation accuracy") == 1
    noise = [result(parameter={"bias": np.array([value, -value])}) for value in (1e-15, 3e-15)]
    assert all(one.agrees for one in compare_results(2, *noise, scales))
    assert not all(one.agrees for one in compare_results(2, *noise, Scales()))


@pytest.mark.slow
def test_command_line(tmp_path, capsys, text):
    picture, record = tmp_path / "drift.png", tmp_path / "training.json"
    arguments = ["training", "--steps", "2", "--preset", "bert", "--data", text]
    assert cli.main([*arguments, "--plot", str(picture), "--json", str(record)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("parity PASS: 1 variant x 1 case, ")
    assert "\ndistance from torch in float64 after the last step:\n" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert json.loads(record.read_text())["verdict"] == "PASS"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--steps", "0"), "--steps must be at least 1, got 0"),
        (("--accumulate", "3"), "--batch-size 8 cannot be computed in --accumulate 3 equal parts"),
        (("--data", "/no/such.txt"), "no such file: /no/such.txt"),
        (("--plot", "no/such/folder.png"), "--plot no/such/folder.png: must name a file in a folder that exists"),
    ],
)
def test_bad_use_is_status_2(capsys, arguments, message):
    assert cli.main(["training", *arguments]) == 2
    assert capsys.readouterr().err == f"python -m parity: {message}\n"


def test_numbers_that_cannot_work_are_refused():
    with pytest.raises(InputError, match="--seed must be at least 0"):
        prepare("bert", steps=2, accumulate=1, seed=-1)
