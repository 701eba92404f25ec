"""Groups of texts as runs: what is made out where one thing alone differs."""

import numpy as np
import pytest

from parity.encoder.session import in_float64
from parity.text.bench import Bench
from parity.text.runs import run_case, runs_of
from tests.parity.text.helpers import bench, written


@pytest.fixture
def albert(monkeypatch) -> Bench:
    """With numbers in the place of what networks compute: which they are does not matter here."""
    found = bench(written("albert"), computed=64)
    rng = np.random.default_rng(0)
    vectors, words = rng.standard_normal((64, 12)), rng.standard_normal((64, 7))

    def masks(rows, mask):
        return words[: sum(int((ids == mask).sum()) for ids, _ in rows)].copy()

    monkeypatch.setattr(found.ours, "vectors", lambda texts: vectors[: len(texts)].copy())
    monkeypatch.setattr(found.theirs, "vectors", lambda texts: vectors[: len(texts)].copy())
    monkeypatch.setattr(found.ours, "words", masks)
    mask = found.theirs.tokenizer.mask_token_id
    monkeypatch.setattr(
        found.theirs, "words", lambda texts, folder: masks([(ids, None) for ids in found.theirs.read(texts).ids], mask)
    )
    return found


def test_all_agrees(albert):
    with in_float64():
        run = run_case(albert, "special-tokens")
    assert [one.site for one in run.comparisons] == ["ids", "special", "mask", "positions", "vectors", "words"]
    assert not run.differing
    assert albert.count <= 64 < albert.texts


def test_words_alone(albert, monkeypatch):
    words = albert.ours.words
    monkeypatch.setattr(albert.ours, "words", lambda rows, mask: words(rows, mask) + 1)
    with in_float64():
        run = run_case(albert, "special-tokens")
    assert [one.site for one in run.differing] == ["words"]
    assert [(one.site, one.explanations) for one in run.culprits] == [("words", ())]
    assert [one.site for one in run.replayed if not one.agrees] == ["words"]


def test_vectors_of_texts_that_are_read_alike_are_no_cause(albert, monkeypatch):
    """Those that are read otherwise have other vectors: only the reading is a cause."""
    different = albert.chosen("sentences")[0]
    read, vectors = albert.theirs.read, albert.theirs.vectors

    def misread(texts):
        reading = read(texts)
        if texts == albert.cases["sentences"]:
            ids = (*reading.ids[:different], reading.ids[different] + 1, *reading.ids[different + 1 :])
            return reading._replace(ids=ids)
        return reading

    def other(texts):
        found = vectors(texts)
        found[list(texts).index(albert.cases["sentences"][different])] += 1
        return found

    monkeypatch.setattr(albert.theirs, "read", misread)
    monkeypatch.setattr(albert.theirs, "vectors", other)
    with in_float64():
        run = run_case(albert, "sentences")
    assert [one.site for one in run.differing] == ["ids", "vectors"]
    assert [one.site for one in run.culprits] == ["ids"]
    assert run.comparisons[0].problem.startswith(f"text {different} of 60, ")


def test_what_one_side_refuses_and_what_it_raises(albert, monkeypatch):
    from parity.judge.crash import running

    def raises(texts):
        with running("torch"):
            raise IndexError("index out of range in self")

    monkeypatch.setattr(albert.ours, "refuses", lambda text: False)
    monkeypatch.setattr(albert.theirs, "read", raises)
    with in_float64():
        runs = list(runs_of(albert))
    assert {run.crash.message for run in runs[:-1]} == {"index out of range in self"}
    assert (runs[-1].case, runs[-1].first_to_differ) == ("no-unicode", 0)
