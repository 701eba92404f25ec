"""Makes every mistake of the model's catalogue on purpose, and asks the check about it."""

import functools
from collections.abc import Callable, Iterator

from parity.cases.case import make_case
from parity.encoder.bugs.catalogue import MODEL_BUGS
from parity.encoder.bugs.draws import DRAWS_BUGS, DrawsBug
from parity.encoder.bugs.model import ModelBug, Patch
from parity.encoder.draws import check_draws
from parity.encoder.pair import Pair
from parity.encoder.variants import sizes_of, variants
from parity.errors import MismatchError
from parity.judge.check import compare_trace
from parity.judge.crash import SideError
from parity.judge.outcome import Outcome, judged, not_comparable


def outcomes(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Every mistake in the model, made in the reference and, where it has a form there, in ours, and every one in what
    is dropped, made in ours; None takes all."""

    @functools.cache
    def pair_of(variant: str) -> Pair:
        return Pair.build(variants()[variant])

    for bug in MODEL_BUGS:
        if names is None or bug.name in names:
            for side in ("torch", "JAX") if bug.in_jax else ("torch",):
                yield outcome(bug, side, pair_of)
    yield from (outcome_of_draws(bug) for bug in DRAWS_BUGS if names is None or bug.name in names)


def outcome(bug: ModelBug, side: str, pair_of: Callable[[str], Pair]) -> Outcome:
    """Makes one mistake on one side and runs the case that exposes it."""
    pair = pair_of(bug.variant)
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
