"""Documents out of files: text, JSON lines, Parquet; plain or compressed; a whole file or a range of its bytes.

Memory does not grow with the file. A document belongs to the range that its first line begins in, so that consecutive
ranges have every document once.
"""

import codecs
import contextlib
import gzip
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from jax_encoder.data import hub, zstd
from jax_encoder.errors import InputError

Documents = Literal["paragraphs", "lines"]

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


class Form(NamedTuple):
    """How documents lie in files.

    Attributes:
        field: of a JSON object or a Parquet file, which holds the text.
        documents: what ends a document in .txt: a blank line, or the line.
        longest: documents of more bytes are cut, at a blank where there is one; None cuts none.
    """

    field: str = "text"
    documents: Documents = "paragraphs"
    longest: int | None = None


PLAIN = Form()


class Extent(NamedTuple):
    """A file, or the bytes from `start` to `stop` of one; None is its end. Only plain text has ranges."""

    path: Path
    start: int = 0
    stop: int | None = None


class _Line(NamedTuple):
    """A line without its end; number and offset, of its first byte, count from the start of what is read."""

    number: int
    offset: int
    text: str


def kind_of(path: Path) -> tuple[str, str]:
    """What a name says: ("jsonl", "gz"), ("txt", ""); ("", "") for what is not read."""
    if hub.is_hub(path):
        return "hub", ""
    *_, kind, packed = ["", "", *path.name.lower().rsplit(".", 2)[1:]]
    if packed in _OPEN and kind in ("txt", "jsonl"):
        return kind, packed
    return (packed, "") if packed in _READ else ("", "")


def is_cut(path: Path) -> bool:
    """Whether ranges of the file can be read."""
    return kind_of(path) in (("txt", ""), ("jsonl", ""))


def read_documents(extent: Extent, form: Form) -> Iterator[str]:
    """Every document that is not blank, stripped.

    Raises:
        InputError: the file cannot be read, is not UTF-8 or not what its name says; with its place.
    """
    kind, _ = kind_of(extent.path)
    try:
        for text in _READ[kind](extent, form):
            if stripped := text.strip():
                yield from [stripped] if form.longest is None else cut(stripped, form.longest)
    except (OSError, EOFError, *zstd.errors()) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{extent.path}: cannot be read: {reason}") from None


def cut(text: str, longest: int) -> Iterator[str]:
    """A text in pieces of at most `longest` bytes, where there is one cut at a line's end, or else at a blank."""
    # As many characters have no more bytes than four times as many.
    while len(text) > longest // 4 and len(text.encode("utf-8")) > longest:
        room = text[: longest // 4]
        end = max(room.rfind("\n"), 0) or max(room.rfind(" "), 0) or len(room)
        if piece := text[:end].strip():
            yield piece
        text = text[end:].strip()
    if text:
        yield text


def paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """Joins lines up to a blank one."""
    paragraph: list[str] = []
    for line in lines:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield "\n".join(paragraph).strip()
            paragraph = []
    if paragraph:
        yield "\n".join(paragraph).strip()


def _read_txt(extent: Extent, form: Form) -> Iterator[str]:
    begin = _from_line if form.documents == "lines" else _from_blank
    with _opened(extent.path) as stream:
        lines = _lines(stream, extent, begin, longest=form.longest)
        if form.documents == "lines":
            yield from (line.text for line in lines)
        else:
            yield from paragraphs(_bounded(lines, form.longest))


def _bounded(lines: Iterable[_Line], longest: int | None) -> Iterator[str]:
    """The texts of lines, and a blank one before a paragraph would grow past `longest` bytes."""
    size = 0
    for line in lines:
        size = size + len(line.text) if line.text.strip() else 0
        if longest is not None and size > longest // 4:
            yield ""
            size = len(line.text)
        yield line.text


def _read_jsonl(extent: Extent, form: Form) -> Iterator[str]:
    with _opened(extent.path) as stream:
        for line in _lines(stream, extent, _from_line):
            if line.text.strip():
                where = f"line {line.number}" if not extent.start else f"line that begins at byte {line.offset}"
                yield _field(line.text, form.field, f"{extent.path}, {where}")


def _field(line: str, field: str, where: str) -> str:
    try:
        record = json.loads(line)
    except RecursionError:
        raise InputError(f"{where}: not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        reason = "a number of more than 4,300 digits" if "integer string conversion" in str(error) else error
        raise InputError(f"{where}: not JSON: {reason}") from None
    if not isinstance(record, dict) or field not in record:
        raise InputError(f'{where}: expected an object with a field "{field}", got {_shown(line)}')
    text = record[field]
    if not isinstance(text, str):
        raise InputError(f'{where}: expected a string under "{field}", got {_shown(json.dumps(text))}')
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f'{where}: "{field}" is not Unicode: {error.reason}') from None
    return text


def _read_parquet(extent: Extent, form: Form) -> Iterator[str]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(f"{extent.path}: Parquet is read by pyarrow: pip install 'jax-encoder[text]'") from None
    try:
        with pq.ParquetFile(extent.path) as file:
            columns = {name: file.schema_arrow.field(name).type for name in file.schema_arrow.names}
            kind = columns.get(form.field)
            if kind is None or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                found = ", ".join(f"{name} ({one})" for name, one in columns.items())
                raise InputError(f'{extent.path}: expected a column of strings "{form.field}", got {_shown(found)}')
            for batch in file.iter_batches(batch_size=256, columns=[form.field]):
                yield from (text for text in batch.column(0).to_pylist() if text)
    except pa.ArrowException as error:
        raise InputError(f"{extent.path}: not a Parquet file that can be read: {error}") from None


def _shown(text: str) -> str:
    """The start of a text, for a message."""
    return text if len(text) <= 60 else text[:57] + "..."


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as raw:
        yield _OPEN[kind_of(path)[1]](raw)


def _lines(
    stream: BinaryIO, extent: Extent, begin: Callable[[BinaryIO, int], int], *, longest: int | None = None
) -> Iterator[_Line]:
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
            yield _Line(number, offset, part)
        offset += len(line)


def _raw_lines(stream: BinaryIO, path: Path, longest: int | None) -> Iterator[bytes]:
    rest = b""
    while line := rest + stream.readline((longest or _LONGEST_LINE) - len(rest)):
        rest = b""
        if len(line) == (longest or _LONGEST_LINE) and not line.endswith(b"\n"):
            if longest is None:
                raise InputError(f"{path}: a line is longer than {_LONGEST_LINE >> 20} MiB: {_shown(repr(line[:60]))}")
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


def _from_line(stream: BinaryIO, start: int) -> int:
    """To the first line that begins at or behind `start`, which is not 0."""
    stream.seek(start - 1)
    offset = start - 1
    while block := stream.readline(_BLOCK):
        offset += len(block)
        if block.endswith(b"\n"):
            break
    return offset


def _from_blank(stream: BinaryIO, start: int) -> int:
    """Behind the first blank line that begins at or behind `start`, which is not 0."""
    offset, blank = _from_line(stream, start), True
    while block := stream.readline(_BLOCK):
        offset += len(block)
        blank = blank and not block.strip()
        if block.endswith(b"\n"):
            if blank:
                break
            blank = True
    return offset


def _plain(raw: BinaryIO) -> BinaryIO:
    return raw


def _gzip(raw: BinaryIO) -> BinaryIO:
    return io.BufferedReader(gzip.GzipFile(fileobj=raw))  # type: ignore[arg-type,return-value]


_OPEN: dict[str, Callable[[Any], Any]] = {"": _plain, "gz": _gzip, "zst": zstd.opened}
_READ: dict[str, Callable[[Extent, Form], Iterator[str]]] = {
    "txt": _read_txt,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
    "hub": lambda extent, form: hub.read(extent.path, form.field),
}
