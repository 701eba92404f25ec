"""Packed rows as records of one size, each with its checksum: `.npy` files, mapped into memory and read at random.

Segments are a bit for each column, set where a document or the padding begins: rows take 1.06 times their tokens.
Axes: R rows, T columns.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jax_encoder.data.files import written_whole
from jax_encoder.data.packing import Rows
from jax_encoder.errors import InputError


def row_type(row_length: int, *, narrow: bool) -> np.dtype:
    """A record: tokens, where segments begin, how many columns are filled, checksum of these three."""
    return np.dtype(
        [
            ("tokens", "<u2" if narrow else "<i4", (row_length,)),
            ("begins", "u1", (-(-row_length // 8),)),
            ("length", "<u4"),
            ("crc", "<u4"),
        ]
    )


def encode(rows: Rows) -> np.ndarray:
    """Rows as records."""
    count, row_length = rows.tokens.shape
    records = np.empty(count, row_type(row_length, narrow=rows.tokens.dtype == np.uint16))
    records["tokens"] = rows.tokens
    records["begins"] = np.packbits(np.diff(rows.segments.astype(np.int32), axis=1, prepend=0) != 0, axis=1)
    records["length"] = np.count_nonzero(rows.segments, axis=1)
    records["crc"] = [_checksum(record) for record in records]
    return records


def decode(records: np.ndarray) -> Rows:
    """Records as rows; their checksums are not looked at."""
    row_length = records["tokens"].shape[1]
    begins = np.unpackbits(records["begins"], axis=1, count=row_length)
    segments = np.cumsum(begins, axis=1, dtype=np.uint16 if row_length < 2**16 else np.int32)
    segments[np.arange(row_length) >= records["length"][:, None]] = 0
    if records["tokens"].dtype != np.uint16:
        segments = segments.astype(np.int32)
    return Rows(records["tokens"], segments)


def is_whole(record: np.void) -> bool:
    """Whether a record is as it was written."""
    return int(record["crc"]) == _checksum(record)


def _checksum(record: np.void) -> int:
    return zlib.crc32(record.tobytes()[:-4])


def save(parts: Sequence[np.ndarray], path: Path) -> None:
    """Writes records, whole or not at all."""
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream,
            {
                "shape": (sum(map(len, parts)),),
                "fortran_order": False,
                "descr": np.lib.format.dtype_to_descr(parts[0].dtype),
            },
        )
        for part in parts:
            stream.write(part.tobytes())


def load(path: Path, *, like: np.dtype, count: int) -> np.ndarray:
    """Maps what `save` wrote into memory, read-only.

    Raises:
        InputError: the file is missing, or not of that size and form.
    """
    try:
        records = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise InputError(f"{path} is missing: prepare the text again") from None
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise InputError(f"{path} is damaged ({error}): prepare the text again") from None
    if records.dtype != like or records.shape != (count,):
        raise InputError(
            f"{path} is damaged: expected {count:,} records of {like.itemsize} bytes, got shape {records.shape} of "
            f"{records.dtype.itemsize}: prepare the text again"
        )
    return records
