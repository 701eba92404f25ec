"""The benchmark of sentence vectors: real sentences, and every peer in a line."""

import json
import re

import numpy as np
import pytest

import benchmarks.__main__
from benchmarks import comparison
from benchmarks.encode import PEERS, line, sentences
from jax_encoder.errors import InputError


def test_the_benchmarks_sentences_are_real_and_always_the_same():
    few = sentences(50)
    assert few == sentences(50)
    assert len(set(few)) > 45
    assert np.median([len(text.split()) for text in few]) > 15
    with pytest.raises(InputError, match=r"^--texts 1000000000: there are only \d+ sentences$"):
        sentences(10**9)


def test_a_benchmark_of_nothing_is_refused(capsys):
    assert benchmarks.__main__.main(["encode", "--texts=0"]) == 2
    assert capsys.readouterr().err == "python -m benchmarks: --texts and --batch-size must be at least 1\n"


def test_a_peer_that_is_not_there_is_said_not_to_be():
    said = line({"peer": "somebody", "missing": ["no_such"]})
    assert said == "somebody: not installed (no_such): pip install --group bench"


@pytest.mark.slow
def test_both_sides_encode_the_same_and_have_a_ratio(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.encode.PEERS", PEERS[:1])
    file = tmp_path / "figures.json"
    assert benchmarks.__main__.main(["encode", "--texts=6", "--seconds=0", f"--json={file}"]) == 0
    assert re.search(r"^sentence-transformers: [\d,]+ sentences/s, ours [\d,]+: ratio ", capsys.readouterr().out, re.M)
    (one,) = json.loads(file.read_text())["peers"]
    assert one["distance"] <= 1e-6
    assert comparison.ratio(one) > 0
