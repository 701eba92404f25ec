"""Documents that are copies of an earlier one, or nearly so.

Near ones by MinHash over 5-grams of tokens, 112 hash functions in 14 bands of 8: two documents whose sets of 5-grams
share four fifths meet in some band with a probability of 92 %, half of them with 5 %.
Axes: N tokens, D documents, H hash functions, G bands.
References: Broder (1997); Penedo et al. (2024), appendix E.1, https://arxiv.org/abs/2406.17557 (these numbers)
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, Integer, UInt8, UInt32, UInt64

_WINDOW = 5
_BANDS, _PER_BAND = 14, 8
_BLOCK = 2**16  # tokens at once, so that a processor's caches hold them
_PARTITION = 2**24  # documents whose hashes are sorted at once, 32 bytes each
_DRAWN = np.random.Generator(np.random.PCG64(0)).integers(0, 2**32, (2, _BANDS * _PER_BAND), np.uint32)
_FACTORS, _SUMMANDS = _DRAWN[0] | 1, _DRAWN[1]
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
KEPT, COPY, NEAR = 0, 1, 2


class Hashes(NamedTuple):
    """Of a chunk's documents: half of the SHA-256 of each, and one number for each band."""

    digests: UInt64[np.ndarray, "D 2"]
    bands: UInt64[np.ndarray, "D G"]


def bands(tokens: Integer[np.ndarray, " N"], lengths: Int64[np.ndarray, " D"]) -> UInt64[np.ndarray, "D G"]:
    """One number for each band of each document; those of a document without tokens are 0.

    Args:
        tokens: of all documents, end to end.
        lengths: of each.
    """
    found = np.zeros((len(lengths), _BANDS), np.uint64)
    full = np.flatnonzero(lengths)
    ends = np.cumsum(lengths[full])
    first = 0
    while first < len(full):
        begin = ends[first] - lengths[full[first]]
        last = max(first + 1, int(np.searchsorted(ends, begin + _BLOCK, "right")))
        block = tokens[begin : ends[last - 1]]
        found[full[first:last]] = _bands(block, ends[first:last] - begin)
        first = last
    return found


def _bands(tokens: Integer[np.ndarray, " N"], ends: Int64[np.ndarray, " D"]) -> UInt64[np.ndarray, "D G"]:
    grams = _grams(tokens, ends)
    starts = np.concatenate([[0], ends[:-1]])
    least = np.empty((_BANDS * _PER_BAND, len(ends)), np.uint32)
    for index, (factor, summand) in enumerate(zip(_FACTORS, _SUMMANDS, strict=True)):
        np.minimum.reduceat(grams * factor + summand, starts, out=least[index])
    mixed = np.zeros((_BANDS, len(ends)), np.uint64)
    for row in least.reshape(_BANDS, _PER_BAND, len(ends)).transpose(1, 0, 2):
        mixed = _mixed(mixed ^ row)
    return mixed.T


def _grams(tokens: Integer[np.ndarray, " N"], ends: Int64[np.ndarray, " D"]) -> UInt32[np.ndarray, " N"]:
    """A hash of the five tokens from each position on, or of what the document has left."""
    numbered = tokens.astype(np.uint64) + np.uint64(1)
    left = np.repeat(ends, np.diff(ends, prepend=0)) - np.arange(len(tokens))
    hashed = np.zeros(len(tokens), np.uint64)
    for ahead in range(_WINDOW):
        behind = np.zeros_like(numbered)
        behind[: max(0, len(tokens) - ahead)] = numbered[ahead:]
        hashed = _mixed(hashed ^ np.where(left > ahead, behind, np.uint64(0)))
    return (hashed >> np.uint64(32)).astype(np.uint32)


def _mixed(words: np.ndarray) -> np.ndarray:
    words = words * _MULTIPLIER
    return words ^ (words >> np.uint64(29))


class Marks(NamedTuple):
    """What each document of a corpus is, one after the other: `KEPT`, `COPY` or `NEAR`."""

    of: UInt8[np.ndarray, " D"]

    @property
    def copies(self) -> int:
        """Documents that are copies of an earlier one."""
        return int(np.count_nonzero(self.of == COPY))

    @property
    def near(self) -> int:
        """Others that are nearly so."""
        return int(np.count_nonzero(self.of == NEAR))


def mark(chunks: Sequence[Path], documents: Sequence[int]) -> Marks:
    """Finds the documents that are like an earlier one; the first of several is kept.

    Memory is one byte a document, and what it takes to sort the hashes of `_PARTITION` of them.

    Args:
        chunks: .npz files with the arrays of `Hashes`.
        documents: how many each has.
    """
    marks = np.zeros(sum(documents), np.uint8)
    starts = np.cumsum([0, *documents])
    parts = max(1, math.ceil(len(marks) / _PARTITION))
    for part in range(parts):
        found = [_chosen(one["digests"], start, part, parts) for start, one in _opened(chunks, starts)]
        marks[_later(found)] = COPY
    for band in range(_BANDS):
        for part in range(parts):
            found = []
            for start, one in _opened(chunks, starts):
                keys, places = _chosen(one["bands"][:, band : band + 1], start, part, parts)
                fresh = (marks[places] != COPY) & (keys[:, 0] != 0)
                found.append((keys[fresh], places[fresh]))
            marks[_later(found)] = NEAR
    return Marks(marks)


def _opened(chunks: Sequence[Path], starts: Int64[np.ndarray, " starts"]) -> Iterator[tuple[int, Any]]:
    for path, start in zip(chunks, starts.tolist(), strict=False):
        with np.load(path) as arrays:
            yield start, arrays


def _chosen(keys: UInt64[np.ndarray, "D W"], start: int, part: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """The keys of one part of the range, and whose they are."""
    chosen = np.flatnonzero(keys[:, 0] % np.uint64(parts) == part)
    return keys[chosen], start + chosen


def _later(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> Int64[np.ndarray, " later"]:
    """Of those with equal keys, all but the first."""
    if not found:
        return np.zeros(0, np.int64)
    keys, places = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort(keys.T)  # stable
    ordered = keys[order]
    same = np.zeros(len(order), bool)
    same[1:] = (ordered[1:] == ordered[:-1]).all(axis=1)
    return places[order[same]]
