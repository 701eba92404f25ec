"""Names of mistakes: none from one number alone."""

import pytest
import torch

import torch_ref
from parity.cases.case import make_case
from parity.encoder.bugs.model import ModelBug
from parity.encoder.bugs.plant import patched
from parity.encoder.pair import Pair
from parity.encoder.variants import sizes_of, variants
from parity.judge.check import compare_trace
from parity.judge.verdict import Culprit

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

RIGHT = torch_ref.masked_lm_loss


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair.build(variants()["post"], whole=False, keep=True)


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


@pytest.mark.slow
def test_a_number_that_a_mistake_would_have_left_names_nothing(pair):
    culprit = culprit_of(pair, summed_by_value_alone)
    assert culprit.explanations == ()
    assert culprit.shape == ("too few numbers to tell a relation: 1",)
