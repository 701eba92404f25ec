"""Every group of texts as a run: what each side reads, and what becomes of it; where they differ, and why."""

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from parity.judge.check import attempt
from parity.judge.compare import SEMANTIC, Comparison, compare
from parity.judge.verdict import Culprit, Run
from parity.text.bench import Bench
from parity.text.corpus import NO_UNICODE, VARIANT, Text
from parity.text.diagnose import explain_vectors
from parity.text.reading import Reading, Spell, apart, compare_readings, only

REFUSED = "no-unicode"
_FLOAT64 = np.dtype(np.float64)
# What each value follows from: where that differs, it may differ, too.
_FOLLOWS: dict[str, tuple[str, ...]] = {
    "ids": (),
    "special": ("ids",),
    "types": ("ids",),
    "mask": ("ids",),
    "positions": ("ids",),
}


def runs_of(bench: Bench, progress: Callable[[str, str], object] = lambda variant, case: None) -> Iterator[Run]:
    """Every group, and texts that are none."""
    for case in bench.cases:
        progress(VARIANT, case)
        yield attempt(VARIANT, case, functools.partial(run_case, bench, case))
    if bench.theirs.content is not None:  # code of a class's own takes whatever Python calls a string
        yield _refusals(bench)


def run_case(bench: Bench, case: str) -> Run:
    """One group of texts."""
    texts, (ours, theirs) = bench.cases[case], bench.read(case)
    spell = bench.ours.spell, bench.theirs.spell
    comparisons = compare_readings(ours, theirs, texts, spell)
    for site, both in (("vectors", bench.vectors), ("words", bench.words)):
        if case in both:
            comparisons.append(_compare(site, *both[case]))
    if all(comparison.agrees for comparison in comparisons):
        return Run(VARIANT, case, tuple(comparisons))
    again = [*_again(comparisons, (ours, theirs), texts, spell), *_computed_again(bench, case, comparisons)]
    inert = _inert(again)
    made = [one for one in again if not one.agrees and one.site not in inert]
    culprits = tuple(_culprit(bench, case, one) for one in made)
    return Run(VARIANT, case, tuple(comparisons), replayed=tuple(again), culprits=culprits, inert=inert)


def _compare(site: str, ours: np.ndarray, theirs: np.ndarray) -> Comparison:
    return compare(site, ours, theirs, allowed=SEMANTIC, dtype=_FLOAT64)


def _again(
    comparisons: Sequence[Comparison],
    sides: tuple[Reading, Reading],
    texts: Sequence[Text],
    spell: tuple[Spell, Spell],
) -> Iterator[Comparison]:
    """Every part of a reading once more, of those texts alone of which all is equal that it follows from."""
    for comparison in comparisons:
        if comparison.site not in _FOLLOWS:
            continue
        different = set(apart(*sides, _FOLLOWS[comparison.site]))
        kept = [index for index in range(len(texts)) if index not in different]
        if not different:
            yield comparison
        elif kept:
            ours, theirs = (only(side, kept) for side in sides)
            found = compare_readings(ours, theirs, [texts[index] for index in kept], spell)
            yield from (one for one in found if one.site == comparison.site)


def _computed_again(bench: Bench, case: str, comparisons: Sequence[Comparison]) -> Iterator[Comparison]:
    """Vectors of the texts alone that are read alike; what has words is read alike anyway."""
    rows = _alike(bench, case)
    if case in bench.vectors and rows:
        yield _compare("vectors", *(side[rows] for side in bench.vectors[case]))
    yield from (one for one in comparisons if one.site == "words")


def _alike(bench: Bench, case: str) -> list[int]:
    """Rows of the vectors whose texts are read alike."""
    different = set(apart(*bench.read(case)))
    return [row for row, index in enumerate(bench.chosen(case)) if index not in different]


def _inert(again: Sequence[Comparison]) -> tuple[str, ...]:
    """Where padding stands, if nothing depends on it: neither positions nor vectors of texts that are read alike."""
    return ("mask",) if [one.site for one in again if not one.agrees and one.site != "ids"] == ["mask"] else ()


def _culprit(bench: Bench, case: str, found: Comparison) -> Culprit:
    """Where a difference is made, and which mistake it is."""
    if found.site in _FOLLOWS:
        named, in_part = bench.explained(case)
        return Culprit(found.site, _FOLLOWS[found.site] or ("text",), found, explanations=named, shape=in_part)
    if found.site == "words":
        return Culprit("words", ("ids", "types", "positions"), found)
    rows, texts = _alike(bench, case), bench.cases[case]
    indices = [bench.chosen(case)[row] for row in rows]
    hidden = bench.theirs.hidden([text for text in (texts[index] for index in indices) if isinstance(text, str)])
    ours, theirs = (side[rows] for side in bench.vectors[case])
    special = only(bench.read(case)[1], indices).special
    named = explain_vectors(bench.sound.pooled, hidden, special, (ours, theirs))
    return Culprit("vectors", ("ids", "special", "types", "positions"), found, explanations=named)


def _refusals(bench: Bench) -> Run:
    """What is no Unicode is refused by both, and what is, by neither."""
    refused = [np.array([side.refuses(text) for text in NO_UNICODE]) for side in (bench.ours, bench.theirs)]
    return Run(VARIANT, REFUSED, (compare("refused", refused[0], refused[1], allowed=0.0),))
