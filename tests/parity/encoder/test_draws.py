"""What our encoder drops is judged by itself: comparing both sides cannot, for the reference is given our draws."""

import dataclasses

import jax
import numpy as np
import pytest

from jax_encoder import dropout
from jax_encoder.config import EncoderConfig
from parity.encoder import draws
from parity.encoder.bugs.draws import DRAWS_BUGS
from parity.encoder.bugs.model import Patch
from parity.encoder.draws import CASE, STEPS, check_draws
from parity.encoder.form import Form
from parity.encoder.outcomes import outcome_of_draws
from parity.encoder.pair import Pair
from parity.encoder.subject import EncoderSubject, EncoderVariant
from parity.encoder.variants import variants
from parity.errors import MismatchError
from parity.judge.check import check_variant
from parity.judge.draws import MISTAKES
from parity.judge.verdict import Report, Verdict

CONFIG = variants()["post-dropout"].config
# A rate of which few draws are enough.
EVEN = dataclasses.replace(CONFIG, embedding_dropout=0.0, attention_dropout=0.5, residual_dropout=0.5)
FAST = ("draws-layers-alike", "draws-rate-swapped")


def verdict(run) -> Verdict:
    return Report("draws", 1e-10, {}, (run,)).verdict


def failing(run) -> list[str]:
    return [one.site for one in run.comparisons if not one.agrees]


def test_what_we_drop_is_sound():
    run = check_draws("post-dropout", CONFIG)
    assert (run.variant, run.case) == ("post-dropout", CASE)
    assert verdict(run) is Verdict.PASS, failing(run)
    assert len(run.comparisons) == 33
    rates = {one.site: one.expected for one in run.comparisons if one.site.endswith(".rate")}
    assert rates["draws.embedding.rate"] == 0.1
    assert rates["draws.layers.1.weights.rate"] == 0.2
    assert rates["draws.layers.0.mlp_output.rate"] == 0.3


def test_places_without_a_rate_are_left_out():
    run = check_draws("even", EVEN)
    assert verdict(run) is Verdict.PASS, failing(run)
    assert not [one.site for one in run.comparisons if "embedding" in one.site]


@pytest.mark.parametrize(
    "name", [pytest.param(bug.name, marks=() if bug.name in FAST else pytest.mark.slow) for bug in DRAWS_BUGS]
)
def test_a_planted_mistake_is_caught_located_and_named(name):
    (bug,) = (bug for bug in DRAWS_BUGS if bug.name == name)
    found = outcome_of_draws(bug)
    assert found[:7] == (name, "JAX", "draws", True, True, True, True), found.said


def test_the_catalogue():
    names = [bug.name for bug in DRAWS_BUGS]
    assert len(set(names)) == len(names)
    assert {*names, "draws-micro-batches-alike"} == {*MISTAKES}


@pytest.mark.slow
def test_the_same_mistake_passes_where_both_sides_are_compared(monkeypatch):
    """The blind spot that draws are judged for."""
    # Sizes of its own, so that no program that was compiled without the mistake is used.
    config = dataclasses.replace(EncoderConfig.tiny(), vocab_size=67, residual_dropout=0.4)
    plain = dropout.layer_drops
    monkeypatch.setattr(dropout, "layer_drops", lambda key, layer, *rest: plain(key, 0, *rest))
    compared = Pair.build(Form.trained(config, deployed=False), whole=False).compare("ragged")
    assert all(comparison.agrees for comparison in compared)
    assert failing(check_draws("tiny", config))[0] == "draws.weights.layers"


def test_so_few_keys_that_rows_cannot_make_up_for_it_are_no_proof(monkeypatch):
    monkeypatch.setattr(draws, "_ROWS", 64)
    run = check_draws("few", EVEN, [[jax.random.key(0)]])
    assert verdict(run) is Verdict.VACUOUS
    rates = {reason.rpartition(": ")[2] for reason in run.inadequate if reason.endswith(".rate")}
    places = ("weights", "attention_output", "mlp_output")
    assert rates == {f"draws.layers.{layer}.{place}.rate" for place in places for layer in (0, 1)}


def planted(monkeypatch, keep):
    monkeypatch.setattr(dropout, "keep", keep)
    return check_draws("even", EVEN)


def test_a_mask_that_is_shared_by_its_shape_is_one_for_all(monkeypatch):
    plain = dropout.keep
    run = planted(monkeypatch, lambda key, rate, shape: plain(key, rate, (shape[0], 1, *shape[2:])))
    assert failing(run) == ["draws.weights.heads", "draws.attention_output.positions", "draws.mlp_output.positions"]


def test_no_mask_drops_nothing(monkeypatch):
    run = planted(monkeypatch, lambda key, rate, shape: None)
    assert {explanation.bug for one in run.culprits for explanation in one.explanations} == {"draws-nothing"}
    assert len(run.culprits) == 6


def test_a_mask_of_another_shape_cannot_be_judged():
    with pytest.raises(MismatchError, match=r"a mask of weights has shape \(4, 3, 2\), must be \(4, 3\) or more rows"):
        draws._dropped("weights", (4, 3), np.ones((4, 3, 2), bool))


def test_nothing_may_be_dropped_where_the_rate_is_0(monkeypatch):
    plain = dropout.place
    monkeypatch.setattr(dropout, "place", lambda key, rate: plain(key, rate or 0.1))
    run = check_draws("even", EVEN)
    assert verdict(run) is Verdict.FAIL_SEMANTIC
    assert run.comparisons[0].problem == "embedding drops although its rate is 0"


def test_ours_that_raises_is_an_error_of_ours(monkeypatch):
    def keep(key, rate, shape):
        raise RuntimeError("no bits left")

    run = planted(monkeypatch, keep)
    assert verdict(run) is Verdict.ERROR
    assert (run.crash.side, run.crash.message) == ("JAX", "no bits left")


def test_a_plant_is_taken_back():
    before = dropout.keep, dropout.layer_drops, dropout.embedding_drop
    for bug in DRAWS_BUGS:
        patch = Patch()
        bug.plant(patch)
        with patch.active():
            assert (dropout.keep, dropout.layer_drops, dropout.embedding_drop) != before
        assert (dropout.keep, dropout.layer_drops, dropout.embedding_drop) == before


class Subject(EncoderSubject):
    def variants(self):
        return {
            "drops": EncoderVariant(Form(EVEN, classifier=None, pooler=False)),
            "deployed": EncoderVariant(Form(EVEN, classifier=None, pooler=False, deployed=True)),
        }


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cases"), [("drops", ["ragged", CASE]), ("deployed", ["ragged"])])
def test_a_check_judges_the_draws_of_what_drops(name, cases):
    runs = check_variant(Subject(), name, ["ragged"], lambda *where: None)
    assert [run.case for run in runs] == cases
    assert Report("draws", 1e-10, {}, runs).verdict is Verdict.PASS


def test_as_many_steps_as_are_said():
    (steps, *_), *_ = (one.shape for one in check_draws("even", EVEN).comparisons)
    assert steps == STEPS
