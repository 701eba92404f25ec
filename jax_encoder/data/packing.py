"""Whole documents side by side in rows of one length, so that hardly a position is padding.

Axes: R rows, T columns, P pieces.
Reference: Krell et al. (2021), https://arxiv.org/abs/2107.02027
"""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Integer

from jax_encoder.data.files import written_whole
from jax_encoder.data.tokenizer import Encoded, Vocabulary
from jax_encoder.errors import InputError

_FRAME = 2  # [CLS] before and [SEP] behind
_SAVED_ROWS = 2**14  # written at once
_CHUNK = 2**22  # tokens copied at once; the index arrays take some 24 bytes for each


class Rows(NamedTuple):
    """Packed rows: `segments` numbers the pieces of a row 1, 2, ... from the left; 0 is padding, always at the end."""

    tokens: Integer[np.ndarray, "R T"]
    segments: Integer[np.ndarray, "R T"]

    @property
    def fill(self) -> float:
        """Share of the positions that are not padding."""
        return float(np.count_nonzero(self.segments) / self.segments.size)


class _Pieces(NamedTuple):
    """What goes into one row unbroken: where its ids start in the text and how many they are."""

    starts: Int64[np.ndarray, " P"]
    lengths: Int64[np.ndarray, " P"]


class _Places(NamedTuple):
    """Where each piece goes."""

    rows: Int64[np.ndarray, " P"]
    columns: Int64[np.ndarray, " P"]
    segments: Int64[np.ndarray, " P"]


def pack(documents: Encoded, vocabulary: Vocabulary, *, row_length: int) -> Rows:
    """Puts every document into a row as [CLS] tokens [SEP], the longest first, each where it fits most tightly.

    A document longer than a row is cut into pieces as long as a row, the last one shorter; each is framed like a
    document and sees only itself. A piece of nothing but special tokens, as of an unknown script, is left out: there
    is nothing in it to predict. The same documents give the same rows.

    Args:
        documents: ids without special tokens.
        vocabulary: whose pad, cls and sep to use.
        row_length: T, at least 3.

    Raises:
        InputError: `row_length` is below 3, or there is nothing to predict.
    """
    pieces = _predictable(documents, vocabulary, row_length)
    if not pieces.lengths.size:
        raise InputError(
            f"nothing to pack: {len(documents.starts) - 1} documents, and not one token in them that can be predicted"
        )
    places = _place(pieces.lengths + _FRAME, row_length)
    return _fill(documents, pieces, places, vocabulary, row_length)


def left_out(documents: Encoded, vocabulary: Vocabulary, *, row_length: int) -> int:
    """How many tokens `pack` leaves out, because there is nothing in their pieces to predict."""
    return len(documents.tokens) - int(_predictable(documents, vocabulary, row_length).lengths.sum())


def _predictable(documents: Encoded, vocabulary: Vocabulary, row_length: int) -> _Pieces:
    """The pieces that hold a token that is not special."""
    if row_length <= _FRAME:
        raise InputError(f"a row must hold at least [CLS], one token and [SEP], got a length of {row_length}")
    pieces = _cut(documents, row_length - _FRAME)
    if not pieces.lengths.size:
        return pieces
    # Pieces lie end to end in the text.
    ordinary_N = ~np.isin(documents.tokens, vocabulary.special)
    predictable_P = np.logical_or.reduceat(ordinary_N, pieces.starts)
    return _Pieces(pieces.starts[predictable_P], pieces.lengths[predictable_P])


def _cut(documents: Encoded, longest: int) -> _Pieces:
    """Cuts documents into consecutive pieces of at most `longest` tokens."""
    lengths = np.diff(documents.starts)
    counts = -(-lengths // longest)
    ends = np.repeat(documents.starts[1:], counts)
    index = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(documents.starts[:-1], counts) + index * longest
    return _Pieces(starts, np.minimum(ends - starts, longest))


def _place(sizes_P: Int64[np.ndarray, " P"], row_length: int) -> _Places:
    """Best fit, decreasing: sizes are small whole numbers, so the tightest row is found in a bit set of free spaces."""
    places = _Places(*(np.zeros(len(sizes_P), np.int64) for _ in _Places._fields))
    rows_with: defaultdict[int, list[int]] = defaultdict(list)
    free_spaces = 0  # bit f is set where some open row has f columns free
    held: list[int] = []
    for piece in np.argsort(-sizes_P, kind="stable").tolist():
        size = int(sizes_P[piece])
        fitting = free_spaces >> size
        if fitting:
            free = size + (fitting & -fitting).bit_length() - 1
            row = rows_with[free].pop()
            if not rows_with[free]:
                free_spaces ^= 1 << free
        else:
            free, row = row_length, len(held)
            held.append(0)
        held[row] += 1
        places.rows[piece], places.columns[piece], places.segments[piece] = row, row_length - free, held[row]
        rows_with[free - size].append(row)
        free_spaces |= 1 << (free - size)
    return places


def _fill(documents: Encoded, pieces: _Pieces, places: _Places, vocabulary: Vocabulary, row_length: int) -> Rows:
    """Copies the pieces to their places, some at a time to bound the memory for indices."""
    shape = (int(places.rows.max()) + 1, row_length)
    narrow = max(vocabulary.size, row_length) <= 2**16
    rows = Rows(
        np.full(shape, vocabulary.pad, np.uint16 if narrow else np.int32),
        np.zeros(shape, np.uint16 if narrow else np.int32),
    )
    tokens, segments = rows.tokens.reshape(-1), rows.segments.reshape(-1)
    first_P = places.rows * row_length + places.columns
    last_P = first_P + pieces.lengths + 1
    tokens[first_P], tokens[last_P] = vocabulary.cls, vocabulary.sep
    segments[first_P] = segments[last_P] = places.segments
    step = max(1, _CHUNK // row_length)
    for start in range(0, len(first_P), step):
        chunk = slice(start, start + step)
        lengths = pieces.lengths[chunk]
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        targets = np.repeat(first_P[chunk] + 1, lengths) + offsets
        tokens[targets] = documents.tokens[np.repeat(pieces.starts[chunk], lengths) + offsets]
        segments[targets] = np.repeat(places.segments[chunk], lengths)
    return rows


def save_rows(rows: Rows, folder: Path, name: str) -> None:
    """Writes `folder/name.npy`, whole or not at all: tokens, then segments, stacked [2, R, T]."""
    # Not through a map: where a disk is full, writing to one ends the process without a word.
    with written_whole(folder / f"{name}.npy") as temporary, temporary.open("wb") as stream:
        header = {"descr": rows.tokens.dtype.str, "fortran_order": False, "shape": (2, *rows.tokens.shape)}
        np.lib.format.write_array_header_1_0(stream, header)
        for part in rows:
            if part.shape != rows.tokens.shape:
                raise ValueError(f"tokens have shape {rows.tokens.shape}, segments {part.shape}")
            for start in range(0, len(part), _SAVED_ROWS):
                stream.write(np.ascontiguousarray(part[start : start + _SAVED_ROWS], rows.tokens.dtype).tobytes())


def load_rows(folder: Path, name: str) -> Rows:
    """Maps what `save_rows` wrote into memory, read-only.

    Raises:
        InputError: the file is missing or damaged.
    """
    path = folder / f"{name}.npy"
    try:
        stacked = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise InputError(f"{path} is missing: this folder cannot be used again, start a new run") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is damaged ({error}): start a new run") from None
    if stacked.ndim != 3 or len(stacked) != 2 or stacked.dtype not in (np.uint16, np.int32):
        raise InputError(f"{path} does not hold packed rows but {stacked.dtype} of shape {list(stacked.shape)}")
    return Rows(stacked[0], stacked[1])
