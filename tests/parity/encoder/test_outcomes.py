"""The judge is judged: every mistake of the catalogue is made, and must be caught, located and named."""

import dataclasses
import functools
from collections import Counter

import pytest
import torch
from torch.nn import functional

from parity.encoder.bugs.catalogue import MODEL_BUGS, find
from parity.encoder.bugs.plant import patched
from parity.encoder.elsewhere import EACH, elsewhere
from parity.encoder.outcomes import outcome, outcomes_in
from parity.encoder.pair import Pair
from parity.encoder.variants import DROPOUT, variants
from parity.errors import MismatchError, UsageError
from torch_ref import masks

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

# What cannot be named, and why.
UNNAMED = {
    ("norm-fast-variance", "JAX"): "what it leaves is rounding, and every way to write it rounds in its own way",
}
FAST = ("gelu-tanh", "key-bias-dropped", "untied", "classifier-counts-padding")
PLANTS = [(bug.name, side) for bug in MODEL_BUGS for side in ("torch", "JAX")[: 1 + (bug.in_jax is not None)]]
RATES = ("embedding", "weights", "residual")


@functools.cache
def pair_of(variant: str) -> Pair:
    return Pair.build(variants()[variant], whole=False, keep=True)


@pytest.mark.parametrize(
    ("name", "side"), [pytest.param(*one, marks=() if one[0] in FAST else pytest.mark.slow) for one in PLANTS]
)
def test_a_planted_mistake(name, side):
    bug = find(name)
    found = outcome(bug, side, pair_of(bug.variant))
    assert found.caught, "nothing differs"
    assert found.first, found.said
    assert found.located, found.said
    assert found.named == ((name, side) not in UNNAMED), found.said


@pytest.mark.slow
def test_a_mistake_in_a_model_of_other_sizes_and_form():
    """In one such model; the self-test makes each in two."""
    found = [one for form, bugs in elsewhere(each=1) for one in outcomes_in(form, frozenset(bug.name for bug in bugs))]
    assert {one.bug for one in found} == {bug.name for bug in MODEL_BUGS}
    wrong = [one for one in found if not (one.caught and one.first and one.located)]
    assert not wrong, wrong
    unnamed = [one for one in found if not one.named]
    assert len(unnamed) <= 0.05 * len(found), unnamed


def test_models_are_chosen_for_so_many_tries_of_every_mistake():
    counts = Counter(bug.name for _, bugs in elsewhere(each=1) for bug in bugs)
    assert counts == dict.fromkeys((bug.name for bug in MODEL_BUGS), 1)


def test_every_mistake_is_tried_in_two_other_models():
    chosen = elsewhere()
    counts = Counter(bug.name for _, bugs in chosen for bug in bugs)
    assert counts == dict.fromkeys((bug.name for bug in MODEL_BUGS), EACH)
    assert not {form for form, _ in chosen} & set(variants().values())
    assert all(bug.applies(form) for form, bugs in chosen for bug in bugs)
    assert chosen == elsewhere()
    some = [find("gelu-tanh"), find("untied")]
    assert elsewhere(some) == tuple(
        (form, left) for form, bugs in chosen if (left := tuple(bug for bug in some if bug in bugs))
    )


def test_a_mistake_that_no_model_can_have_is_no_success(monkeypatch):
    impossible = dataclasses.replace(find("untied"), name="impossible", applies=lambda form: False)
    monkeypatch.setattr("parity.encoder.elsewhere.MODEL_BUGS", (impossible,))
    with pytest.raises(AssertionError, match=r"in no drawn model, these can be made: \['impossible'\]"):
        elsewhere()


def test_the_catalogue():
    assert len(MODEL_BUGS) >= 130
    assert sum(bug.in_jax is not None for bug in MODEL_BUGS) >= 95
    for bug in MODEL_BUGS:
        assert bug.mistake
        assert not bug.mistake.endswith(".")
        assert bug.applies(variants()[bug.variant]), f"{bug.name} cannot be made in its own variant"


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["post-deployed", "pre-deployed"])
@pytest.mark.parametrize("side", ["torch", "JAX"])
@pytest.mark.parametrize("rate", RATES)
def test_dropout_in_evaluation(rate, side, variant):
    bug = dataclasses.replace(find(f"dropout-on-{rate}"), first=None)
    found = outcome(bug, side, pair_of(variant))
    assert found[3:7] == (True, True, True, True), found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rate"), [*zip(RATES, DROPOUT.values(), strict=True)])
def test_dropout_that_draws_by_itself_in_evaluation_is_located(name, rate):
    """As `torch.nn.functional.dropout` does unless it is told not to. Nobody has its draws, so it has no name."""

    def drop(x, keep, p):
        return functional.dropout(x, p) if p == rate else x

    torch.manual_seed(0)
    own = dataclasses.replace(find(f"dropout-on-{name}"), plant=patched(masks, "drop", drop), first=None)
    found = outcome(own, "torch", pair_of("post-deployed"))
    assert found[3:7] == (True, True, True, False), found


def test_sides_that_cannot_be_brought_together_are_caught_but_not_located():
    def unfit(model, patch):
        raise MismatchError("shapes do not fit")

    found = outcome(dataclasses.replace(MODEL_BUGS[0], plant=unfit), "torch", pair_of("post"))
    assert (found.caught, found.located, found.said) == (True, False, "shapes do not fit")


def test_an_unknown_mistake_is_refused():
    with pytest.raises(UsageError, match="no bug is called gelu-tan; there are: norm-eps-1e-5, "):
        find("gelu-tan")
