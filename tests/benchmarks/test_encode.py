"""The benchmark of sentence vectors: real sentences, both sides, and their ratio."""

import re

import numpy as np
import pytest

import benchmarks.__main__
from benchmarks.encode import sentences
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
    assert capsys.readouterr().err == (
        "python -m benchmarks: --texts, --repetitions and --batch-size must be at least 1\n"
    )


@pytest.mark.slow
def test_the_benchmark_names_both_sides_and_their_ratio(capsys):
    assert benchmarks.__main__.main(["encode", "--texts=6", "--repetitions=1"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^jax-encoder \(jax .*\): first run .* s, not counted$", out, re.MULTILINE)
    assert re.search(r"^sentence-transformers .*: median [\d,]+ sentences/s \(.*, n = 1\)$", out, re.MULTILINE)
    assert re.search(r"^ratio of the medians \d+\.\d\d, of the fastest runs \d+\.\d\d$", out, re.MULTILINE)
    assert float(re.search(r"1 - cosine between the two: (.*)", out)[1]) <= 1e-6
