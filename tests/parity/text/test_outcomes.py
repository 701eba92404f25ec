"""The mistakes of the catalogue, made on purpose: each is caught, located and named, wherever it can be made."""

import pytest

from parity.judge.outcome import Outcome
from parity.text.bugs import CATALOGUE, POOLING_BUGS
from parity.text.outcomes import applies, outcomes, outcomes_in
from parity.text.plants import PLANTS
from tests.parity.text.helpers import bench, written

FAST = ("text-lower-cased", "text-types-flat")


def judged(one: Outcome) -> tuple[bool, ...]:
    return one.caught, bool(one.first), bool(one.located), bool(one.named)


@pytest.mark.parametrize(
    "bug", [bug if bug.name in FAST else pytest.param(bug, marks=pytest.mark.slow) for bug in CATALOGUE]
)
def test_each_is_caught_located_and_named(bug):
    found = list(outcomes_in(bug, written(bug.folder)))
    assert found
    assert all(judged(one) == (True,) * 4 for one in found), found
    assert {one.tier for one in found} == {"text"}
    assert ("torch" in {one.side for one in found}) == (bug.name in PLANTS)


def test_fourteen_are_made_in_the_libraries():
    assert {bug.name for bug in CATALOGUE} >= set(PLANTS)
    assert len(PLANTS) >= 14


def test_what_cannot_be_made_in_a_folder_is_not():
    prompt = next(bug for bug in CATALOGUE if bug.name == "text-prompt-missing")
    cased = bench(written("bert-cased"))
    assert not applies(prompt, cased)
    assert list(outcomes_in(prompt, written("bert-cased"))) == []
    assert not any(applies(bug, cased) for bug in POOLING_BUGS)  # of no folder of sentence-transformers


@pytest.mark.slow
@pytest.mark.parametrize(("first", "folder"), [(0, "modernbert"), (1, "xlm-roberta"), (2, "camembert")])
def test_a_mistake_is_found_in_any_folder_in_which_it_can_be_made(first, folder):
    """Every second one in each, so that each is tried in one of two neighbours."""
    found = [one for bug in CATALOGUE[first % 2 :: 2] for one in outcomes_in(bug, written(folder))]
    assert len(found) >= 5
    assert not [one for one in found if judged(one) != (True,) * 4]


def test_chosen_by_name_in_folders_of_their_own():
    assert [(one.bug, one.side) for one in outcomes(frozenset({"text-case-kept"}))] == [("text-case-kept", "JAX")]
