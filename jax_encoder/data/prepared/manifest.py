"""What a prepared folder holds, with the checksum of everything."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from jax_encoder.data.files import once, sha256_of, write_json
from jax_encoder.data.prepared.shards import Shard
from jax_encoder.errors import InputError

VERSION = 1
NAME = "manifest.json"
TOKENIZER = "tokenizer.json"
REPORT = "tokenizer-report.json"
SHARDS = "shards"


class SourceRecord(NamedTuple):
    """What was found in one source.

    Attributes:
        name: as it was given.
        weight: its share of what training sees; None if all sources are one.
        files: how many.
        text_bytes, documents, tokens: of the whole text.
        sha256: of the SHA-256 of its documents, in their order.
    """

    name: str
    weight: float | None
    files: int
    text_bytes: int
    documents: int
    tokens: int
    sha256: str


class Manifest(NamedTuple):
    """A prepared folder.

    Attributes:
        version: of this form.
        options: that it was prepared with.
        plan: fingerprint of the corpus' files.
        row_length: T.
        vocabulary: ids are below this.
        files: checksums of the other files, by name.
        sources: where the text came from.
        copies, near: documents that are copies of an earlier one, and others that are nearly so.
        fill: share of the training rows' columns that are not padding.
        train, held_out: packed rows.
    """

    version: int
    options: dict[str, Any]
    plan: str
    row_length: int
    vocabulary: int
    files: dict[str, str]
    sources: tuple[SourceRecord, ...]
    copies: int
    near: int
    fill: float
    train: tuple[Shard, ...]
    held_out: tuple[Shard, ...]

    @property
    def narrow(self) -> bool:
        """Whether ids and columns fit into 16 bits, as `pack` decides it."""
        return max(self.vocabulary, self.row_length) <= 2**16

    def write(self, folder: Path) -> None:
        """Writes it, with a checksum of its own."""
        values = self._asdict()
        values |= {name: [one._asdict() for one in values[name]] for name in ("sources", "train", "held_out")}
        write_json(folder / NAME, {**values, "sha256": _checksum(values)})

    def told(self) -> list[str]:
        """What people want to know of it, line by line."""
        documents = sum(source.documents for source in self.sources)
        size = sum(source.text_bytes for source in self.sources)
        lost = sum(shard.unpredictable for shard in self.train)
        kept = self.options["duplicates"]
        rows = [sum(shard.rows for shard in side) for side in (self.train, self.held_out)]
        lines = [
            f"text       {size / 1e6:,.1f} MB in {sum(source.files for source in self.sources):,} files: "
            f"{documents:,} documents, {sum(shard.documents for shard in self.held_out):,} held out",
            f"duplicates {self.copies:,} copies of an earlier document, {self.near:,} near copies; "
            + {"keep": "all kept", "drop-copies": "the copies are left out", "drop-near": "both left out"}[kept],
            f"rows       {rows[0]:,} of {self.row_length} tokens, {self.fill:.1%} full; {rows[1]:,} held out",
        ]
        if lost:
            lines.append(f"{lost:,} tokens are left out: documents in which nothing but [UNK] is left to predict")
        return lines

    def hash(self) -> str:
        """Of all that it says: the same text prepared in the same way has the same."""
        return hashlib.sha256(json.dumps(self, sort_keys=True).encode()).hexdigest()


def is_prepared(path: Path) -> bool:
    """Whether a folder was prepared, to its end."""
    return (path / NAME).is_file() and (path / SHARDS).is_dir()


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest, and compares the small files and the sizes of the large ones; rows are checked when read.

    Raises:
        InputError: something is missing, damaged or of a newer version.
    """
    path = folder / NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
        checksum = values.pop("sha256")
        if values["version"] > VERSION:
            raise InputError(
                f"{path} is of version {values['version']}, which a newer jax-encoder wrote: update this one"
            )
        if checksum != _checksum(values):
            raise ValueError("it is not what was written")
        values["sources"] = tuple(SourceRecord(**one) for one in values["sources"])
        values |= {side: tuple(Shard(**one) for one in values[side]) for side in ("train", "held_out")}
        manifest = Manifest(**values)
    except InputError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}): {AGAIN}") from None
    for name, expected in manifest.files.items():
        if not (folder / name).is_file():
            raise InputError(f"{folder / name} is missing: {AGAIN}")
        if sha256_of(folder / name) != expected:
            raise InputError(f"{folder / name} is not what was written: {AGAIN}")
    return manifest


AGAIN = "put it back, or prepare the text again"


def _checksum(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
