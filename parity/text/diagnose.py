"""Which known mistake explains that two sides read text otherwise, or make another vector of it: each is tried."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from parity.judge.explain import Suspect, explain
from parity.judge.verdict import Explanation
from parity.text.bugs import POOLING_BUGS, TEXT_BUGS, TextBug
from parity.text.corpus import Text
from parity.text.reading import Reading, Rows, apart, share_apart
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


class Group(NamedTuple):
    """One batch of texts, and what both sides made of it."""

    texts: Sequence[Text]
    ours: Reading
    theirs: Reading


def explain_readings(sound: Sound, groups: Sequence[Group]) -> tuple[Explanation, ...]:
    """The mistakes of which each explains what differs in all groups.

    tokenizer.json is the measure. Where it explains nothing, transformers' class is: ours may lack what that adds.

    Args:
        sound: the recipes.
        groups: what is least like other mistakes is best put first: a group that contradicts ends the trial.
    """
    for recipe in _recipes(sound):
        found = tuple(_explanations(recipe, groups))
        if found:
            return found
    return ()


def explain_in_part(sound: Sound, group: Group) -> tuple[str, ...]:
    """What can be said of a group that no mistake explains whole: mistakes that explain some of its texts."""
    return tuple(next(filter(None, (_in_part(recipe, group) for recipe in _recipes(sound))), []))


def _recipes(sound: Sound) -> tuple[Recipe, ...]:
    return tuple(dict.fromkeys((sound.by_file, sound.by_class)))


def _explanations(recipe: Recipe, groups: Sequence[Group]) -> Iterator[Explanation]:
    """By the rule of `parity.judge.explain.explain`, group by group, as long as a mistake may still be it."""
    right = functools.cache(lambda index: recipe.read(groups[index].texts))
    named: set[tuple[str, str]] = set()
    for bug in TEXT_BUGS:
        for wrong in _forms(bug, recipe):
            for side in _sides(wrong, groups, right):
                if (bug.name, side) not in named:
                    named.add((bug.name, side))
                    yield Explanation(bug.name, bug.mistake, side, 0.0)


def _sides(wrong: Recipe, groups: Sequence[Group], right: Callable[[int], Reading]) -> list[str]:
    """The sides that read all groups as with the mistake, if that changes any."""
    may, changes = ["JAX", "torch"], False
    for index, (texts, ours, theirs) in enumerate(groups):
        made = wrong.read(texts)
        changes = changes or bool(share_apart(made, right(index)))
        if "JAX" in may and share_apart(ours, made):
            may.remove("JAX")
        if "torch" in may and (share_apart(theirs, made) or share_apart(ours, right(index))):
            may.remove("torch")
        if not may:
            return []
    return may if changes else []


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


def _in_part(recipe: Recipe, group: Group) -> list[str]:
    """Mistakes that explain some of the texts that differ, the most first."""
    ours, theirs, right = group.ours, group.theirs, recipe.read(group.texts)
    differing = apart(ours, theirs)
    counts: dict[tuple[str, str, str], int] = {}
    for bug, reading in mistaken(recipe, group.texts):
        changed = set(differing) & set(apart(reading, right))
        by_us = changed - set(apart(ours, reading))
        by_them = changed - set(apart(theirs, reading)) - set(apart(ours, right))
        for side, explained in (("JAX", by_us), ("torch", by_them)):
            key = bug.mistake, side, bug.name
            counts[key] = max(counts.get(key, 0), len(explained))
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
