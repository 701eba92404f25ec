"""Mistakes that are named, in whole or in part, and that are not."""

import dataclasses

import numpy as np
import pytest

from parity.text.bugs import TEXT_BUGS
from parity.text.diagnose import Group, Sound, explain_in_part, explain_readings, explain_vectors
from parity.text.reading import Reading
from parity.text.recipe import Pooled, Recipe
from tests.parity.text.test_wrong import CASED, made

POOLED = Pooled(modes=("mean",), normalize=True)
SHORT = ["Paris", "a river", "The [MASK]"]
LONG = ["a river is long and the city is on the river and the house is on the mountain", "élève"]


def group(texts: list[str], ours: Recipe, theirs: Recipe) -> Group:
    return Group(texts, ours.read(texts), theirs.read(texts))


def explained(ours: Recipe, theirs: Recipe, sound: Sound | None = None) -> list[tuple[str, str]]:
    named = explain_readings(sound or Sound(CASED, CASED, POOLED), [group(SHORT, ours, theirs)])
    return [(one.bug, one.side) for one in named]


LOWER, FRAMELESS = made("text-lower-cased", CASED)[0], made("text-no-frame", CASED)[0]


def test_the_side_is_told_by_the_file():
    assert explained(LOWER, CASED) == [("text-lower-cased", "JAX")]
    assert explained(CASED, LOWER) == [("text-lower-cased", "torch")]


def test_what_the_class_adds_is_lacking_in_ours():
    sound = Sound(by_file=FRAMELESS, by_class=CASED, pooled=POOLED)
    assert explained(FRAMELESS, CASED, sound) == [("text-no-frame", "JAX")]


def test_all_groups_choose_among_what_is_alike_in_one():
    """Of a text that is hardly too long two mistakes make the same; longer ones tell which it is."""
    texts = ["a river is long and the city is on the house"]
    right = dataclasses.replace(CASED, limit=8, limits=(40,))
    longer = dataclasses.replace(right, limit=40)
    nearly = dataclasses.replace(right, limit=10)
    sound = Sound(right, right, POOLED)
    for ours, name in ((longer, "text-limit-other"), (nearly, "text-limit-special")):
        named = explain_readings(sound, [group(texts, ours, right), group(LONG, ours, right)])
        assert [(one.bug, one.side) for one in named] == [(name, "JAX")]


def test_two_mistakes_are_named_in_part():
    both = made("text-accents-stripped", made("text-cut-other-side", CASED)[0])[0]
    sound = Sound(CASED, CASED, POOLED)
    assert explain_readings(sound, [group(LONG, both, CASED)]) == ()
    in_part = explain_in_part(sound, group(LONG, both, CASED))
    assert [line.partition(":")[0] for line in in_part] == ["1 of the 2 texts that differ look like"] * 2
    assert {line.rpartition("(")[2] for line in in_part} == {"text-accents-stripped)", "text-cut-other-side)"}


def test_what_no_mistake_explains_is_not_named():
    reading = CASED.read(SHORT)
    other = reading._replace(ids=tuple(ids + 1 for ids in reading.ids))
    unknown = Group(SHORT, other, reading)
    assert explain_readings(Sound(CASED, CASED, POOLED), [unknown]) == ()
    assert explain_in_part(Sound(CASED, CASED, POOLED), unknown) == ()


@pytest.mark.parametrize(
    ("wrong", "bug"),
    [
        (dataclasses.replace(POOLED, normalize=False), "text-not-normalised"),
        (dataclasses.replace(POOLED, own_only=True), "text-pooling-special"),
    ],
)
def test_vectors(wrong, bug):
    rng = np.random.default_rng(0)
    hidden = [rng.standard_normal((length, 6)) for length in (3, 5)]
    special = tuple(np.array([1] + [0] * (len(one) - 2) + [1]) for one in hidden)
    right, mistaken = POOLED.vectors(hidden, special), wrong.vectors(hidden, special)
    for sides, side in (((mistaken, right), "JAX"), ((right, mistaken), "torch")):
        assert [(one.bug, one.side) for one in explain_vectors(POOLED, hidden, special, sides)] == [(bug, side)]
    assert explain_vectors(POOLED, hidden, special, (right[:, :2], right)) == ()


def test_a_cut_vector():
    rng = np.random.default_rng(1)
    hidden, special = [rng.standard_normal((4, 6))], (np.array([1, 0, 0, 1]),)
    cut = dataclasses.replace(POOLED, width=4)
    first = dataclasses.replace(cut, cut_first=True)
    sides = cut.vectors(hidden, special), first.vectors(hidden, special)
    assert [(one.bug, one.side) for one in explain_vectors(cut, hidden, special, sides)] == [
        ("text-cut-order", "torch")
    ]


def test_mistakes_are_read_as_the_texts_are():
    assert all(isinstance(wrong.read(SHORT), Reading) for bug in TEXT_BUGS for wrong in bug.wrong(CASED))
