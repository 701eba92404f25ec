"""The count of bits that differ where the same texts are encoded in other company."""

import re

import numpy as np
import pytest

import benchmarks.__main__
from benchmarks.bits import compared, differing

TEXTS = ["a", "b", "cc", "a b", "d"]


def test_bits_are_counted():
    one = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 0.0]], np.float32)
    assert differing(one, one.copy()) == (0, 0)
    other = one.copy()
    other[1, 1], other[2, 1] = np.nextafter(np.float32(4), np.float32(5)), -0.0
    assert differing(one, other) == (2, 2)


@pytest.mark.parametrize(("wrong", "expected"), [(None, [0, 0, 0]), ("batch", [0, 4, 0]), ("alone", [0, 0, 1])])
def test_every_company_is_tried(wrong, expected):
    def encode(texts, batch_size):
        vectors = np.array([[len(text), 1.0] for text in texts], np.float32)
        if (wrong == "batch" and batch_size == 7 and len(texts) > 1) or (wrong == "alone" and texts == ["d"]):
            vectors[:4, 1] = np.nextafter(np.float32(1), np.float32(2))
        return vectors

    found = list(compared(encode, TEXTS, (2, 7)))
    assert [how for how, _, _ in found] == ["shuffled, batches of 2", "shuffled, batches of 7", "each alone"]
    assert [bits for _, bits, _ in found] == [texts for _, _, texts in found] == expected


def test_what_cannot_be_counted_is_refused(capsys):
    assert benchmarks.__main__.main(["bits", "--texts=0"]) == 2
    assert capsys.readouterr().err == "python -m benchmarks: --texts and every --batch-size must be at least 1\n"


@pytest.mark.slow
def test_a_published_encoder_gives_a_text_the_same_bits(capsys):
    assert benchmarks.__main__.main(["bits", "--texts=40", "--batch-size", "1", "256"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "40 sentences, float32 on cpu, 384 numbers each\nshuffled, batches of 1: 0 bits differ, in 0 "
    )
    assert re.search(r"^each alone: 0 bits differ, in 0 texts\n0 differing bits in all$", out, re.MULTILINE)
