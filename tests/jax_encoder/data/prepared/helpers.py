"""Small corpora, prepared within the process that asks."""

import io
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from jax_encoder.data.prepared import plan, shards, tokens
from jax_encoder.data.prepared.build import prepare_text
from jax_encoder.data.prepared.config import PrepareConfig
from jax_encoder.data.prepared.manifest import read_manifest
from jax_encoder.data.prepared.reader import Prepared
from jax_encoder.data.tokenizer import encode, load_tokenizer, save_tokenizer, vocabulary_of
from jax_encoder.data.tokenizer_form import TokenizerForm
from jax_encoder.data.tokenizer_training import train_tokenizer

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "two", "red", "birds", "over", "old", "river"]
TOKENIZER = train_tokenizer([" ".join(WORDS)] * 9, TokenizerForm("wordpiece"), vocab_size=120)


def texts(count: int, seed: int = 0) -> list[str]:
    """Documents of one to sixty words, none of them twice."""
    rng = random.Random(seed)
    return [f"{' '.join(rng.choices(WORDS, k=rng.randint(1, 60)))} {seed} {number}" for number in range(count)]


def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units, chunks and shards of a few dozen documents."""
    monkeypatch.setattr(plan, "UNIT_BYTES", 4000)
    monkeypatch.setattr(tokens, "CHUNK_BYTES", 2000)
    monkeypatch.setattr(tokens, "_BATCH_BYTES", 500)
    monkeypatch.setattr(shards, "_SHARD_TOKENS", 2500)


def prepare(to: Path, *data: Path | str, **options: object) -> Prepared:
    """Prepares with a tokenizer that is there, without a process beside this one."""
    if not options.keys() & {"tokenizer_kind", "tokenizer"}:
        given = to.parent / "given.json"
        save_tokenizer(TOKENIZER, given)
        options = {"tokenizer": str(given)} | options
    config = PrepareConfig(to=str(to), data=tuple(map(str, data)), **{"seq_len": 32, "workers": 1} | options)
    said = io.StringIO()
    prepare_text(config, Console(file=said, width=300))
    return Prepared(to, read_manifest(to)) if config.part is None else None


def pieces_of_rows(prepared: Prepared, side: str = "train") -> Counter[tuple[int, ...]]:
    """Every document of the rows, or piece of one, with how often it is there."""
    rows = prepared.some_rows(side, None)
    found: Counter[tuple[int, ...]] = Counter()
    for row, segments in zip(rows.tokens.tolist(), rows.segments.tolist(), strict=True):
        for number in range(1, max(segments) + 1):
            found[tuple(token for token, segment in zip(row, segments, strict=True) if segment == number)] += 1
    return found


def pieces_of_texts(prepared: Prepared, documents: list[str]) -> Counter[tuple[int, ...]]:
    """What the rows should hold of some documents, cut the slow way."""
    tokenizer = load_tokenizer(prepared.folder / "tokenizer.json")
    vocabulary = vocabulary_of(tokenizer)
    longest = prepared.manifest.row_length - 2
    found: Counter[tuple[int, ...]] = Counter()
    for document in documents:
        ids = encode(tokenizer, [document]).tokens.tolist()
        for start in range(0, len(ids), longest):
            piece = ids[start : start + longest]
            if set(piece) - set(vocabulary.special):
                found[(vocabulary.cls, *piece, vocabulary.sep)] += 1
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder but their times."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def same_batches(one, other) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
