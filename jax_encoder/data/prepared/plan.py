"""What of a corpus is one piece of work: a function of the corpus alone, never of who does it."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from jax_encoder.data import hub
from jax_encoder.data.corpus import matching, sotu_files
from jax_encoder.data.documents import Extent, is_cut
from jax_encoder.errors import InputError

UNIT_BYTES = 2**25  # of files; a process that is killed loses as much work

_WEIGHTED = re.compile(r"(?P<name>.+)=(?P<weight>[0-9]*\.?[0-9]+)")


class Source(NamedTuple):
    """What one word of --data names, and its share of what training sees; None: all sources are one."""

    name: str
    weight: float | None


class Unit(NamedTuple):
    """What one process reads in one go.

    Attributes:
        number: of all units, in the order of the corpus.
        source: index of its source.
        extents: files, or ranges of files, one after the other.
        held_out: for all its documents; None leaves that to each one's text.
    """

    number: int
    source: int
    extents: tuple[Extent, ...]
    held_out: bool | None = None


class Plan(NamedTuple):
    """All of a corpus."""

    sources: tuple[Source, ...]
    units: tuple[Unit, ...]

    def fingerprint(self) -> str:
        """Changes with the files' names and sizes, their order and their weights."""
        content = [
            [source._asdict() for source in self.sources],
            [[u.source, [[str(e.path), e.start, e.stop, size_of(e)] for e in u.extents]] for u in self.units],
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def plan(data: Sequence[str]) -> Plan:
    """Cuts a corpus into units of about `UNIT_BYTES`: large plain files into ranges, small files several together.

    Args:
        data: files, folders, globs and hub names (`hf:name`), each with `=weight` behind it or none; nothing is the
            default corpus.

    Raises:
        InputError: there is no such file, some have a weight and some none, or a weight is 0.
    """
    if not data:
        files = sotu_files()
        units: list[Unit] = []
        for held_out in (False, True):
            extents = [Extent(path) for path, side in files if side == held_out]
            units += [Unit(len(units), 0, group, held_out) for group in _groups(extents)]
        return Plan((Source(f"sotu {metadata.version('sotu')}", None),), tuple(units))
    sources = _sources(data)
    units = []
    for index, source in enumerate(sources):
        patterns = list(data) if source.weight is None else [source.name]
        extents = [extent for pattern in patterns for extent in _extents(pattern)]
        units += [Unit(len(units) + n, index, group) for n, group in enumerate(_groups(_each_once(extents)))]
    return Plan(sources, tuple(units))


def size_of(extent: Extent) -> int:
    """Bytes on disk; 0 where nobody knows."""
    if hub.is_hub(extent.path):
        return 0
    return (extent.path.stat().st_size if extent.stop is None else extent.stop) - extent.start


def _sources(data: Sequence[str]) -> tuple[Source, ...]:
    matches = [None if Path(word).exists() else _WEIGHTED.fullmatch(word) for word in data]
    weighted = [match for match in matches if match is not None]
    if not weighted:
        return (Source(", ".join(data), None),)
    if len(weighted) < len(data):
        bare = next(word for word, match in zip(data, matches, strict=True) if match is None)
        raise InputError(f"--data {bare} has no weight, and others have: give each one, as in {bare}=0.5, or none")
    sources = tuple(Source(match["name"], float(match["weight"])) for match in weighted)
    total = math.fsum(source.weight or 0 for source in sources)
    if not all(source.weight for source in sources):
        raise InputError("--data: a weight of 0 would never be read: leave that source out")
    return tuple(Source(source.name, (source.weight or 0) / total) for source in sources)


def _extents(pattern: str) -> Iterator[Extent]:
    """What one pattern names, large plain files in ranges."""
    if hub.is_hub(Path(pattern)):
        yield from map(Extent, hub.shards(pattern))
        return
    for path in matching([pattern]):
        size = path.stat().st_size
        if not is_cut(path) or size < 2 * UNIT_BYTES:
            yield Extent(path)
            continue
        count = size // UNIT_BYTES
        ends = [size * n // count for n in range(1, count)]
        yield from (Extent(path, start, stop) for start, stop in zip([0, *ends], [*ends, None], strict=True))


def _each_once(extents: Sequence[Extent]) -> list[Extent]:
    return list(
        {
            (extent.path if hub.is_hub(extent.path) else extent.path.resolve(), extent.start): extent
            for extent in reversed(extents)
        }.values()
    )[::-1]


def _groups(extents: Sequence[Extent]) -> Iterator[tuple[Extent, ...]]:
    """Neighbours together, as long as they are not more than a unit."""
    group: list[Extent] = []
    size = 0
    for extent in extents:
        if group and (size + size_of(extent) > UNIT_BYTES or hub.is_hub(extent.path)):
            yield tuple(group)
            group, size = [], 0
        group.append(extent)
        size += size_of(extent)
    if group:
        yield tuple(group)
