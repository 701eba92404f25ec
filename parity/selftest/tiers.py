"""Every tier of the harness tried on itself: the mistakes of each catalogue, and random encoders without one."""

import importlib.util
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from parity.check.processes import shared_out
from parity.encoder import outcomes as encoder
from parity.encoder.bugs.catalogue import MODEL_BUGS
from parity.encoder.bugs.draws import DRAWS_BUGS
from parity.encoder.elsewhere import elsewhere
from parity.encoder.session import in_float64
from parity.fuzz import problems
from parity.fuzz.search import search
from parity.judge.bug import Bug
from parity.judge.outcome import Outcome
from parity.kernels import runs as kernels
from parity.kernels.bugs import KERNEL_BUGS
from parity.mesh import runs as mesh
from parity.mesh.bugs import MESH_BUGS
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
    *(*MODEL_BUGS, *DRAWS_BUGS, *KERNEL_BUGS, *OPTIMIZER_BUGS, *TRAINING_BUGS, *KEY_BUGS, *MESH_BUGS, *PRECISION_BUGS),
    *TEXT,
)
# A mistake may be made at several tiers: an untied decoder shows in a gradient and in a training run.
NAMES = tuple(dict.fromkeys(bug.name for bug in CATALOGUE))
Names = frozenset[str]


class Part(NamedTuple):
    """What one process does in one go.

    Attributes:
        what: for a person who waits.
        seconds: that it takes, about.
        work: gives what became of each mistake, or of encoders without one.
    """

    what: str
    seconds: int
    work: Callable[[], Iterable[Outcome | Clean]]


class Tried(NamedTuple):
    """What became of every mistake, and of encoders without one."""

    outcomes: list[Outcome]
    clean: list[Clean]


def tried(parts: Sequence[Part], *, jobs: int = 1, progress: Callable[[str], object] = lambda what: None) -> Tried:
    """Makes the mistakes of all parts on purpose; equal for any number of processes.

    Args:
        parts: in the order to tell of them.
        jobs: how many processes.
        progress: called with the name of each part when it is done.
    """
    longest_first = sorted(range(len(parts)), key=lambda index: -parts[index].seconds)
    pieces = [parts[index] for index in longest_first]
    found = shared_out(_done, pieces, jobs=jobs, done=lambda part: progress(part.what))
    everything = [one for _, part in sorted(zip(longest_first, found, strict=True)) for one in part]
    outcomes = [one for one in everything if isinstance(one, Outcome)]
    return Tried(sorted(outcomes, key=_place), [one for one in everything if isinstance(one, Clean)])


def parts(names: Names | None = None, *, clean: int = 0, seed: int = 0) -> list[Part]:
    """All there is to do.

    Args:
        names: of the mistakes; None takes all.
        clean: how many encoders to run without a mistake, in every dtype.
        seed: of those.
    """
    return [*_of_models(names), *_of_others(names), *_of_text(names), *_of_no_mistake(clean, seed)]


def left_out() -> str:
    """Which tier is not tried for want of a library that the others do without; empty if none is."""
    missing = [name for name in ("transformers", "sentence_transformers") if importlib.util.find_spec(name) is None]
    return f"the tier of text is left out: {' and '.join(missing)} cannot be imported here" if missing else ""


def _of_models(names: Names | None) -> Iterator[Part]:
    """Mistakes in the model, one form after the other, for which much is compiled; then in other sizes and forms."""
    chosen = [bug for bug in MODEL_BUGS if names is None or bug.name in names]
    for variant in dict.fromkeys(bug.variant for bug in chosen):
        some = frozenset(bug.name for bug in chosen if bug.variant == variant)
        yield Part(variant, 15 + 2 * len(some), partial(_in_float64, encoder.outcomes, some))
    for number, (form, bugs) in enumerate(elsewhere(chosen) if chosen else (), start=1):
        some = frozenset(bug.name for bug in bugs)
        work = partial(_in_float64, encoder.outcomes_in, form, some)
        yield Part(f"another model, {number}", 30 + len(some) // 2, work)


def _of_others(names: Names | None) -> Iterator[Part]:
    tiers: tuple[tuple[str, int, Sequence[Bug], Callable[[Names], Iterator[Outcome]]], ...] = (
        ("draws", 60, DRAWS_BUGS, encoder.outcomes_of_draws),
        ("kernels", 30, KERNEL_BUGS, kernels.outcomes),
        ("optimizer", 20, OPTIMIZER_BUGS, optimizer.outcomes),
        ("training", 120, TRAINING_BUGS, training.outcomes),
        ("draws of training", 20, KEY_BUGS, keys.outcomes),
        ("mesh", 120, MESH_BUGS, mesh.outcomes),
        ("precision", 60, PRECISION_BUGS, precision.outcomes),
    )
    for what, seconds, bugs, outcomes in tiers:
        chosen = frozenset(bug.name for bug in bugs if names is None or bug.name in names)
        if chosen and outcomes is precision.outcomes:  # in dtypes of its own
            yield Part(what, seconds, partial(outcomes, chosen))
        elif chosen:
            yield Part(what, seconds, partial(_in_float64, outcomes, chosen))


def _of_text(names: Names | None) -> Iterator[Part]:
    """Mistakes in how text is read; who asks for none by name does without them where the libraries are missing."""
    chosen = [bug for bug in TEXT if names is None or bug.name in names]
    if not chosen or (names is None and left_out()):
        return
    from parity.text import outcomes as text

    for folder in dict.fromkeys(bug.folder for bug in chosen):
        some = frozenset(bug.name for bug in chosen if bug.folder == folder)
        yield Part(f"text, {folder}", 60, partial(text.outcomes, some))


def _of_no_mistake(examples: int, seed: int) -> list[Part]:
    dtypes = problems.DTYPES if examples else ()
    return [Part(f"no mistake, {dtype}", 10 * examples, partial(_clean, dtype, examples, seed)) for dtype in dtypes]


def _done(part: Part) -> list[Outcome | Clean]:
    return list(part.work())


def _in_float64(outcomes: Callable[..., Iterator[Outcome]], *arguments: Any) -> list[Outcome]:
    with in_float64():
        return list(outcomes(*arguments))


def _clean(dtype: str, examples: int, seed: int) -> list[Clean]:
    """Runs random encoders without a mistake."""
    with in_float64():
        result = search(problems.drawn((dtype,)), problems.reason_of, seed=seed, examples=examples, seconds=math.inf)
    return [Clean(f"random encoders in {dtype}", result.tried, result.reason)]


_PLACES = {bug.name: place for place, bug in enumerate(MODEL_BUGS)}


def _place(one: Outcome) -> int:
    """In the matrix, mistakes are made variant by variant and told of in the order of the catalogue; the rest as is."""
    return _PLACES[one.bug] if one.tier in ("forward", "backward") else len(_PLACES)
