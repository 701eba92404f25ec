"""Every tier of the harness tried on itself: the mistakes of each catalogue, and random encoders without one."""

import importlib.util
import math
from collections.abc import Callable, Iterator
from itertools import chain

from parity.encoder import outcomes as encoder
from parity.encoder.bugs.catalogue import MODEL_BUGS
from parity.encoder.bugs.draws import DRAWS_BUGS
from parity.encoder.subject import EncoderSubject
from parity.fuzz import problems
from parity.fuzz.search import search
from parity.judge.bug import Bug
from parity.judge.outcome import Outcome
from parity.kernels import runs as kernels
from parity.kernels.bugs import KERNEL_BUGS
from parity.optimizer import bench as optimizer
from parity.optimizer.bugs import OPTIMIZER_BUGS
from parity.precision import runs as precision
from parity.precision.bugs import PRECISION_BUGS
from parity.selftest.table import Clean
from parity.text.bugs import CATALOGUE as TEXT
from parity.training import draws as keys
from parity.training import runs as training
from parity.training.bugs import TRAINING_BUGS
from parity.training.draws import KEY_BUGS

CATALOGUE: tuple[Bug, ...] = (
    *(*MODEL_BUGS, *DRAWS_BUGS, *KERNEL_BUGS, *OPTIMIZER_BUGS, *TRAINING_BUGS, *KEY_BUGS, *PRECISION_BUGS),
    *TEXT,
)
# A mistake may be made at several tiers: an untied decoder shows in a gradient and in a training run.
NAMES = tuple(dict.fromkeys(bug.name for bug in CATALOGUE))


def outcomes(
    names: frozenset[str] | None = None, progress: Callable[[str], object] = lambda bug: None
) -> Iterator[Outcome]:
    """Makes every mistake of the catalogue on purpose.

    Args:
        names: of the mistakes; None takes all.
        progress: called with a mistake's name when it was made for the first time.
    """

    def in_float64() -> Iterator[Outcome]:
        with EncoderSubject().session():
            models = (encoder.outcomes, encoder.outcomes_elsewhere, kernels.outcomes)
            tiers = (*models, optimizer.outcomes, training.outcomes, keys.outcomes)
            yield from chain.from_iterable(tier(names) for tier in tiers)

    made: set[str] = set()
    for one in chain(in_float64(), precision.outcomes(names), _text(names)):
        if one.bug not in made:
            progress(one.bug)
        made.add(one.bug)
        yield one


def left_out() -> str:
    """Which tier is not tried for want of a library that the others do without; empty if none is."""
    missing = [name for name in ("transformers", "sentence_transformers") if importlib.util.find_spec(name) is None]
    return f"the tier of text is left out: {' and '.join(missing)} cannot be imported here" if missing else ""


def _text(names: frozenset[str] | None) -> Iterator[Outcome]:
    """Mistakes in how text is read; who asks for none by name does without them where the libraries are missing."""
    if names is None and left_out():
        return iter(())
    if names is not None and names.isdisjoint(bug.name for bug in TEXT):
        return iter(())
    from parity.text import outcomes as text

    return text.outcomes(names)


def clean(examples: int, seed: int) -> tuple[Clean, ...]:
    """Runs random encoders without a mistake, in every dtype."""
    found = []
    for dtype in ("float64", "float32", "bfloat16"):
        if examples:
            drawn = problems.drawn((dtype,))
            with EncoderSubject().session():
                result = search(drawn, problems.reason_of, seed=seed, examples=examples, seconds=math.inf)
            found.append(Clean(f"random encoders in {dtype}", result.tried, result.reason))
    return tuple(found)
