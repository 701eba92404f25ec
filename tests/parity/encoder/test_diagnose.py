"""Names of mistakes: none from one number alone; of several that explain a difference, first the one that says most."""

import pytest
import torch

import torch_ref
from parity.cases.case import make_case
from parity.encoder.bugs.catalogue import find
from parity.encoder.bugs.model import ModelBug
from parity.encoder.bugs.plant import patched
from parity.encoder.pair import Pair
from parity.encoder.variants import sizes_of, variants
from parity.judge.check import compare_trace
from parity.judge.verdict import Culprit

RIGHT = torch_ref.masked_lm_loss


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair.build(variants()["post"], whole=False)


def culprit_of(pair: Pair, loss) -> Culprit:
    """The cause that is found where the reference has another loss."""
    bug = ModelBug(name="another", mistake="", where="mlm", plant=patched(torch_ref, "masked_lm_loss", loss))
    found = compare_trace(pair.with_bug(bug, "torch")(make_case("ragged", sizes_of(pair.form.config))))
    (culprit,) = found.culprits
    assert culprit.site == "mlm"
    return culprit


def summed(logits, labels, weights):
    total, count = RIGHT(logits, labels, weights)
    return total, torch.ones_like(count)


def summed_by_value_alone(logits, labels, weights):
    """The number of the catalogue's `loss-sum`, and the gradient of the right loss."""
    total, count = RIGHT(logits, labels, weights)
    mean = total / count
    return mean + (total - mean).detach(), torch.ones_like(count)


def test_a_loss_is_named_by_its_number_and_its_derivative(pair):
    named = culprit_of(pair, summed).explanations
    assert [(one.bug, one.side) for one in named] == [("loss-sum", "torch")]


def test_a_number_that_a_mistake_would_have_left_names_nothing(pair):
    culprit = culprit_of(pair, summed_by_value_alone)
    assert culprit.explanations == ()
    assert culprit.shape == ("too few numbers to tell a relation: 1",)


@pytest.fixture(scope="module")
def explanations():
    """Of a mistake in a variant: at every culprit that is looked at closely, what explains it."""
    pairs = {}

    def of(name: str, variant: str) -> dict[str, list[str]]:
        pair = pairs.setdefault(variant, Pair.build(variants()[variant], whole=False))
        case = make_case("longer-than-window", sizes_of(pair.form.config))
        found = compare_trace(pair.with_bug(find(name), "torch")(case)).culprits
        return {one.site: [each.bug for each in one.explanations] for one in found if one.explanations}

    return of


def test_a_layer_that_cannot_tell_is_told_by_the_others(explanations):
    """Within the window of layer 0, seeing the left alone is one mistake; layer 1 has no window."""
    first, second = (f"layers.{layer}.attention.masked_scores" for layer in range(2))
    both = ["causal-left-on", "window-one-sided"]
    assert explanations("causal-left-on", "pre-unrolled") == {first: both, second: both[:1]}
    assert explanations("window-one-sided", "pre-unrolled") == {first: both[::-1]}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["groups-shifted", "groups-reversed", "groups-ignored", "groups-in-turn", "groups-in-blocks"]
)
def test_groups_that_a_layer_cannot_tell_apart(name, explanations):
    """Every way to confuse three groups gives some layer what another way gives it, too."""
    found = explanations(name, "shared-layers")
    assert {names[0] for names in found.values()} == {name}
    assert any(len(names) > 1 for names in found.values()) == (name != "groups-reversed")
