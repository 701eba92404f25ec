"""Makes every mistake of the catalogue on purpose, in small folders, and asks the check about it."""

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jax_encoder.sentence.read import read_sentence_form
from parity.encoder.checkpoints import load_silently
from parity.encoder.session import in_float64
from parity.judge.outcome import Outcome, judged
from parity.judge.verdict import Run
from parity.text.bench import Bench
from parity.text.bugs import CATALOGUE, PoolingBug, TextBug
from parity.text.check import bench_of
from parity.text.folders import SMALL
from parity.text.library import Library, Sentences
from parity.text.ours import Ours
from parity.text.plants import PLANTS
from parity.text.runs import runs_of

TIER = "text"
# Of mistakes that show before any network nothing is computed.
_COMPUTED = 24


def outcomes(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Makes each mistake in the libraries and, where our options or files can say it, in ours; None takes all."""
    with tempfile.TemporaryDirectory() as place:
        for bug in CATALOGUE:
            if names is None or bug.name in names:
                folder = Path(place) / bug.folder
                if not folder.exists():
                    SMALL[bug.folder].write(folder)
                yield from outcomes_in(bug, folder)


def outcomes_in(bug: TextBug | PoolingBug, folder: Path) -> Iterator[Outcome]:
    """Makes one mistake in a folder, on every side on which it can be made there; on none if it cannot."""
    with in_float64():
        bench = _bench(folder, _COMPUTED if isinstance(bug, PoolingBug) else 0)
        if not applies(bug, bench):
            return
        if bug.name in PLANTS:
            PLANTS[bug.name](bench.theirs)
            yield judged(bug, "torch", TIER, _first(bench))
        bench = _bench(folder, bench.computed)
        if _can_be_ours(bug, bench):
            bench.ours = _mistaken(bug, bench)
            yield judged(bug, "JAX", TIER, _first(bench))


def applies(bug: TextBug | PoolingBug, bench: Bench) -> bool:
    """Whether a mistake can be made in a folder; how vectors become one is sentence-transformers' affair."""
    pooled = isinstance(bug, PoolingBug) and not isinstance(bench.theirs.pipeline, Sentences)
    return not pooled and _form(bug, bench) is not None


def _form(bug: TextBug | PoolingBug, bench: Bench) -> object:
    """The recipe with the mistake in its commonest form."""
    sound = bench.sound
    forms = bug.wrong(sound.by_file) if isinstance(bug, TextBug) else bug.wrong(sound.pooled)
    return next(iter(forms), None)


def _can_be_ours(bug: TextBug | PoolingBug, bench: Bench) -> bool:
    """We never pad a text, keep no types from the encoder, and always pool all tokens."""
    return bug.name not in ("text-pad-side", "text-types-flat", "text-pooling-special", "text-cut-order")


def _mistaken(bug: TextBug | PoolingBug, bench: Bench) -> Ours:
    form = _form(bug, bench)
    return bench.ours.mistaken(form)  # type: ignore[arg-type]


def _bench(folder: Path, computed: int) -> Bench:
    form = read_sentence_form(folder)
    checkpoint = _loaded(form.encoder)
    return bench_of(Ours(checkpoint, form), Library(folder, checkpoint.family), computed)


_loaded = functools.lru_cache(maxsize=1)(load_silently)


def _first(bench: Bench) -> Run:
    """The first run in which something differs; the last if none does."""
    for run in runs_of(bench):
        if run.first_to_differ is not None:
            break
    return run
