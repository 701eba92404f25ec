"""Documents out of files and ranges of files: each once, whatever the ranges."""

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jax_encoder.data.documents import Extent, Form, cut, is_cut, kind_of, read_documents
from jax_encoder.errors import InputError

LINES = st.sampled_from(["", "", " \t", "a", "é two", "日本 語", "\r", "b\rc", "x" * 30])


def read(path, form=Form(), *cuts: int) -> list[str]:  # noqa: B008
    """All documents of a file, read in ranges."""
    ends = [*sorted(cuts), None]
    return [
        text
        for start, stop in zip([0, *ends[:-1]], ends, strict=True)
        for text in read_documents(Extent(path, start, stop), form)
    ]


@settings(max_examples=150)
@given(
    st.lists(LINES, max_size=25),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["paragraphs", "lines"]),
    st.lists(st.integers(1, 200), max_size=5),
    st.booleans(),
)
def test_ranges_of_text_have_every_document_once(tmp_path_factory, lines, end, documents, cuts, bom):
    path = tmp_path_factory.getbasetemp() / "ranges.txt"
    path.write_bytes(("\ufeff" * bom + end.join(lines)).encode())
    form = Form(documents=documents)
    assert read(path, form, *cuts) == read(path, form)
    if documents == "lines":
        expected = [part.strip() for line in end.join(lines).split("\n") for part in line.split("\r")]
        assert read(path, form) == [line for line in expected if line]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(["", "one", "two\n\nthree", "日本"]), max_size=12),
    st.lists(st.integers(1, 300), max_size=4),
)
def test_ranges_of_json_lines_have_every_document_once(tmp_path_factory, texts, cuts):
    path = tmp_path_factory.getbasetemp() / "ranges.jsonl"
    path.write_text("\n".join(json.dumps({"body": text}, ensure_ascii=False) for text in texts))
    assert read(path, Form("body"), *cuts) == [text for text in texts if text]


def test_packed_files_hold_the_same(tmp_path):
    text = "one\n\ntwo\nlines\n\nthrée"
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
    assert read(tmp_path / "a.txt.gz") == ["one", "two\nlines", "thrée"]
    zstandard = pytest.importorskip("zstandard")
    frames = [zstandard.compress(part.encode()) for part in (text[:7], text[7:])]
    (tmp_path / "a.txt.zst").write_bytes(b"".join(frames))
    assert read(tmp_path / "a.txt.zst") == ["one", "two\nlines", "thrée"]


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.zst", "a.parquet"])
def test_damaged_packed_files(tmp_path, name):
    pytest.importorskip("zstandard" if name.endswith("zst") else "pyarrow" if name.endswith("parquet") else "gzip")
    whole = gzip.compress(random.Random(0).randbytes(3000)) if name.endswith("gz") else b"no such thing"
    (tmp_path / name).write_bytes(whole[:1500])
    with pytest.raises(InputError, match=r"cannot be read: |not a Parquet file that can be read: ") as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_parquet(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts = [f"document {number}" for number in range(1000)]
    pq.write_table(
        pa.table({"body": [*texts, None, " "], "id": range(1002)}), tmp_path / "a.parquet", row_group_size=300
    )
    assert read(tmp_path / "a.parquet", Form("body")) == texts
    with pytest.raises(InputError, match=r'expected a column of strings "text", got body \(string\), id \(int64\)'):
        read(tmp_path / "a.parquet")
    with pytest.raises(InputError, match='expected a column of strings "id"'):
        read(tmp_path / "a.parquet", Form("id"))


@settings(max_examples=60)
@given(st.text("ab é日\n\U0001f600", max_size=400), st.integers(16, 64))
def test_long_documents_are_cut_and_nothing_is_lost(tmp_path_factory, text, longest):
    pieces = list(cut(text, longest))
    assert all(len(piece.encode()) <= longest and piece.strip() == piece != "" for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    path = tmp_path_factory.getbasetemp() / "long.txt"
    path.write_text(text)
    found = read(path, Form(longest=longest))
    assert all(len(piece.encode()) <= longest for piece in found)
    assert "".join("".join(found).split()) == "".join(text.split())


def test_names():
    assert kind_of(Path("a.b/x.JSONL.gz")) == ("jsonl", "gz")
    assert kind_of(Path("x.parquet.zst")) == ("", "")
    assert not is_cut(Path("x.txt.gz"))
    assert is_cut(Path("x.y.txt"))
