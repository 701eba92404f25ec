"""The second half of preparing: chunks of tokens become shards of packed rows, each by one process, in any order."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jax_encoder.data.files import sha256_of
from jax_encoder.data.packing import left_out, pack
from jax_encoder.data.prepared import pool, records
from jax_encoder.data.prepared.tokens import Chunk
from jax_encoder.data.tokenizer import Encoded, Vocabulary, load_tokenizer, vocabulary_of
from jax_encoder.errors import InputError

_SHARD_TOKENS = 2**25
SIDES = ("train", "held_out")
MARKS = "marks.npy"  # of the documents, one after the other


class Group(NamedTuple):
    """Chunks that become one shard: neighbours of one source.

    Attributes:
        side: index into `SIDES`.
        source: index of the source.
        name: of the shard's file.
        chunks: what to pack, and where the marks of each one's documents begin.
    """

    side: int
    source: int
    name: str
    chunks: tuple[tuple[Chunk, int], ...]


class Task(NamedTuple):
    """A shard to make.

    Attributes:
        group: of what.
        work, to: folders of the chunks and of the shards.
        tokenizer: a tokenizer.json.
        row_length: T.
        leave_out: marks of documents that are left out.
    """

    group: Group
    work: Path
    to: Path
    tokenizer: Path
    row_length: int
    leave_out: tuple[int, ...]


class Shard(NamedTuple):
    """A file of packed rows.

    Attributes:
        file: its name.
        source: index of its source.
        rows: how many.
        filled: columns that are not padding.
        tokens: of the text.
        documents: of the text.
        unpredictable: tokens that are left out, because there is nothing in their pieces to predict.
        sha256: of the file.
    """

    file: str
    source: int
    rows: int
    filled: int
    tokens: int
    documents: int
    unpredictable: int
    sha256: str


def groups(chunks: Sequence[Chunk]) -> list[Group]:
    """Shares out the chunks of a corpus, in its order."""
    starts = np.cumsum([0, *(sum(chunk.documents) for chunk in chunks)]).tolist()
    found: list[Group] = []
    for side, name in enumerate(SIDES):
        placed = list(zip(chunks, starts, strict=False))
        for number, members in enumerate(_neighbours(placed, side)):
            found.append(Group(side, members[0][0].source, f"{name}-{number:05d}.npy", tuple(members)))
    return found


def _neighbours(chunks: Sequence[tuple[Chunk, int]], side: int) -> Iterator[list[tuple[Chunk, int]]]:
    members: list[tuple[Chunk, int]] = []
    size = 0
    for chunk, start in chunks:
        if members and (chunk.source != members[0][0].source or size + chunk.tokens[side] > _SHARD_TOKENS):
            yield members
            members, size = [], 0
        if chunk.tokens[side]:
            members.append((chunk, start))
            size += chunk.tokens[side]
    if members:
        yield members


def write(task: Task) -> Shard | None:
    """Packs a shard; None if nothing is left of its documents.

    Raises:
        InputError: a chunk is damaged.
    """
    vocabulary = _vocabulary(task.tokenizer)
    parts, documents, tokens, unpredictable = [], 0, 0, 0
    for chunk, start in task.group.chunks:
        encoded = _encoded(task, chunk, start)
        lost = left_out(encoded, vocabulary, row_length=task.row_length)
        documents, tokens = documents + len(encoded.starts) - 1, tokens + len(encoded.tokens) - lost
        unpredictable += lost
        if len(encoded.tokens) > lost:
            parts.append(records.encode(pack(encoded, vocabulary, row_length=task.row_length)))
        pool.advance(sum(chunk.tokens))
    if not parts:
        return None
    path = task.to / task.group.name
    records.save(parts, path)
    filled = int(sum(part["length"].sum() for part in parts))
    rows = sum(map(len, parts))
    return Shard(path.name, task.group.source, rows, filled, tokens, documents, unpredictable, sha256_of(path))


def _encoded(task: Task, chunk: Chunk, start: int) -> Encoded:
    """The documents of a chunk that belong to the shard."""
    path = task.work / chunk.name
    if not path.is_file() or sha256_of(path) != chunk.sha256:
        raise InputError(
            f"{path} is damaged: delete it and unit-{chunk.name[6:12]}.json beside it, and give the same command again"
        )
    with np.load(path) as arrays:
        tokens, lengths = arrays["tokens"], arrays["lengths"]
        chosen = arrays["held_out"] == bool(task.group.side)
    if task.leave_out:
        marks = np.load(task.work / MARKS, mmap_mode="r")[start : start + len(lengths)]
        chosen &= ~np.isin(marks, task.leave_out)
    kept = tokens[np.repeat(chosen, lengths)]
    return Encoded(kept, np.concatenate([[0], np.cumsum(lengths[chosen])]).astype(np.int64))


@lru_cache(maxsize=1)
def _vocabulary(path: Path) -> Vocabulary:
    return vocabulary_of(load_tokenizer(path))
