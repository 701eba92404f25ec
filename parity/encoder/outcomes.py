"""Makes every mistake of the model's catalogue on purpose, and asks the check about it."""

import dataclasses
import functools
from collections.abc import Iterator

from parity.cases.case import make_case
from parity.encoder.bugs.catalogue import MODEL_BUGS
from parity.encoder.bugs.draws import DRAWS_BUGS, DrawsBug
from parity.encoder.bugs.model import ModelBug, Patch
from parity.encoder.draws import check_draws
from parity.encoder.elsewhere import elsewhere
from parity.encoder.pair import Pair
from parity.encoder.variants import sizes_of, variants
from parity.errors import MismatchError
from parity.judge.check import compare_trace
from parity.judge.crash import SideError
from parity.judge.outcome import Outcome, judged, not_comparable

ELSEWHERE = "other sizes and forms"


def outcomes(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Every mistake in the model, made in the reference and, where it has a form there, in ours, and every one in what
    is dropped, made in ours; None takes all."""

    @functools.cache
    def pair_of(variant: str) -> Pair:
        return Pair.build(variants()[variant])

    for bug in MODEL_BUGS:
        if names is None or bug.name in names:
            for side in ("torch", "JAX") if bug.in_jax else ("torch",):
                yield outcome(bug, side, pair_of(bug.variant))
    yield from (outcome_of_draws(bug) for bug in DRAWS_BUGS if names is None or bug.name in names)


def outcomes_elsewhere(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """The same made in the reference, in models that the matrix does not have."""
    for form, bugs in elsewhere([bug for bug in MODEL_BUGS if names is None or bug.name in names]):
        pair = Pair.build(form)
        for bug in bugs:
            # The first site is known for the bug's own variant alone; here it is one where the mistake is made.
            found = outcome(dataclasses.replace(bug, first=None), "torch", pair)
            yield found._replace(tier=ELSEWHERE)


def outcome(bug: ModelBug, side: str, pair: Pair) -> Outcome:
    """Makes one mistake on one side and runs the case that exposes it."""
    tier = "backward" if bug.where.startswith("d") else "forward"
    try:
        compared = compare_trace(pair.with_bug(bug, side)(make_case(bug.case, sizes_of(pair.form.config))))
    except (MismatchError, SideError) as error:
        return not_comparable(bug, side, tier, str(error))
    return judged(bug, side, tier, compared, first=bug.first)


def outcome_of_draws(bug: DrawsBug) -> Outcome:
    """Makes one mistake in what an encoder drops, which comparing both sides cannot show."""
    patch = Patch()
    bug.plant(patch)
    with patch.active():
        return judged(bug, "JAX", "draws", check_draws("post-dropout", variants()["post-dropout"].config))
