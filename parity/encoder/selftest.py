"""Makes every mistake of the catalogue on purpose, and asks the check about it."""

import functools
import math
import re
from collections.abc import Callable, Iterator
from itertools import chain

from parity.bugs.bug import Bug
from parity.bugs.catalogue import MODEL_BUGS
from parity.bugs.model import ModelBug
from parity.bugs.optimizer import OPTIMIZER_BUGS
from parity.bugs.precision import PRECISION_BUGS
from parity.bugs.training import TRAINING_BUGS
from parity.cases import make_case
from parity.check import Compared, compare_trace
from parity.encoder import fuzz, optimizer, precision, training
from parity.encoder.pair import Pair
from parity.encoder.subject import EncoderSubject
from parity.encoder.variants import sizes_of, variants
from parity.errors import MismatchError
from parity.search import search
from parity.selftest import Clean, Outcome

CATALOGUE: tuple[Bug, ...] = (*MODEL_BUGS, *OPTIMIZER_BUGS, *TRAINING_BUGS, *PRECISION_BUGS)
# A mistake may be made at several tiers: an untied decoder shows in a gradient and in a training run.
NAMES = tuple(dict.fromkeys(bug.name for bug in CATALOGUE))


def outcomes(
    names: frozenset[str] | None = None, progress: Callable[[str], object] = lambda bug: None
) -> Iterator[Outcome]:
    """Makes every mistake of the catalogue on purpose.

    Args:
        names: of the mistakes; None takes all.
        progress: called with a mistake's name when it was made on the first side.
    """
    last = ""
    with EncoderSubject().session():
        for one in chain(model_outcomes(names), optimizer.outcomes(names), training.outcomes(names)):
            if one.bug != last:
                progress(one.bug)
            last = one.bug
            yield one
    for trial in precision.trials(names):
        progress(trial.bug)
        named = trial.named is not False
        yield Outcome(trial.bug, "JAX", "precision", trial.caught, trial.located, trial.located, named, trial.site)


def clean(examples: int, seed: int) -> tuple[Clean, ...]:
    """Runs random encoders without a mistake, in every dtype."""
    found = []
    for dtype, count in (("float64", examples), ("float32", examples), ("bfloat16", examples)):
        if count:
            with EncoderSubject().session():
                result = search(fuzz.problems((dtype,)), fuzz.reason_of, seed=seed, examples=count, seconds=math.inf)
            found.append(Clean(f"random encoders in {dtype}", result.tried, result.reason))
    return tuple(found)


def model_outcomes(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Every mistake in the model, made in the reference and, where it has a form there, in ours."""

    @functools.cache
    def pair_of(variant: str) -> Pair:
        return Pair.build(variants()[variant])

    for bug in MODEL_BUGS:
        if names is None or bug.name in names:
            for side in ("torch", "JAX") if bug.in_jax else ("torch",):
                yield outcome(bug, side, pair_of)


def outcome(bug: ModelBug, side: str, pair_of: Callable[[str], Pair]) -> Outcome:
    """Makes one mistake on one side and runs the case that exposes it."""
    pair = pair_of(bug.variant)
    try:
        compared = compare_trace(pair.with_bug(bug, side)(make_case(bug.case, sizes_of(pair.config))))
    except MismatchError as error:
        return Outcome(bug.name, side, "forward", True, False, False, False, str(error))
    return judge(bug, side, compared)


def judge(bug: ModelBug, side: str, compared: Compared) -> Outcome:
    """Whether the check said what is true."""
    differing = [comparison.site for comparison in compared.comparisons if not comparison.agrees]
    culprits = compared.culprits
    names = [one.explanations[0].bug if one.explanations else "-" for one in culprits]
    said = f"{differing[0] if differing else '-'}; " + ", ".join(
        f"{culprit.site} ({name})" for culprit, name in zip(culprits, names, strict=True)
    )
    first = next((culprit.explanations for culprit in culprits if culprit.explanations), ())
    return Outcome(
        bug.name,
        side,
        "backward" if bug.where.startswith("d") else "forward",
        bool(differing),
        bool(differing) and bool(re.fullmatch(bug.first or bug.where, differing[0])),
        bool(culprits) and all(re.fullmatch(bug.where, culprit.site) for culprit in culprits),
        bool(first) and (first[0].bug, first[0].side) == (bug.name, side),
        said,
    )
