"""Documents out of files: text, JSON lines, Parquet; plain or compressed; a whole file or a range of its bytes.

Memory does not grow with the file. A document belongs to the range that its first line begins in, so that consecutive
ranges have every document once.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from jax_encoder.data import hub, zstd
from jax_encoder.data.lines import PACKED, Extent, Line, from_blank, from_line, lines_of, opened, shown
from jax_encoder.errors import InputError

Documents = Literal["paragraphs", "lines"]

UNREADABLE: tuple[type[Exception], ...] = (OSError, EOFError, *zstd.errors())


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


def kind_of(path: Path) -> tuple[str, str]:
    """What a name says: ("jsonl", "gz"), ("txt", ""); ("", "") for what is not read."""
    if hub.is_hub(path):
        return "hub", ""
    *_, kind, packed = ["", "", *path.name.lower().rsplit(".", 2)[1:]]
    if f".{packed}" in PACKED and kind in ("txt", "jsonl"):
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
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{extent.path}: cannot be read: {reason}") from None


def cut(text: str, longest: int) -> Iterator[str]:
    """A text in pieces of at most `longest` bytes, where there is one cut at a line's end, or else at a blank."""
    text = text.strip()
    # A character has at most four bytes.
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
    begin = from_line if form.documents == "lines" else from_blank
    with opened(extent.path) as stream:
        lines = lines_of(stream, extent, begin, longest=form.longest)
        if form.documents == "lines":
            yield from (line.text for line in lines)
        else:
            yield from paragraphs(_bounded(lines, form.longest))


def _bounded(lines: Iterable[Line], longest: int | None) -> Iterator[str]:
    """The texts of lines, and a blank one before a paragraph would grow past `longest` bytes."""
    size = 0
    for line in lines:
        size = size + len(line.text) if line.text.strip() else 0
        if longest is not None and size > longest // 4:
            yield ""
            size = len(line.text)
        yield line.text


def _read_jsonl(extent: Extent, form: Form) -> Iterator[str]:
    with opened(extent.path) as stream:
        for line in lines_of(stream, extent, from_line):
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
        raise InputError(f'{where}: expected an object with a field "{field}", got {shown(line)}')
    text = record[field]
    if not isinstance(text, str):
        raise InputError(f'{where}: expected a string under "{field}", got {shown(json.dumps(text))}')
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
                raise InputError(f'{extent.path}: expected a column of strings "{form.field}", got {shown(found)}')
            for batch in file.iter_batches(batch_size=256, columns=[form.field]):
                yield from (text for text in batch.column(0).to_pylist() if text)
    except pa.ArrowException as error:
        raise InputError(f"{extent.path}: not a Parquet file that can be read: {error}") from None


_READ: dict[str, Callable[[Extent, Form], Iterator[str]]] = {
    "txt": _read_txt,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
    "hub": lambda extent, form: hub.read(extent.path, form.field),
}
