"""Fair refactorings pass, though values differ that reach nothing; no mistake passes in their shade."""

import functools

import pytest
import torch

from parity.cases.case import CASE_NAMES, make_case
from parity.encoder.bugs.catalogue import find
from parity.encoder.bugs.model import ModelBug, Patch, Plant
from parity.encoder.bugs.plant import every, filled, matched, patched
from parity.encoder.pair import Pair
from parity.encoder.variants import sizes_of, variants
from parity.judge.check import Compared, compare_trace, run_of
from parity.judge.compare import SEMANTIC
from parity.judge.verdict import Report, Verdict
from parity.report.text import render
from torch_ref import masks
from torch_ref.attention import Attention

pytestmark = pytest.mark.usefixtures("shapes_unchecked")


def padding_keeps_its_keys(model: torch.nn.Module, _: Patch) -> None:
    """What the key projection reads is not zeroed at padding; its weights stay 0."""
    for attention in every(model, Attention):
        read = {}
        attention.register_forward_pre_hook(lambda module, args, read=read: read.update(key=args[1]))
        attention.key.register_forward_pre_hook(lambda module, args, read=read: (read["key"],))


def additive(scores: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    masked = scores + torch.where(mask, 0.0, -1e9)
    return masked, masked.softmax(dim=-1) * mask


# The refactoring, and the values that differ in each layer of a post-norm encoder.
FAIR: dict[str, tuple[Plant, set[str]]] = {
    "a fill of -1e30": (matched(filled(-1e30)), {"masked_scores"}),
    "an additive mask": (matched(additive), {"masked_scores"}),
    "queries at padding as computed": (
        patched(masks, "sees", lambda mask: torch.ones(mask.shape[:2], dtype=torch.bool)),
        {"query", "scores"},
    ),
    "keys of padding as computed": (padding_keeps_its_keys, {"key", "scores"}),
}


FEW = ("ragged", "packed", "nan-padding")  # rows with padding behind, with documents, with padding that is no number


@functools.cache
def pair_of(variant: str) -> Pair:
    return Pair.build(variants()[variant], whole=False, keep=True)


def compared(plant: Plant, case: str, variant: str = "post") -> Compared:
    pair = pair_of(variant)
    bug = ModelBug(name="refactored", mistake="", where="", plant=plant)
    return compare_trace(pair.with_bug(bug, "torch")(make_case(case, sizes_of(pair.form.config))))


def report_of(found: Compared, case: str = "ragged") -> Report:
    return Report("ours against a refactored reference", SEMANTIC, {}, (run_of("post", case, found),))


@pytest.mark.parametrize(("plant", "sites"), FAIR.values(), ids=FAIR)
def test_a_fair_refactoring_passes_and_is_told(plant, sites):
    found = compared(plant, "ragged")
    layers = {f"layers.{layer}.attention.{site}" for layer in range(2) for site in sites}
    assert {one.site for one in found.comparisons if not one.agrees} == set(found.inert) == layers
    assert found.culprits == found.differing == ()
    report = report_of(found)
    assert report.verdict is Verdict.PASS
    lines = render(report).splitlines()
    assert f", of which {len(layers)} differ but reach no output and no gradient; worst" in lines[0]
    assert lines[3].startswith("    layers.0.attention.")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "case"),
    [("post", case) for case in CASE_NAMES] + [(name, case) for name in ("modernbert", "relative") for case in FEW],
)
@pytest.mark.parametrize("plant", [plant for plant, _ in FAIR.values()], ids=FAIR)
def test_a_fair_refactoring_passes_everywhere(plant, case, variant):
    found = compared(plant, case, variant)
    assert report_of(found, case).verdict is not Verdict.FAIL_SEMANTIC, [one.site for one in found.differing]


@pytest.mark.parametrize("fill", [-1e4, -1e5])
def test_a_fill_that_scores_may_reach_is_no_fair_one(fill):
    """Scores are of order 1 here, so that its weight is exactly 0, and no output differs: others' are larger."""
    found = compared(matched(filled(fill)), "ragged")
    assert found.differing[0].site == "layers.0.attention.masked_scores"
    assert found.inert == ()
    text = render(report_of(found))
    assert text.startswith("parity FAIL semantic at layers.0.attention.masked_scores, first of 2 values to differ (of ")
    assert (
        "  no output and no derivative differs in this case: the effect cancels, or other inputs would show it" in text
    )


def test_what_cancels_is_not_inert():
    """A softmax does not feel the bias of the keys, and neither does any gradient; still, it is another function."""
    pair = pair_of("post")
    bug = find("key-bias-dropped")
    found = compare_trace(pair.with_bug(bug, "torch")(make_case("ragged", sizes_of(pair.form.config))))
    assert found.inert == ()
    assert found.differing[0].site == "layers.0.attention.key"
    assert not {"output", "mlm"} & {one.site for one in found.differing}


def test_nan_that_would_reach_a_gradient_is_not_inert():
    assert compared(matched(filled(-torch.inf)), "ragged").inert == ()


@pytest.mark.parametrize("mistake", ["kernel", "bias"])
def test_a_mistake_beside_a_fair_refactoring_is_the_first_and_the_cause(mistake):
    """The fill of layer 0 is not where to look if the value of layer 1 is wrong."""

    def plant(model: torch.nn.Module, patch: Patch) -> None:
        matched(filled(-1e30))(model, patch)
        value = every(model, Attention)[1].value
        with torch.no_grad():
            (value.weight if mistake == "kernel" else value.bias).mul_(1.5)

    found = compared(plant, "ragged")
    assert found.differing[0].site == "layers.1.attention.value"
    assert [one.site for one in found.culprits] == ["layers.1.attention.value"]
    assert found.inert == ("layers.0.attention.masked_scores", "layers.1.attention.masked_scores")
    assert "\n  beside it layers.0.attention.masked_scores and layers.1.attention.masked_scores differ, at" in render(
        report_of(found)
    )
