"""The first half of preparing: units of text become chunks of tokens, each by one process, in any order.

A chunk holds the documents of some 32 MiB of text. Killed at any moment, a unit leaves whole chunks, and the next
process goes on behind them.
Axes: N tokens, D documents.
"""

import hashlib
import itertools
import json
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_encoder.data.corpus import digest_of, is_held_out
from jax_encoder.data.documents import Form, read_documents
from jax_encoder.data.files import sha256_of, write_json, written_whole
from jax_encoder.data.prepared import pool
from jax_encoder.data.prepared.duplicates import bands
from jax_encoder.data.prepared.plan import Unit, size_of
from jax_encoder.data.tokenizer import Vocabulary, load_tokenizer, vocabulary_of
from jax_encoder.data.words import Words
from jax_encoder.errors import InputError

CHUNK_BYTES = 2**25  # of text
_BATCH_BYTES = 2**19  # of text, cut into tokens at once: few, because the library's own objects take many times as much


class Task(NamedTuple):
    """A unit, and what to make of it.

    Attributes:
        unit: what to read.
        folder: where chunks go.
        tokenizer: a tokenizer.json.
        form: how documents lie in the files.
        held_out_share: one document in so many is held out.
    """

    unit: Unit
    folder: Path
    tokenizer: Path
    form: Form
    held_out_share: int


class Chunk(NamedTuple):
    """A file of tokens, and what is in it: `[0]` of a pair is for training, `[1]` held out."""

    name: str
    source: int
    documents: tuple[int, int]
    tokens: tuple[int, int]
    text_bytes: int
    characters: int
    words: int
    unknown: int
    sha256: str
    text_sha256: str


def unit_record(folder: Path, number: int) -> Path:
    """Lists the chunks of a unit once all of them are there."""
    return folder / f"unit-{number:06d}.json"


def read_record(path: Path) -> list[Chunk]:
    """The chunks of a unit that is done.

    Raises:
        InputError: the record is damaged.
    """
    try:
        return [_chunk(values) for values in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged ({error}): delete it, and give the same command again") from None


def tokenize(task: Task) -> list[Chunk]:
    """Makes the chunks of a unit that are not there yet, and then its record.

    Raises:
        InputError: a file cannot be read, or is another one than when this unit was begun.
    """
    chunks: list[Chunk] = []
    with closing(_documents(task)) as documents:
        for number in itertools.count():
            path = task.folder / f"chunk-{task.unit.number:06d}-{number:04d}.npz"
            if path.exists():
                chunk = described(path)
                known = sum(chunk.documents)
                if sum(1 for _ in itertools.islice(documents, known)) < known:
                    raise InputError(f"{_names(task.unit)}: changed since this was begun: {START_ANEW}")
            elif not _write(path, documents, task):
                break
            chunks.append(described(path))
    write_json(unit_record(task.folder, task.unit.number), [chunk._asdict() for chunk in chunks])
    return chunks


START_ANEW = "delete the folder given with --to, and start anew"


def described(path: Path) -> Chunk:
    """What a chunk says of itself, and the checksum of its file.

    Raises:
        InputError: it is damaged.
    """
    try:
        with np.load(path) as arrays:
            values = json.loads(str(arrays["about"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}): delete it, and give the same command again") from None
    return _chunk(values | {"name": path.name, "sha256": sha256_of(path)})


def _chunk(values: dict[str, Any]) -> Chunk:
    return Chunk(**values | {name: tuple(values[name]) for name in ("documents", "tokens")})


def _names(unit: Unit) -> str:
    return ", ".join(dict.fromkeys(str(extent.path) for extent in unit.extents))


def _documents(task: Task) -> Generator[str, None, None]:
    """The documents of a unit; on the way it is said how many bytes of its files they took, as far as that is known."""
    for extent in task.unit.extents:
        left = size_of(extent)
        for text in read_documents(extent, task.form):
            step = min(len(text), left)
            pool.advance(step)
            left -= step
            yield text
        pool.advance(left)


class _Batch(NamedTuple):
    """Some documents of a chunk."""

    texts: list[str]
    tokens: np.ndarray
    lengths: np.ndarray
    digests: list[bytes]


def _batches(documents: Iterator[str], words: Words) -> Iterator[_Batch]:
    """Documents in tokens, up to the size of a chunk."""
    read = 0
    while read < CHUNK_BYTES:
        texts: list[str] = []
        size = 0
        for text in documents:
            texts.append(text)
            size += len(text.encode("utf-8"))
            if size >= _BATCH_BYTES:
                break
        if not texts:
            return
        read += size
        encoded = words.encode(texts)
        yield _Batch(texts, encoded.tokens, np.diff(encoded.starts), [digest_of(text) for text in texts])


def _write(path: Path, documents: Iterator[str], task: Task) -> bool:
    """Writes the next chunk; says whether there was anything left to write."""
    words, vocabulary = _tokenizer(task.tokenizer)
    kept: dict[str, list[np.ndarray]] = {name: [] for name in ("tokens", "lengths", "digests", "bands", "held_out")}
    figures = dict.fromkeys(("text_bytes", "characters", "words", "unknown"), 0)
    content = hashlib.sha256()
    for batch in _batches(documents, words):
        held_out = [_side(task, digest) for digest in batch.digests]
        kept["tokens"].append(batch.tokens)
        kept["lengths"].append(batch.lengths)
        kept["digests"].append(np.frombuffer(b"".join(d[:16] for d in batch.digests), "<u8").reshape(-1, 2))
        kept["bands"].append(bands(batch.tokens, batch.lengths))
        kept["held_out"].append(np.array(held_out))
        content.update(b"".join(batch.digests))
        figures["text_bytes"] += sum(len(text.encode("utf-8")) for text in batch.texts)
        figures["characters"] += sum(map(len, batch.texts))
        figures["words"] += sum(len(text.split()) for text in batch.texts)
        figures["unknown"] += 0 if vocabulary.unk is None else int(np.count_nonzero(batch.tokens == vocabulary.unk))
    if not kept["tokens"]:
        return False
    arrays = {name: np.concatenate(parts) for name, parts in kept.items()}
    of_held_out = int(arrays["lengths"][arrays["held_out"]].sum()), int(np.count_nonzero(arrays["held_out"]))
    about = figures | {
        "source": task.unit.source,
        "documents": (len(arrays["lengths"]) - of_held_out[1], of_held_out[1]),
        "tokens": (len(arrays["tokens"]) - of_held_out[0], of_held_out[0]),
        "text_sha256": content.hexdigest(),
    }
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
    return True


def _side(task: Task, digest: bytes) -> bool:
    fixed = task.unit.held_out
    return is_held_out(digest, task.held_out_share) if fixed is None else fixed


@lru_cache(maxsize=1)  # one in every process
def _tokenizer(path: Path) -> tuple[Words, Vocabulary]:
    tokenizer = load_tokenizer(path)
    return Words(tokenizer), vocabulary_of(tokenizer)
