"""Of several mistakes that explain a difference, the one that explains the most is named first; all are told."""

from dataclasses import replace

import pytest

from parity.cases.case import make_case
from parity.encoder.bugs.catalogue import find
from parity.encoder.pair import Pair
from parity.encoder.variants import sizes_of, variants
from parity.judge.check import compare_trace

pytestmark = pytest.mark.usefixtures("shapes_unchecked")


@pytest.fixture(scope="module")
def explanations():
    """Of a mistake in a variant: at every culprit that is looked at closely, what explains it."""
    pairs = {}

    def of(name: str, variant: str) -> dict[str, list[str]]:
        pair = pairs.setdefault(variant, Pair.build(variants()[variant], whole=False, keep=True))
        case = make_case("longer-than-window", sizes_of(pair.form.config))
        found = compare_trace(pair.with_bug(find(name), "torch")(case)).culprits
        return {one.site: [each.bug for each in one.explanations] for one in found if one.explanations}

    return of


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["groups-shifted", "groups-off-by-one"])
def test_what_gives_all_layers_others_parameters_is_told_by_which(name):
    """Every layer differs either way, and the first has the second set of parameters; the others do not agree."""
    plain = variants()["shared-layers"]
    pair = Pair.build(plain._replace(config=replace(plain.config, layer_groups=(0, 1, 0, 2))), whole=False, keep=True)
    case = make_case("ragged", sizes_of(pair.form.config))
    first = compare_trace(pair.with_bug(find(name), "torch")(case)).culprits[0]
    assert first.site == "layers.0.attention.query"
    assert {one.bug for one in first.explanations} == {"groups-shifted", "groups-off-by-one"}
    assert first.explanations[0].bug == name
