"""Which known mistake explains that two sides read text otherwise, or make another vector of it: each is tried."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from parity.judge.explain import Suspect, explain
from parity.judge.verdict import Explanation
from parity.text.bugs import POOLING_BUGS, TEXT_BUGS, TextBug
from parity.text.corpus import Text
from parity.text.reading import Reading, Rows, apart, only, share_apart
from parity.text.recipe import Pooled, Recipe

# Mistakes of which each explains some of the texts, if none explains all.
_PARTIAL = 3


class Sound(NamedTuple):
    """How a folder may rightly be read.

    Attributes:
        by_file: as its tokenizer.json says.
        by_class: as transformers' class reads it, which builds parts of the tokenizer anew.
        pooled: how vectors become one.
    """

    by_file: Recipe
    by_class: Recipe
    pooled: Pooled


def explain_reading(
    sound: Sound, ours: Reading, theirs: Reading, texts: Sequence[Text]
) -> tuple[tuple[Explanation, ...], tuple[str, ...]]:
    """The mistakes that explain the difference, and what can be said if none explains it whole.

    tokenizer.json is the measure. Where it explains nothing, transformers' class is: ours may lack what that adds.

    Args:
        sound: the recipes.
        ours, theirs: of the same texts.
        texts: one batch.
    """
    partial: list[str] = []
    for recipe in dict.fromkeys((sound.by_file, sound.by_class)):
        right = recipe.read(texts)
        wrong = list(mistaken(recipe, texts))
        named = [(Suspect(bug.name, bug.mistake), reading) for bug, reading in wrong]
        found = _once(explain(named, right, (ours, theirs), share_apart))
        if found:
            return found, ()
        partial = partial or _in_part(wrong, ours, theirs, right)
    return (), tuple(partial)


def explain_vectors(
    pooled: Pooled, hidden: Sequence[np.ndarray], special: Rows, sides: tuple[np.ndarray, np.ndarray]
) -> tuple[Explanation, ...]:
    """The mistakes that explain another vector of the same tokens.

    Args:
        pooled: how vectors are to become one.
        hidden: what the reference computes at each text's tokens.
        special: which of them were put around the text.
        sides: ours and the reference's, [I, P].
    """
    suspects = (
        (Suspect(bug.name, bug.mistake), wrong.vectors(hidden, special))
        for bug in POOLING_BUGS
        for wrong in bug.wrong(pooled)
    )
    return _once(explain(suspects, pooled.vectors(hidden, special), sides, _residual))


def mistaken(
    recipe: Recipe, texts: Sequence[Text], bugs: Iterable[TextBug] = TEXT_BUGS
) -> Iterator[tuple[TextBug, Reading]]:
    """What the texts are read as with each mistake that can be made, in each of its forms."""
    for bug in bugs:
        for wrong in _forms(bug, recipe):
            yield bug, wrong.read(texts)


@functools.lru_cache(maxsize=64)
def _forms(bug: TextBug, recipe: Recipe) -> tuple[Recipe, ...]:
    return tuple(bug.wrong(recipe))


def _once(found: Iterable[Explanation]) -> tuple[Explanation, ...]:
    """Each mistake once, whatever its forms."""
    return tuple({(one.bug, one.side): one for one in reversed(tuple(found))}.values())[::-1]


def _in_part(wrong: list[tuple[TextBug, Reading]], ours: Reading, theirs: Reading, right: Reading) -> list[str]:
    """Mistakes that explain some of the texts that differ, the most first."""
    differing = apart(ours, theirs)
    sides = {
        "JAX": (only(ours, differing), only(theirs, differing)),
        "torch": (only(theirs, differing), only(ours, differing)),
    }
    sound = only(right, differing)
    counts: dict[tuple[str, str, str], int] = {}
    for bug, reading in wrong:
        for side, (made, other) in sides.items():
            alike = set(range(len(differing))) - {*apart(made, only(reading, differing)), *apart(other, sound)}
            key = bug.mistake, side, bug.name
            counts[key] = max(counts.get(key, 0), len(alike))
    best = sorted(counts, key=lambda key: -counts[key])[:_PARTIAL]
    return [
        f"{counts[key]} of the {len(differing)} texts that differ look like: {key[0]}, in {key[1]} ({key[2]})"
        for key in best
        if counts[key]
    ]


def _residual(one: np.ndarray, other: np.ndarray) -> float:
    """Relative to the largest number; infinite for vectors of another width."""
    if one.shape != other.shape:
        return np.inf
    return float(np.abs(one - other).max(initial=0) / max(np.abs(other).max(initial=0), np.finfo(float).tiny))
