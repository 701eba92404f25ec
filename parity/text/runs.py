"""Both sides on the same texts: what each reads, and what becomes of it; where they differ, and why.

Axes: I texts, P pooled width, K masks, V vocabulary.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from parity.judge.check import attempt
from parity.judge.compare import SEMANTIC, Comparison, compare
from parity.judge.verdict import Culprit, Run
from parity.text.corpus import NO_UNICODE, Text
from parity.text.diagnose import Sound, explain_reading, explain_vectors
from parity.text.library import Library
from parity.text.ours import Ours
from parity.text.reading import Reading, apart, compare_readings, only

VARIANT = "text"
REFUSED = "no-unicode"
_FLOAT64 = np.dtype(np.float64)
# What each part of a reading follows from: where that differs, it may differ, too.
_FOLLOWS: dict[str, tuple[str, ...]] = {
    "special": ("ids",),
    "types": ("ids",),
    "mask": ("ids",),
    "positions": ("ids",),
    "vectors": ("ids", "special", "types", "positions"),
    "words": ("ids", "special", "types", "positions"),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Bench:
    """Both sides and their texts.

    Attributes:
        ours, theirs: the sides.
        sound: how the folder may rightly be read.
        cases: texts by group.
        computed: at most so many texts go through the networks.
    """

    ours: Ours
    theirs: Library
    sound: Sound
    cases: Mapping[str, tuple[Text, ...]]
    computed: int

    def chosen(self, case: str) -> list[int]:
        """Which texts of a case go through the networks; of each group its share, spread over it."""
        texts = self.cases[case]
        if any(isinstance(text, tuple) for text in texts):
            return []
        singles = sum(len(texts) for texts in self.cases.values() if all(isinstance(text, str) for text in texts))
        step = max(1, math.ceil(singles / self.computed)) if self.computed else len(texts) + 1
        return list(range(step // 2, len(texts), step)) if self.computed else []

    @property
    def texts(self) -> int:
        """How many there are."""
        return sum(map(len, self.cases.values()))

    @property
    def count(self) -> int:
        """How many texts go through the networks."""
        return sum(len(self.chosen(case)) for case in self.cases)


def runs_of(bench: Bench, progress: Callable[[str, str], object] = lambda variant, case: None) -> Iterator[Run]:
    """Every group of texts as a run of its own, and texts that are none."""
    for case in bench.cases:
        progress(VARIANT, case)
        yield attempt(VARIANT, case, functools.partial(run_case, bench, case))
    yield _refusals(bench)


def run_case(bench: Bench, case: str) -> Run:
    """One group of texts."""
    texts = bench.cases[case]
    ours, theirs = bench.ours.read(texts), bench.theirs.read(texts)
    spell = bench.ours.spell, bench.theirs.spell
    comparisons = compare_readings(ours, theirs, texts, spell)
    chosen = bench.chosen(case)
    same = [index for index in chosen if index not in set(apart(ours, theirs))]
    vectors = _vectors(bench, [texts[index] for index in chosen]) if chosen else None
    if vectors is not None:
        comparisons.append(_compare("vectors", *vectors))
    if bench.ours.checkpoint.parts.head:
        comparisons += _words(bench, texts, ours, theirs)
    if all(comparison.agrees for comparison in comparisons):
        return Run(VARIANT, case, tuple(comparisons))
    again = list(_again(comparisons, ours, theirs, texts, spell))
    if vectors is not None and same:
        rows = [chosen.index(index) for index in same]
        again.append(_compare("vectors", *(one[rows] for one in vectors)))
    inert = _inert(again)
    made = [one for one in again if not one.agrees and one.site not in inert]
    culprits = tuple(_culprit(bench, one, (ours, theirs), texts, same) for one in made)
    return Run(VARIANT, case, tuple(comparisons), replayed=tuple(again), culprits=culprits, inert=inert)


def _vectors(bench: Bench, texts: Sequence[Text]) -> tuple[np.ndarray, np.ndarray]:
    singles = [text for text in texts if isinstance(text, str)]
    return bench.ours.vectors(singles), bench.theirs.vectors(singles)


def _compare(site: str, ours: np.ndarray, theirs: np.ndarray) -> Comparison:
    return compare(site, ours, theirs, allowed=SEMANTIC, dtype=_FLOAT64)


def _words(bench: Bench, texts: Sequence[Text], ours: Reading, theirs: Reading) -> Iterator[Comparison]:
    """Scores of all words at the masks of the texts that have some, and are read alike."""
    mask = bench.theirs.tokenizer.mask_token_id
    different = set(apart(ours, theirs))
    masked = [index for index, ids in enumerate(theirs.ids) if mask in ids and index not in different]
    masked = masked[:: max(1, math.ceil(len(masked) / max(bench.computed // 8, 1)))] if bench.computed else []
    if masked:
        mine = bench.ours.words(only(ours, masked), mask)
        yield _compare("words", np.concatenate(mine), np.concatenate(bench.theirs.words([texts[i] for i in masked])))


def _again(
    comparisons: Sequence[Comparison], ours: Reading, theirs: Reading, texts: Sequence[Text], spell: tuple
) -> Iterator[Comparison]:
    """Every part of a reading once more, of the texts alone of which all is equal that it follows from."""
    for comparison in comparisons:
        if comparison.site not in Reading._fields:
            continue
        different = set(apart(ours, theirs, _FOLLOWS.get(comparison.site, ())))
        kept = [index for index in range(len(texts)) if index not in different]
        if not different:
            yield comparison
        elif kept:
            found = compare_readings(only(ours, kept), only(theirs, kept), [texts[i] for i in kept], spell)
            yield from (one for one in found if one.site == comparison.site)


def _inert(again: Sequence[Comparison]) -> tuple[str, ...]:
    """Where padding stands, if nothing depends on it: neither positions nor vectors of texts that are read alike."""
    return ("mask",) if [one.site for one in again if not one.agrees and one.site != "ids"] == ["mask"] else ()


def _culprit(
    bench: Bench, found: Comparison, sides: tuple[Reading, Reading], texts: Sequence[Text], same: Sequence[int]
) -> Culprit:
    """Where a difference is made, and which mistake it is."""
    reads = _FOLLOWS.get(found.site, ("text",))
    if found.site in ("vectors", "words"):
        singles = [text for text in (texts[index] for index in same) if isinstance(text, str)]
        hidden, special = bench.theirs.hidden(singles), only(sides[1], same).special
        named = explain_vectors(bench.sound.pooled, hidden, special, _vectors(bench, singles))
        return Culprit(found.site, reads, found, explanations=named)
    named, in_part = explain_reading(bench.sound, *sides, texts)
    return Culprit(found.site, reads, found, explanations=named, shape=in_part)


def _refusals(bench: Bench) -> Run:
    """What is no Unicode is refused by both, and what is, by neither."""
    refused = [np.array([side.refuses(text) for text in NO_UNICODE]) for side in (bench.ours, bench.theirs)]
    return Run(VARIANT, REFUSED, (compare("refused", refused[0], refused[1], allowed=0.0),))
