"""Preparing: every token once, whoever does it, however often it is killed."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jax_encoder.data.corpus import digest_of, is_held_out
from jax_encoder.data.prepared import build, plan, shards, tokens
from jax_encoder.data.prepared.reader import Prepared
from jax_encoder.data.prepared.sample import sample
from jax_encoder.errors import InputError
from tests.jax_encoder.data.prepared.helpers import (
    contents,
    pieces_of_rows,
    pieces_of_texts,
    prepare,
    small_units,
    texts,
)

ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True, scope="module")
def _small():
    with pytest.MonkeyPatch.context() as patch:
        small_units(patch)
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A folder of text in several forms and sizes: large files that are cut, small ones that go together."""
    folder = tmp_path_factory.mktemp("text") / "corpus"
    (folder / "deep").mkdir(parents=True)
    documents = texts(400)
    (folder / "a.txt").write_text("\n\n".join(documents[:150]))
    (folder / "b.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in documents[150:300]))
    (folder / "c.txt.gz").write_bytes(gzip.compress("\n\n".join(documents[300:360]).encode()))
    for number in range(360, 400):
        (folder / "deep" / f"{number}.txt").write_text(documents[number])
    return folder


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory) -> Prepared:
    """The corpus, prepared in one go."""
    return prepare(tmp_path_factory.mktemp("whole") / "to", corpus)


def sides(documents: list[str]) -> list[list[str]]:
    return [[text for text in documents if is_held_out(digest_of(text)) == side] for side in (False, True)]


def test_every_token_stands_in_the_rows_once(whole):
    train, held_out = sides(texts(400))
    assert pieces_of_rows(whole) == pieces_of_texts(whole, train)
    assert pieces_of_rows(whole, "held_out") == pieces_of_texts(whole, held_out)
    assert len(whole.manifest.train) > 3
    assert whole.manifest.fill > 0.9  # a chunk has two dozen documents here
    (source,) = whole.manifest.sources
    shards_of_both = [*whole.manifest.train, *whole.manifest.held_out]
    assert source.tokens == sum(shard.tokens + shard.unpredictable for shard in shards_of_both)
    assert (source.documents, source.files) == (400, 43)
    assert {path.name for path in whole.folder.iterdir()} == {
        "manifest.json",
        "shards",
        "tokenizer.json",
        "tokenizer-report.json",
    }


def test_parts_make_what_one_makes(corpus, whole, tmp_path):
    for part in ("3/3", "1/3", "2/3"):
        prepare(tmp_path / "parts", corpus, part=part)
    prepare(tmp_path / "parts", corpus)
    assert contents(tmp_path / "parts") == contents(whole.folder)


@pytest.mark.parametrize("at", [0, 1, 4, 14])
def test_killed_anywhere_and_begun_again(corpus, whole, tmp_path, monkeypatch, at):
    """Not a signal but an exception: what is on the disk is the same, and here every write can be hit."""
    write, calls = tokens._write, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == at + 1:
            raise MemoryError
        return write(*arguments)

    monkeypatch.setattr(tokens, "_write", dies)
    with pytest.raises(MemoryError):
        prepare(tmp_path / "to", corpus)
    calls.clear()
    monkeypatch.setattr(tokens, "_write", lambda *arguments: calls.append(1) or write(*arguments))
    made = len(list((tmp_path / "to" / "unfinished").glob("chunk-*")))
    assert (at > 3) <= (made > 2)
    assert made <= at
    prepare(tmp_path / "to", corpus)
    assert contents(tmp_path / "to") == contents(whole.folder)


def test_killed_while_packing(corpus, whole, tmp_path, monkeypatch):
    write = shards.write

    def dies(task):
        if task.group.name == "train-00002.npy":
            raise MemoryError
        return write(task)

    monkeypatch.setattr(build.shards, "write", dies)
    with pytest.raises(MemoryError):
        prepare(tmp_path / "to", corpus)
    monkeypatch.setattr(build.shards, "write", write)
    prepare(tmp_path / "to", corpus)
    assert contents(tmp_path / "to") == contents(whole.folder)


def test_duplicates_are_counted_and_left_out_on_request(tmp_path):
    documents = texts(150)
    long = [f"{' '.join(text for text in texts(4, seed))} end" for seed in range(1, 8)]
    near = [text.replace("end", "finis") for text in long]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": t}) for t in [*documents, *long, *documents[:30], *near]))
    kept = prepare(tmp_path / "kept", path)
    assert (kept.manifest.copies, kept.manifest.near) == (30, 7)
    copies = prepare(tmp_path / "copies", path, duplicates="drop-copies")
    assert pieces_of_rows(copies) == pieces_of_texts(copies, sides([*documents, *long, *near])[0])
    dropped = prepare(tmp_path / "dropped", path, duplicates="drop-near")
    assert pieces_of_rows(dropped) == pieces_of_texts(dropped, sides([*documents, *long])[0])


def test_a_tokenizer_is_trained_on_text_from_all_over(corpus, tmp_path):
    prepared = prepare(tmp_path / "to", corpus, tokenizer_kind="wordpiece", vocab_size=90)
    again = prepare(tmp_path / "again", corpus, tokenizer_kind="wordpiece", vocab_size=90)
    assert contents(prepared.folder) == contents(again.folder)
    assert prepared.manifest.vocabulary == 90
    corpus_plan = plan.plan([str(corpus)])
    form = build.Form()
    everything = sample(corpus_plan, form, 20, limit=10**9)
    assert sorted(everything) == sorted(sides(texts(400))[0])
    some = sample(corpus_plan, form, 20, limit=20_000)
    assert 0.2 * len(everything) < len(some) < 0.7 * len(everything)
    assert {text in some for text in everything[-40:]} == {True, False}


def test_what_is_refused(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.txt").write_text("\n\n".join(texts(60)))

    def refusal(**options) -> str:
        with pytest.raises(InputError) as caught:
            prepare(tmp_path / "to", corpus, **options)
        return str(caught.value)

    assert refusal(part="3/2") == "--part must be i/n with i from 1 to n, as in 2/8, got '3/2'"
    assert refusal(seq_len=2) == "--seq-len must be at least 3, got 2"
    prepare(tmp_path / "to", corpus, part="1/2")
    assert refusal(seq_len=64).startswith(
        f"{tmp_path / 'to'}: was begun with --seq-len 32, and is now asked for 64: give the former, or delete"
    )
    (corpus / "a.txt").write_text("another")
    assert "the files of the text are others than when it was begun" in refusal()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").write_text("precious")
    with pytest.raises(InputError, match="exists already, and was not prepared"):
        prepare(tmp_path / "other", corpus)


def test_prepared_already(corpus, whole):
    before = contents(whole.folder)
    prepare(whole.folder, corpus)
    assert contents(whole.folder) == before
    with pytest.raises(InputError, match="was prepared from other text or with other options"):
        prepare(whole.folder, corpus, seq_len=64)


def test_a_corpus_of_one_side(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(text for text in texts(30) if not is_held_out(digest_of(text))))
    with pytest.raises(InputError, match="corpus too small: one document in 20 is held out"):
        prepare(tmp_path / "to", tmp_path / "a.txt")


@pytest.mark.slow
def test_the_default_corpus_is_split_by_year_and_full(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "UNIT_BYTES", 2**25)
    monkeypatch.setattr(tokens, "CHUNK_BYTES", 2**25)
    monkeypatch.setattr(tokens, "_BATCH_BYTES", 2**19)
    tokenizer = prepare(tmp_path / "small", _some(tmp_path), seq_len=16).folder / "tokenizer.json"
    prepared = prepare(tmp_path / "to", seq_len=512, tokenizer=str(tokenizer))
    assert sum(shard.documents for shard in prepared.manifest.held_out) == 1184
    assert sum(shard.documents for shard in prepared.manifest.train) == 24304
    assert prepared.manifest.fill > 0.99


def _some(folder: Path) -> Path:
    (folder / "some.txt").write_text("\n\n".join(texts(60)))
    return folder / "some.txt"


def start(corpus: Path, to: Path, *more: str) -> subprocess.Popen:
    options = [
        "--data",
        str(corpus),
        "--to",
        str(to),
        "--seq-len=64",
        "--vocab-size=300",
        "--tokenizer-text=1",
        "--workers=2",
        *more,
    ]
    command = [sys.executable, str(ROOT / "train.py"), "prepare", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_processes_killed_for_real(tmp_path):
    """Stopped in the middle, so that another finds the folder locked, then killed; twice."""
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("\n\n".join(texts(9000)).encode()))
    whole = start(tmp_path / "a.txt.gz", tmp_path / "whole")
    out, err = whole.communicate(timeout=300)
    assert (whole.returncode, err) == (0, ""), out
    for name in ("tokenizer.json", "unfinished/chunk-000000-0000.npz"):
        process = start(tmp_path / "a.txt.gz", tmp_path / "to")
        deadline = time.monotonic() + 200
        while not (tmp_path / "to" / name).exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGSTOP)
        second = start(tmp_path / "a.txt.gz", tmp_path / "to")
        _, err = second.communicate(timeout=100)
        assert second.returncode == 2
        assert f"is in use by prepare (process {process.pid} on " in err
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    last = start(tmp_path / "a.txt.gz", tmp_path / "to")
    out, err = last.communicate(timeout=300)
    assert (last.returncode, err) == (0, ""), out
    assert contents(tmp_path / "to") == contents(tmp_path / "whole")
