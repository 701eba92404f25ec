"""The keys of dropout as the trainer makes them."""

import pytest

from jax_encoder.training import step as steps
from parity.judge.verdict import Report, Verdict
from parity.training.course import prepare
from parity.training.draws import KEY_BUGS, STEPS, check_trainer_draws, outcome, outcomes
from tests.jax_encoder.training.helpers import write_corpus

pytestmark = pytest.mark.slow  # a course's rate of a tenth takes ten million draws of every place


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "corpus.txt"
    write_corpus(path, documents=200)
    return prepare("bert", steps=2, accumulate=2, data=(str(path),))


def test_what_the_trainer_drops_is_sound(course):
    run = check_trainer_draws(course)
    assert Report("draws", 1e-10, {}, (run,)).verdict is Verdict.PASS
    assert (run.variant, run.case) == ("bert", "draws")
    assert run.comparisons[0].shape[:2] == (STEPS, 2)
    assert "draws.weights.micro_batches" in [one.site for one in run.comparisons]


@pytest.mark.parametrize("bug", KEY_BUGS, ids=lambda bug: bug.name)
def test_a_planted_mistake_is_caught_located_and_named(course, bug):
    found = outcome(bug, course)
    assert found[:7] == (bug.name, "JAX", "draws", True, True, True, True), found.said


def test_keys_are_the_trainers_own(course, monkeypatch):
    asked = []
    plain = steps.step_key
    monkeypatch.setattr(steps, "step_key", lambda seed, step: asked.append((seed, step)) or plain(seed, step))
    check_trainer_draws(course)
    assert {*asked} == {(course.config.seed, step) for step in range(STEPS)}


def test_the_self_test_takes_what_it_is_asked_for():
    (found,) = outcomes(frozenset({"draws-micro-batches-alike"}))
    assert found[:7] == ("draws-micro-batches-alike", "JAX", "draws", True, True, True, True)
