"""Makes every mistake of the model's catalogue on purpose, and asks the check about it."""

import dataclasses
import functools
from collections.abc import Iterator

from parity.cases.case import make_case
from parity.encoder.bugs.catalogue import MODEL_BUGS
from parity.encoder.bugs.draws import DRAWS_BUGS, DrawsBug
from parity.encoder.bugs.model import ModelBug, Patch
from parity.encoder.draws import check_draws
from parity.encoder.form import Form
from parity.encoder.pair import Pair
from parity.encoder.variants import sizes_of, variants
from parity.errors import MismatchError
from parity.judge.check import compare_trace
from parity.judge.crash import SideError
from parity.judge.outcome import Outcome, judged, not_comparable

ELSEWHERE = "other sizes and forms"


def outcomes(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Every mistake in the model, made in the reference and, where it has a form there, in ours; None takes all."""
    for bug in MODEL_BUGS:
        if names is None or bug.name in names:
            for side in ("torch", "JAX") if bug.in_jax else ("torch",):
                yield outcome(bug, side, _pair_of(variants()[bug.variant], _few_are_made_in_ours(bug.variant)))


def outcomes_of_draws(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Every mistake in what is dropped, made in ours; None takes all."""
    yield from (outcome_of_draws(bug) for bug in DRAWS_BUGS if names is None or bug.name in names)


def outcomes_in(form: Form, names: frozenset[str]) -> Iterator[Outcome]:
    """Mistakes in the model, made in the reference of a form that the matrix does not have."""
    for bug in MODEL_BUGS:
        if bug.name in names:
            # The first site is known for the bug's own variant alone; here it is one where the mistake is made.
            found = outcome(dataclasses.replace(bug, first=None), "torch", _pair_of(form, True))
            yield found._replace(tier=ELSEWHERE)


# A mistake in our code is another program. Where more are made than this, they go operation by operation, all of
# which take three times as long to compile as one program does.
_FEW = 8


def _few_are_made_in_ours(variant: str) -> bool:
    return sum(bug.variant == variant and bug.in_jax is not None for bug in MODEL_BUGS) <= _FEW


@functools.lru_cache(maxsize=2)  # what one process is asked for one after the other has mostly one form
def _pair_of(form: Form, whole: bool) -> Pair:
    return Pair.build(form, whole=whole, keep=True)


_case = functools.cache(make_case)  # the same one again, so that a pair knows its last


def outcome(bug: ModelBug, side: str, pair: Pair) -> Outcome:
    """Makes one mistake on one side and runs the case that exposes it."""
    tier = "backward" if bug.where.startswith("d") else "forward"
    try:
        compared = compare_trace(pair.with_bug(bug, side)(_case(bug.case, sizes_of(pair.form.config))))
    except (MismatchError, SideError) as error:
        return not_comparable(bug, side, tier, str(error))
    return judged(bug, side, tier, compared, first=bug.first)


def outcome_of_draws(bug: DrawsBug) -> Outcome:
    """Makes one mistake in what an encoder drops, which comparing both sides cannot show."""
    patch = Patch()
    bug.plant(patch)
    with patch.active():
        return judged(bug, "JAX", "draws", check_draws("post-dropout", variants()["post-dropout"].config))
