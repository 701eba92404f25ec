"""Optax against torch.optim: they agree, and every mistake of the catalogue is caught, located and named."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from parity import cli
from parity.judge.outcome import judged
from parity.judge.verdict import Report, Verdict
from parity.judge.verdict import judge as verdict_on
from parity.optimizer import bench as binding
from parity.optimizer.bench import Bench, bench_of, check_optimizers, outcomes
from parity.optimizer.bugs import OPTIMIZER_BUGS
from parity.optimizer.layered_bugs import LAYERED_BUGS
from parity.optimizer.plants import WrittenAdamW
from parity.optimizer.settings import CASES, VARIANTS, Settings
from parity.optimizer.stages import COMPARED, START
from parity.optimizer.torch_side import Recipe, adam
from torch_ref import training

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

BUGS = {bug.name: bug for bug in OPTIMIZER_BUGS}


FAST = ("adamw-cosine", "sgd-nesterov", "muon")


@pytest.mark.parametrize(
    "variant", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS]
)
def test_both_sides_agree_at_every_stage_of_every_step(variant):
    runs = [bench_of(variant).run(variant, case) for case in CASES]
    assert verdict_on(runs) is Verdict.PASS
    for run in runs:
        assert not run.culprits
        assert [one.site for one in run.replayed] == [one.site for one in run.comparisons]
        assert all(one.agrees for one in run.replayed)
        assert all(one.error < 1e-11 for one in run.comparisons)
    stages = {re.sub(r"\..*", "", one.site.partition(".")[2]) for one in runs[0].comparisons}
    moments = set() if variant.startswith("sgd") else {"step_count", "second_moment"}
    expected = {"learning_rate", "global_norm", "clipped_gradient", "first_moment", "update", "parameter"}
    average = {"average"} if variant == "adamw-average" else set()
    assert stages == {""} | expected | moments | average
    steps = {one.site.split(".")[0] for one in runs[0].comparisons}
    assert steps == {"schedule"} | {f"step{step}" for step in range(START, START + COMPARED)}


def test_the_state_is_not_that_of_a_first_step():
    for case, scale in CASES.items():
        state = bench_of("adamw-cosine").start(case)
        assert state.done == START > 0
        assert all(np.abs(array).min() > 0 for array in (*state.first.values(), *state.second.values()))
        assert np.abs(state.first["head.bias"]).max() < 10 * scale


# Of those that one variant alone exposes, which takes seconds to compile, one for each; the self-test makes all.
OWN = {"stable-one-for-all", "lamb-trust-without-decay", "muon-scale", "average-of-before"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BUGS.keys() - {bug.name for bug in LAYERED_BUGS} | OWN))
def test_a_planted_bug_is_caught_located_and_named(name):
    bug = BUGS[name]
    bench = bench_of(bug.variant)
    outcome = judged(bug, "torch", "optimizer", bench.run(bug.variant, bug.case, theirs=bug.plant(bench.recipe)))
    assert outcome[:7] == (name, "torch", "optimizer", True, True, True, True), outcome.said


@pytest.mark.parametrize("name", ["adam-b2", "clip-eps", "decay-coupled", "schedule-off-by-one"])
def test_a_mistake_of_ours_is_named_as_ours(name):
    bug, bench = BUGS[name], bench_of("adamw-cosine")
    run = bench.run("adamw-cosine", bug.case, ours=bench.side(bug.plant(bench.recipe)))
    best = run.culprits[0].explanations[0]
    assert (best.bug, best.side) == (name, "JAX")
    assert best.residual < 1e-10


def test_what_no_mistake_explains_stays_unexplained():
    bench = bench_of("adamw-cosine")
    run = bench.run("adamw-cosine", "gradient-1", theirs=bench.recipe.set(b2=0.97))
    assert re.fullmatch(r"step3\.second_moment\..*", run.culprits[0].site)
    assert run.culprits[0].explanations == ()
    assert run.culprits[0].elements


def test_a_stage_that_only_inherits_is_no_culprit():
    bench = bench_of("adamw-cosine")
    run = bench.run("adamw-cosine", "gradient-1", theirs=BUGS["clip-missing"].plant(bench.recipe))
    differing = {one.site.split(".")[1] for one in run.comparisons if not one.agrees}
    assert differing == {"clipped_gradient", "first_moment", "second_moment", "update", "parameter"}
    assert {culprit.site.split(".")[1] for culprit in run.culprits} == {"clipped_gradient"}


def test_gradients_that_are_never_clipped_prove_nothing_about_clipping():
    settings = dataclasses.replace(VARIANTS["adamw-cosine"], clip_norm=1e9)
    run = Bench(settings).run("adamw-cosine", "gradient-1")
    assert run.inadequate == ("no gradient was clipped",)
    assert verdict_on([run]) is Verdict.VACUOUS


def test_the_catalogue():
    assert len(OPTIMIZER_BUGS) == len(BUGS) >= 18
    for bug in OPTIMIZER_BUGS:
        assert VARIANTS[bug.variant].optimizer in bug.optimizers
        assert bug.case in CASES


def test_the_self_test_says_what_happened():
    (outcome,) = outcomes(frozenset({"nesterov-off"}))
    assert outcome[:7] == ("nesterov-off", "torch", "optimizer", True, True, True, True)
    assert outcome.said.startswith("step3.update.encoder.embedding.norm.bias; step3.update.encoder.embedding.norm.bias")
    clean = bench_of("adamw-cosine")
    nothing = judged(BUGS["adam-eps"], "torch", "optimizer", clean.run("adamw-cosine", "gradient-1e-7"))
    assert nothing[3:] == (False, False, False, False, "-; -")


def test_the_written_adamw_is_torchs():
    bench = bench_of("adamw-cosine")
    recipe = dataclasses.replace(bench.recipe, make=adam(WrittenAdamW))
    assert verdict_on([bench.run("adamw-cosine", "gradient-1e-4", theirs=recipe)]) is Verdict.PASS


@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd", "wsd_sqrt", "inverse_root"])
@pytest.mark.parametrize(("warmup", "steps"), [(0, 7), (1, 7), (9, 50), (100, 2000)])
def test_learning_rates_of_whole_runs(schedule, warmup, steps):
    settings = Settings(optimizer="sgd", schedule=schedule, steps=steps, warmup_steps=warmup, decay_fraction=0.2)
    expected = [training.learning_rate(settings, steps, step) for step in range(steps)]
    actual = binding.JaxSide(settings).schedule()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-15 * settings.learning_rate)
    assert expected[warmup] == settings.learning_rate


def test_the_references_clipping_is_exact_and_torchs_is_not():
    gradients = [torch.tensor([3.0], dtype=torch.float64), torch.tensor([0.0, 4.0], dtype=torch.float64)]
    same = [gradient.clone() for gradient in gradients]
    assert float(training.clip(gradients, 1.0)) == 5
    assert math.isclose(math.hypot(*(float(g.norm()) for g in gradients)), 1.0, rel_tol=1e-15)
    assert float(training.clip(gradients, 1.5)) == pytest.approx(1.0, rel=1e-15)
    nn.utils.clip_grad_norm_([_with_gradient(g) for g in same], 1.0)
    assert 1e-8 < 1 - math.hypot(*(float(g.norm()) for g in same)) < 1e-6


def _with_gradient(gradient: torch.Tensor) -> nn.Parameter:
    parameter = nn.Parameter(torch.zeros_like(gradient))
    parameter.grad = gradient
    return parameter


def test_a_recipe_is_that_of_its_settings():
    recipe = Recipe(settings=VARIANTS["sgd-linear"])
    assert recipe.set(momentum=0.5).settings == dataclasses.replace(VARIANTS["sgd-linear"], momentum=0.5)


def test_command_line(tmp_path, capsys):
    path = tmp_path / "optimizer.json"
    arguments = ["optimizer", "--config", "sgd-linear", "--case", "gradient-1e-4", "--json", str(path)]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.startswith("parity PASS: 1 variant x 1 case, 637 comparisons; worst relative error ")
    assert json.loads(path.read_text())["verdict"] == "PASS"


def test_a_report_names_what_was_compared():
    report = check_optimizers(variants=["sgd-nesterov"], cases=["gradient-1"])
    assert isinstance(report, Report)
    assert report.subject == "optax against torch.optim"
    assert "optax" in report.environment


@pytest.mark.parametrize(("option", "what"), [("--config", "variant"), ("--case", "case")])
def test_unknown_names_are_status_2(capsys, option, what):
    assert cli.main(["optimizer", option, "adamax"]) == 2
    assert capsys.readouterr().err.startswith(f"python -m parity: no {what} is called adamax; there are: ")


def test_a_side_that_raises_is_an_error_and_the_others_go_on(monkeypatch):
    plain = binding.JaxSide.clip

    def clip(self, gradient):
        if max(float(np.abs(array).max()) for array in gradient.values()) < 1e-5:
            raise FloatingPointError("too small")
        return plain(self, gradient)

    monkeypatch.setattr(binding.JaxSide, "clip", clip)
    report = check_optimizers(variants=["sgd-linear"], cases=["gradient-1", "gradient-1e-7"])
    assert report.verdict is Verdict.ERROR
    sound, raised = report.runs
    assert sound.crash is None
    assert len(sound.comparisons) > 100
    assert (raised.crash.side, raised.crash.message) == ("JAX", "too small")
