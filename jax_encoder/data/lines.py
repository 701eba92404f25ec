"""Lines of text files, plain or compressed, whole or a range of their bytes; memory does not grow with the file."""

import codecs
import contextlib
import gzip
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jax_encoder.data import zstd
from jax_encoder.errors import InputError

_LONGEST_LINE = 2**28  # bytes of a JSON line; a longer one is no document, and would have to be held at once
_BLOCK = 2**20
_MARKS = {
    b"\x1f\x8b": "it is compressed by gzip: give it a name that ends in .gz",
    b"\x28\xb5\x2f\xfd": "it is compressed by zstd: give it a name that ends in .zst",
    b"PAR1": "it is a Parquet file: give it a name that ends in .parquet",
    b"PK\x03\x04": "it is a ZIP archive: unpack it",
    codecs.BOM_UTF16_LE: "it is UTF-16: iconv -f UTF-16 -t UTF-8 makes it UTF-8",
    codecs.BOM_UTF16_BE: "it is UTF-16: iconv -f UTF-16 -t UTF-8 makes it UTF-8",
}


class Extent(NamedTuple):
    """A file, or the bytes from `start` to `stop` of one; None is its end. Only plain text has ranges."""

    path: Path
    start: int = 0
    stop: int | None = None


class Line(NamedTuple):
    """A line without its end; number and offset, of its first byte, count from the start of what is read."""

    number: int
    offset: int
    text: str


@contextlib.contextmanager
def opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """What a file holds, unpacked."""
    with path.open("rb") as raw:
        yield PACKED.get(path.suffix.lower(), _plain)(raw)


def lines_of(
    stream: io.BufferedIOBase,
    extent: Extent,
    begin: Callable[[io.BufferedIOBase, int], int],
    *,
    longest: int | None = None,
) -> Iterator[Line]:
    """The lines of an extent.

    Args:
        stream: at the start of the file.
        extent: of it.
        begin: moves the stream to where the first document at or behind a byte begins, and says where that is.
        longest: lines of more bytes are cut; None refuses those that no memory should hold.
    """
    end = None
    if extent.stop is not None:
        end = begin(stream, extent.stop)
        stream.seek(0)
    offset = begin(stream, extent.start) if extent.start else 0
    number = 0
    for line in _raw_lines(stream, extent.path, longest):
        if end is not None and offset >= end:
            return
        if not offset:
            _check_mark(line, extent.path)
        text = _decoded(line, offset, extent.path).rstrip("\r\n")
        # A carriage return alone ended lines once.
        for part in re.split(r"\r(?!$)", text):
            number += 1
            yield Line(number, offset, part)
        offset += len(line)


def _raw_lines(stream: io.BufferedIOBase, path: Path, longest: int | None) -> Iterator[bytes]:
    rest = b""
    while line := rest + stream.readline((longest or _LONGEST_LINE) - len(rest)):
        rest = b""
        if len(line) == (longest or _LONGEST_LINE) and not line.endswith(b"\n"):
            if longest is None:
                raise InputError(f"{path}: a line is longer than {_LONGEST_LINE >> 20} MiB: {shown(repr(line[:60]))}")
            end = line.rfind(b" ") + 1 or len(line) - _unfinished(line)
            line, rest = line[:end], line[end:]
        yield line


def _unfinished(line: bytes) -> int:
    """How many bytes at the end are a part of a character."""
    tail = next((n for n in range(1, 5) if line[-n] & 0xC0 != 0x80), 0)  # to the last byte that begins a character
    whole = {0xC0: 2, 0xD0: 2, 0xE0: 3, 0xF0: 4}.get(line[-tail] & 0xF0, 1) if tail else 1
    return tail if tail < whole else 0


def _decoded(line: bytes, offset: int, path: Path) -> str:
    try:
        # A byte order mark may stand at the start of a file, and nowhere else.
        return line.decode("utf-8" if offset else "utf-8-sig")
    except UnicodeDecodeError as error:
        at = offset + len(line) - len(error.object) + error.start
        raise InputError(
            f"{path}: not UTF-8: byte 0x{error.object[error.start]:02x} at offset {at}; convert the file to UTF-8"
        ) from None


def _check_mark(line: bytes, path: Path) -> None:
    for mark, reason in _MARKS.items():
        if line.startswith(mark):
            raise InputError(f"{path}: not UTF-8 text: {reason}")


def from_line(stream: io.BufferedIOBase, start: int) -> int:
    """To the first line that begins at or behind `start`, which is not 0."""
    stream.seek(start - 1)
    offset = start - 1
    while block := stream.readline(_BLOCK):
        offset += len(block)
        if block.endswith(b"\n"):
            break
    return offset


def from_blank(stream: io.BufferedIOBase, start: int) -> int:
    """Behind the first blank line that begins at or behind `start`, which is not 0."""
    offset, blank = from_line(stream, start), True
    while block := stream.readline(_BLOCK):
        offset += len(block)
        blank = blank and not block.strip()
        if block.endswith(b"\n"):
            if blank:
                break
            blank = True
    return offset


def _plain(raw: io.BufferedIOBase) -> io.BufferedIOBase:
    return raw


def _gzip(raw: io.BufferedIOBase) -> io.BufferedIOBase:
    return io.BufferedReader(gzip.GzipFile(fileobj=raw))


PACKED: dict[str, Callable[[Any], Any]] = {".gz": _gzip, ".zst": zstd.opened}


def shown(text: str) -> str:
    """The start of a text, for a message."""
    return text if len(text) <= 60 else text[:57] + "..."
