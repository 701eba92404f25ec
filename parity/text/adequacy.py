"""Whether the texts could have exposed the mistakes that a folder allows: each is made, and must change something."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from parity.judge.verdict import Run
from parity.text.bugs import TEXT_BUGS, TextBug
from parity.text.corpus import Text
from parity.text.diagnose import mistaken
from parity.text.reading import Reading, share_apart
from parity.text.recipe import Recipe

# Of plain prose, the least share of texts that are read each as something of its own.
_DISTINCT = 0.5
_PROSE = "sentences"


def adequate(runs: Sequence[Run], recipe: Recipe, cases: Mapping[str, tuple[Text, ...]]) -> tuple[Run, ...]:
    """The runs, each with what its texts did not exercise.

    Args:
        runs: one a group of texts, or more.
        recipe: how the folder is read.
        cases: the groups.
    """
    unfit: dict[str, list[str]] = {}
    for case, reason in inadequacies(recipe, cases):
        unfit.setdefault(case, []).append(reason)
    return tuple(
        dataclasses.replace(run, inadequate=(*run.inadequate, *unfit.get(run.case, ()))) if run.case in unfit else run
        for run in runs
    )


def inadequacies(recipe: Recipe, cases: Mapping[str, tuple[Text, ...]]) -> Iterator[tuple[str, str]]:
    """Groups of texts, and what they do not exercise although they are made for it."""
    right = {case: recipe.read(texts) for case, texts in cases.items()}
    for bug in TEXT_BUGS:
        if bug.case in cases and not _shows(bug, recipe, cases, right):
            yield bug.case, f"no text tells if {bug.mistake}"
    ids = [row.tobytes() for row in right[_PROSE].ids]
    if len(set(ids)) < _DISTINCT * len(ids):
        yield _PROSE, f"{len(ids)} different texts are read as {len(set(ids))}: the tokenizer hardly knows them"
    if max(map(len, right["limit"].ids)) < recipe.limit:
        yield "limit", f"no text comes to the limit of {recipe.limit} tokens"


def _shows(bug: TextBug, recipe: Recipe, cases: Mapping[str, tuple[Text, ...]], right: Mapping[str, Reading]) -> bool:
    """Whether a mistake changes how some text is read, or cannot be made in this folder."""
    made = False
    for case in (bug.case, *(name for name in cases if name != bug.case)):
        for _, reading in mistaken(recipe, cases[case], (bug,)):
            made = True
            if share_apart(reading, right[case]):
                return True
    return not made
