"""From a corpus to a prepared folder: plan, tokenizer, tokens, marks, rows, manifest."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from jax_encoder.data import lock
from jax_encoder.data.documents import Form
from jax_encoder.data.files import sha256_of, write_json, written_whole
from jax_encoder.data.prepared import duplicates, manifest, pool, shards, tokens
from jax_encoder.data.prepared.bar import Bar
from jax_encoder.data.prepared.config import PrepareConfig
from jax_encoder.data.prepared.manifest import Manifest, SourceRecord
from jax_encoder.data.prepared.plan import Plan, Unit, plan, size_of
from jax_encoder.data.prepared.sample import sample
from jax_encoder.data.prepared.shards import Shard
from jax_encoder.data.prepared.tokens import Chunk
from jax_encoder.data.tokenizer import Vocabulary, load_tokenizer, save_tokenizer, vocabulary_of
from jax_encoder.data.tokenizer_report import TokenizerReport
from jax_encoder.data.tokenizer_training import train_tokenizer
from jax_encoder.errors import InputError

_LONGEST_DOCUMENT = 2**20  # bytes; more at once would take more memory than all else, and lies in many rows anyway
_LEFT_OUT: dict[str, tuple[int, ...]] = {
    "keep": (),
    "drop-copies": (duplicates.COPY,),
    "drop-near": (duplicates.COPY, duplicates.NEAR),
}
_BEGUN = "begun.json"


class Work(NamedTuple):
    """A folder on its way.

    Attributes:
        config: what was asked for.
        plan: of the corpus.
        to: the folder.
        console: to speak to.
        options: what the result depends on; a tokenizer by its checksum.
    """

    config: PrepareConfig
    plan: Plan
    to: Path
    console: Console
    options: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Holds what is not needed in the end."""
        return self.to / "unfinished"

    @property
    def tokenizer(self) -> Path:
        """Lies there from the beginning."""
        return self.to / manifest.TOKENIZER

    @property
    def form(self) -> Form:
        """How documents lie in the files."""
        return Form(self.config.text_field, self.config.documents, _LONGEST_DOCUMENT)

    @property
    def workers(self) -> int:
        """How many processes."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.config.workers or cores or 1

    def say(self, text: str) -> None:
        """Prints a line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def prepare_text(config: PrepareConfig, console: Console) -> Path:
    """Does what is left to do of one corpus, or of one machine's part of it.

    Returns:
        The folder.

    Raises:
        InputError: options that cannot work, text that cannot be read, or a folder that holds something else.
    """
    config.check()
    options = config.to_dict()
    if config.tokenizer:
        vocabulary_of(load_tokenizer(Path(config.tokenizer)), source=config.tokenizer)
        options["tokenizer"] = sha256_of(Path(config.tokenizer))
    work = Work(config, plan(config.data), Path(config.to), console, options)
    asked = {"options": options, "plan": work.plan.fingerprint()}
    if manifest.is_prepared(work.to):
        found = manifest.read_manifest(work.to)
        if {"options": found.options, "plan": found.plan} != asked:
            raise InputError(f"{work.to} was prepared from other text or with other options: choose another --to")
        work.say(f"{work.to} is prepared already")
        return work.to
    _check_free(work)
    work.folder.mkdir(parents=True, exist_ok=True)
    index, count = config.share()
    with _locked(work, index, count):
        _begin(work, asked)
        _ensure_tokenizer(work)
        _tokenize(work, [unit for unit in work.plan.units if unit.number % count == index])
        if config.part is not None:
            work.say(f"part {config.part} is ready; once all are, the same command without --part puts them together")
        else:
            _finish(work)
    return work.to


@contextlib.contextmanager
def _locked(work: Work, index: int, count: int) -> Iterator[None]:
    """The whole folder, or one part of it; the whole waits for no part."""
    with contextlib.ExitStack() as stack:
        if work.config.part is not None:
            stack.enter_context(
                lock.held(work.folder, f"prepare --part {work.config.part}", name=f"part-{index + 1}-{count}")
            )
        else:
            stack.enter_context(lock.held(work.folder, "prepare"))
            for path in sorted(work.folder.glob("part-*.lock")):
                stack.enter_context(lock.held(work.folder, "prepare", name=path.stem))
        yield


def _check_free(work: Work) -> None:
    if work.to.exists() and not work.to.is_dir():
        raise InputError(f"{work.to} is a file: name a folder with --to")
    if work.to.is_dir() and not work.folder.is_dir() and next(work.to.iterdir(), None):
        raise InputError(f"{work.to} exists already, and was not prepared: name another folder with --to")


def _begin(work: Work, asked: dict[str, Any]) -> None:
    """Writes down what is done here, or compares it with what an earlier command did."""
    begun = work.folder / _BEGUN
    if not begun.is_file():
        write_json(begun, asked)
        return
    try:
        before = json.loads(begun.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"{begun} is damaged: {tokens.START_ANEW}") from None
    if before != asked:
        raise InputError(f"{work.to}: {_difference(before, asked)}: give the former, or {tokens.START_ANEW}")


def _difference(before: dict[str, Any], asked: dict[str, Any]) -> str:
    for name, value in asked["options"].items():
        if before["options"].get(name) != value:
            return (
                f"was begun with --{name.replace('_', '-')} {before['options'].get(name)}, and is now asked for {value}"
            )
    return "the files of the text are others than when it was begun"


def _ensure_tokenizer(work: Work) -> None:
    if work.tokenizer.is_file():
        return
    config = work.config
    if config.tokenizer:
        save_tokenizer(load_tokenizer(Path(config.tokenizer)), work.tokenizer)
        return
    with work.console.status("reading text for the tokenizer"):
        texts = sample(work.plan, work.form, config.held_out_share, limit=config.tokenizer_text << 20)
    if not texts:
        raise InputError(f"empty corpus: no document in {', '.join(source.name for source in work.plan.sources)}")
    with work.console.status("training the tokenizer"):
        trained = train_tokenizer(texts, config.tokenizer_form, vocab_size=config.vocab_size)
    save_tokenizer(trained, work.tokenizer)


def _tokenize(work: Work, units: Sequence[Unit]) -> None:
    left = [unit for unit in units if not tokens.unit_record(work.folder, unit.number).is_file()]
    if not left:
        return
    form, share = work.form, work.config.held_out_share
    tasks = [tokens.Task(unit, work.folder, work.tokenizer, form, share) for unit in left]
    total = sum(size_of(extent) for unit in left for extent in unit.extents)
    with Bar(work.console, "cutting the text into tokens", total) as bar:
        for _ in pool.each(tokens.tokenize, tasks, workers=work.workers, progress=bar.at):
            pass


def _finish(work: Work) -> None:
    """From chunks to rows, once all chunks are there."""
    chunks = [
        chunk for unit in work.plan.units for chunk in tokens.read_record(tokens.unit_record(work.folder, unit.number))
    ]
    _check_sides(work, chunks)
    with work.console.status("looking for duplicates"):
        marks = duplicates.mark([work.folder / chunk.name for chunk in chunks], [sum(c.documents) for c in chunks])
        with written_whole(work.folder / shards.MARKS) as temporary, temporary.open("wb") as stream:
            np.save(stream, marks.of)
    made = _pack(work, chunks)
    vocabulary = vocabulary_of(load_tokenizer(work.tokenizer))
    report = _report(chunks, vocabulary)
    write_json(work.to / manifest.REPORT, report.to_dict())
    sides = [tuple(shard for shard in made if shard.file.startswith(f"{side}-")) for side in shards.SIDES]
    if not all(sides):
        raise InputError("nothing is left to train on, or to hold out, without duplicates and what cannot be predicted")
    positions = sum(shard.rows for shard in sides[0]) * work.config.seq_len
    written = Manifest(
        version=manifest.VERSION,
        options=work.options,
        plan=work.plan.fingerprint(),
        row_length=work.config.seq_len,
        vocabulary=vocabulary.size,
        files={name: sha256_of(work.to / name) for name in (manifest.TOKENIZER, manifest.REPORT)},
        sources=_sources(work, chunks),
        copies=marks.copies,
        near=marks.near,
        fill=round(sum(shard.filled for shard in sides[0]) / positions, 6),
        train=sides[0],
        held_out=sides[1],
    )
    written.write(work.to)
    shutil.rmtree(work.folder)
    origin = work.config.tokenizer or f"trained {work.config.tokenizer_kind}"
    for line in [f"tokenizer  {origin}: {report}", *written.told()]:
        work.say(line)


def _check_sides(work: Work, chunks: Sequence[Chunk]) -> None:
    train, held_out = (sum(chunk.documents[side] for chunk in chunks) for side in range(2))
    names = ", ".join(source.name for source in work.plan.sources)
    if not train + held_out:
        raise InputError(f"empty corpus: no document in {names}")
    if not train or not held_out:
        side = "all of them" if held_out else "none"
        raise InputError(
            f"corpus too small: one document in {work.config.held_out_share} is held out, chosen by its text, and of "
            f"the {train + held_out} in {names} that is {side}; add more, or say --documents lines if each line is one"
        )


def _pack(work: Work, chunks: Sequence[Chunk]) -> list[Shard]:
    to = work.to / manifest.SHARDS
    to.mkdir(exist_ok=True)
    config = work.config
    left_out = _LEFT_OUT[config.duplicates]
    tasks = [
        shards.Task(group, work.folder, to, work.tokenizer, config.seq_len, left_out) for group in shards.groups(chunks)
    ]
    total = sum(sum(chunk.tokens) for task in tasks for chunk, _ in task.group.chunks)
    with Bar(work.console, "packing tokens into rows", total) as bar:
        made = [one for one in pool.each(shards.write, tasks, workers=work.workers, progress=bar.at) if one]
    return sorted(made, key=lambda shard: shard.file)


def _report(chunks: Sequence[Chunk], vocabulary: Vocabulary) -> TokenizerReport:
    return TokenizerReport(
        vocabulary.size,
        sum(sum(chunk.documents) for chunk in chunks),
        sum(chunk.characters for chunk in chunks),
        sum(chunk.words for chunk in chunks),
        sum(sum(chunk.tokens) for chunk in chunks),
        sum(chunk.unknown for chunk in chunks),
    )


def _sources(work: Work, chunks: Sequence[Chunk]) -> tuple[SourceRecord, ...]:
    found = []
    for index, source in enumerate(work.plan.sources):
        ours = [chunk for chunk in chunks if chunk.source == index]
        files = {str(extent.path) for unit in work.plan.units if unit.source == index for extent in unit.extents}
        found.append(
            SourceRecord(
                name=source.name,
                weight=source.weight,
                files=len(files),
                text_bytes=sum(chunk.text_bytes for chunk in ours),
                documents=sum(sum(chunk.documents) for chunk in ours),
                tokens=sum(sum(chunk.tokens) for chunk in ours),
                sha256=hashlib.sha256("".join(chunk.text_sha256 for chunk in ours).encode()).hexdigest(),
            )
        )
    return tuple(found)
