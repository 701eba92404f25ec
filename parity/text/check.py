"""`python -m parity text`: a folder's text, as we read it and as the libraries do."""

import dataclasses
import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import jax
import tokenizers
import torch
import transformers

from jax_encoder.errors import InputError
from jax_encoder.huggingface.beside import TRANSFORMER_CONFIGS
from jax_encoder.huggingface.hub import folder_of
from jax_encoder.huggingface.reading import TOKENIZER
from jax_encoder.sentence.form import SentenceForm
from jax_encoder.sentence.modules import Normalize, Pooling
from jax_encoder.sentence.read import read_sentence_form
from parity.encoder.checkpoints import load_silently
from parity.encoder.session import in_float64
from parity.errors import MismatchError, UsageError
from parity.judge.check import mismatched
from parity.judge.compare import SEMANTIC
from parity.judge.crash import SideError
from parity.judge.verdict import Report, Run, Setting
from parity.text import built, wrong
from parity.text.adequacy import adequate
from parity.text.bench import Bench
from parity.text.corpus import COMPUTED, VARIANT, Text
from parity.text.diagnose import Sound
from parity.text.followed import followed, limits, pairs_are_framed
from parity.text.library import Library
from parity.text.ours import Ours
from parity.text.recipe import Pooled, Recipe, opened
from parity.text.runs import runs_of

Progress = Callable[[str, str], object]


@dataclasses.dataclass(frozen=True)
class Found:
    """What there is to say of a folder's text."""

    runs: tuple[Run, ...]
    settings: tuple[Setting, ...]
    environment: Mapping[str, str]


def check_text(model: str, *, computed: int = COMPUTED, progress: Progress = lambda variant, case: None) -> Report:
    """Reads a corpus by both, and makes vectors and scores of some of it.

    Args:
        model: folder, or name on the hub.
        computed: at most so many texts go through the networks.
        progress: called with the name of each group of texts before it is read.

    Raises:
        UsageError: the folder cannot be read here; the message says why.
    """
    found = text_of(model, computed=computed, progress=progress)
    return Report(_subject(model), SEMANTIC, found.environment, found.runs, preflight=found.settings)


def text_of(model: str, *, computed: int = COMPUTED, progress: Progress = lambda variant, case: None) -> Found:
    """The same as parts of a report. Raises UsageError as `check_text`."""
    with in_float64():
        try:
            form = read_sentence_form(folder_of(model))
            if form.static:
                raise UsageError(f"{model} has no encoder: a text's vector is the mean of its tokens' rows of a table")
            ours = Ours(load_silently(form.encoder), form)
        except InputError as error:
            raise UsageError(str(error)) from error
        environment = _environment()
        try:
            bench = bench_of(ours, Library(folder_of(model), ours.checkpoint.family), computed)
        except MismatchError as error:
            return Found((mismatched(VARIANT, "reading", error),), (), environment)
        except SideError as error:
            return Found((Run(VARIANT, "reading", (), crash=error.crash),), (), environment)
        runs = adequate(tuple(runs_of(bench, progress)), bench.sound.by_class, bench.cases)
        settings = *followed(bench), limits(bench)
    counts = {"texts": f"{bench.texts:,}", "of which computed": f"{bench.count:,}"}
    return Found(runs, settings, {**environment, **counts})


def bench_of(ours: Ours, theirs: Library, computed: int) -> Bench:
    """Both sides, how the folder may rightly be read, and the texts that are built for it."""
    limits = tuple(_limits(ours.form.encoder, theirs))
    content = ours.content if theirs.content is None else theirs.content
    by_class = dataclasses.replace(_recipe(theirs, content, typed=theirs.fed_types), limits=limits)
    by_file = _lowered(dataclasses.replace(by_class, tokenizer=ours.content, typed=theirs.takes_types), ours.form)
    modules = ours.form.modules
    pooled = Pooled(
        modes=next((one.modes for one in modules if isinstance(one, Pooling)), ()),
        normalize=any(isinstance(one, Normalize) for one in modules),
        width=theirs.pipeline.columns,
    )
    cases = built.corpus(_special(theirs), by_class.limit, *_lengths(by_class))
    if not pairs_are_framed(by_file):
        cases = {name: texts for name, texts in cases.items() if isinstance(texts[0], str)}
    if theirs.content is None:
        cases = _uncut(cases, by_class)
    return Bench(ours, theirs, Sound(by_file, by_class, pooled), cases, computed)


def _uncut(cases: Mapping[str, tuple[Text, ...]], recipe: Recipe) -> dict[str, tuple[Text, ...]]:
    """The groups without two texts that are cut: which of them loses more, code of a class's own decides otherwise."""
    length, _ = _lengths(recipe)
    kept = {
        name: tuple(text for text in texts if isinstance(text, str) or length(text) <= recipe.limit)
        for name, texts in cases.items()
    }
    return {name: texts for name, texts in kept.items() if texts and name != "pairs-limit"}


def _recipe(theirs: Library, content: str, *, typed: bool) -> Recipe:
    """All but tokenizer.json as the library has it."""
    tokenizer = theirs.tokenizer
    return Recipe(
        tokenizer=content,
        limit=tokenizer.model_max_length,
        cut_left=tokenizer.truncation_side == "left",
        pad_left=tokenizer.padding_side == "left",
        prompt=theirs.pipeline.prompt,
        typed=typed,
        counting=theirs.counting,
        pad=theirs.pad,
    )


def _limits(folder: Path, theirs: Library) -> Iterator[int]:
    """Every limit that a file of the folder names, as far as the encoder has positions."""
    found: set[object] = {theirs.possible}
    for path in folder.glob("*.json"):
        if path.name in ("tokenizer_config.json", *TRANSFORMER_CONFIGS):
            values = json.loads(path.read_text(encoding="utf-8"))
            found |= {values.get(name) for name in ("max_seq_length", "model_max_length")}
    if (folder / TOKENIZER).is_file():
        truncation = json.loads((folder / TOKENIZER).read_text(encoding="utf-8")).get("truncation") or {}
        found.add(truncation.get("max_length"))
    yield from sorted(int(limit) for limit in found if isinstance(limit, int | float) and limit <= theirs.possible)


def _lowered(recipe: Recipe, form: SentenceForm) -> Recipe:
    """With lower case before all, where sentence-transformers' own file asks for it."""
    lowered = list(wrong.lower_cased(recipe)) if form.lower_case else []
    return lowered[-1] if lowered else recipe


def _lengths(recipe: Recipe) -> tuple[built.Length, built.Length]:
    """How many tokens a text, or two, have before anything is cut."""
    tokenizer = opened(recipe.tokenizer)

    def length(text: Text) -> int:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return len(tokenizer.encode(*((recipe.prompt + text,) if isinstance(text, str) else text)))

    return length, length


def _special(theirs: Library) -> Sequence[str]:
    """The tokenizer's special tokens, the mask first."""
    tokenizer = theirs.tokenizer
    mask = [tokenizer.mask_token] if tokenizer.mask_token else []
    return tuple(dict.fromkeys([*mask, *tokenizer.all_special_tokens]))


def _environment() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "dtype": "float64",
    }


def _subject(model: str) -> str:
    return f"{model}, its text in jax_encoder against the libraries"
