"""Both sides and their texts: what each reads, once, and what becomes of some of it, all of them at once.

Axes: I texts, P pooled width, K masks, V vocabulary.
"""

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from parity.judge.verdict import Explanation
from parity.text.corpus import Text
from parity.text.diagnose import Group, Sound, explain_in_part, explain_readings
from parity.text.library import Library
from parity.text.ours import Ours
from parity.text.reading import Reading, apart, only

Both = tuple[np.ndarray, np.ndarray]
# Of texts with a mask, one in so many of those that have vectors.
_WORDS = 8


class Bench:
    """Both sides.

    Args:
        ours, theirs: the sides.
        sound: how the folder may rightly be read.
        cases: texts by group.
        computed: at most so many texts go through the networks.
    """

    def __init__(self, ours: Ours, theirs: Library, sound: Sound, cases: Mapping[str, tuple[Text, ...]], computed: int):
        self.ours, self.theirs, self.sound, self.cases, self.computed = ours, theirs, sound, cases, computed
        self.read, self.explained = functools.cache(self._read), functools.cache(self._explained)

    def _read(self, case: str) -> tuple[Reading, Reading]:
        """What each side makes of a group, as one batch."""
        texts = self.cases[case]
        return self.ours.read(texts), self.theirs.read(texts)

    @functools.cached_property
    def explanations(self) -> tuple[Explanation, ...]:
        """The mistakes that explain whatever is read otherwise in any group; groups that differ are tried first."""
        groups = [Group(texts, *self.read(case)) for case, texts in self.cases.items()]
        return explain_readings(self.sound, sorted(groups, key=lambda group: not apart(group.ours, group.theirs)))

    def _explained(self, case: str) -> tuple[tuple[Explanation, ...], tuple[str, ...]]:
        """Which mistakes explain that the sides read a group otherwise: everything, this group alone, or part of it."""
        if self.explanations:
            return self.explanations, ()
        group = Group(self.cases[case], *self.read(case))
        alone = explain_readings(self.sound, [group])
        return alone, () if alone else explain_in_part(self.sound, group)

    def chosen(self, case: str) -> list[int]:
        """Which texts of a group go through the networks: of each its share, spread over it."""
        groups = [group for group in self.cases.values() if isinstance(group[0], str)]
        if not self.computed or self.cases[case] not in groups:
            return []
        step = math.ceil(sum(map(len, groups)) / self.computed)
        return list(range(step // 2, len(self.cases[case]), step))

    def masked(self, case: str) -> list[int]:
        """Which texts of a group have a mask, and are read alike; of many, some."""
        ours, theirs = self.read(case)
        mask, different = self.theirs.tokenizer.mask_token_id, set(apart(ours, theirs))
        found = [index for index, ids in enumerate(theirs.ids) if mask in ids and index not in different]
        most = self.computed // _WORDS
        return found[:: math.ceil(len(found) / most)] if most and found else []

    @property
    def texts(self) -> int:
        """How many there are."""
        return sum(map(len, self.cases.values()))

    @property
    def count(self) -> int:
        """How many go through the networks."""
        return sum(len(self.chosen(case)) for case in self.cases)

    @functools.cached_property
    def vectors(self) -> Mapping[str, Both]:
        """Both sides' vectors of each group's chosen texts, [I, P]."""
        texts = {case: [self.cases[case][index] for index in self.chosen(case)] for case in self.cases}
        texts = {case: some for case, some in texts.items() if some}
        every = [text for some in texts.values() for text in some if isinstance(text, str)]
        if not every:
            return {}
        return _shared_out(texts, self.ours.vectors(every), self.theirs.vectors(every))

    @functools.cached_property
    def words(self) -> Mapping[str, Both]:
        """Both sides' scores of all words at the masks of each group's texts, [I K, V]."""
        if not self.ours.checkpoint.parts.head:
            return {}
        texts = {case: [self.cases[case][index] for index in self.masked(case)] for case in self.cases}
        readings = [only(self.read(case)[0], self.masked(case)) for case in self.cases if texts[case]]
        if not readings:
            return {}
        mask = self.theirs.tokenizer.mask_token_id
        masks = {
            case: [case for index in self.masked(case) for id_ in self.read(case)[1].ids[index] if id_ == mask]
            for case in self.cases
            if texts[case]
        }
        ours = self.ours.words([row for one in readings for row in zip(one.ids, one.types, strict=True)], mask)
        theirs = self.theirs.words([text for some in texts.values() for text in some], self.ours.form.encoder)
        return _shared_out(masks, ours, theirs)


def _shared_out(groups: Mapping[str, Sequence[object]], ours: np.ndarray, theirs: np.ndarray) -> dict[str, Both]:
    """Each group's rows of both arrays."""
    ends = np.cumsum([len(group) for group in groups.values()])[:-1]
    return dict(zip(groups, zip(np.split(ours, ends), np.split(theirs, ends), strict=True), strict=True))
