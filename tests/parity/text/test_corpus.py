"""What the texts hold, so that a mistake cannot hide for want of one that shows it."""

import itertools
import unicodedata

import pytest

from parity.text import built
from parity.text.corpus import NO_UNICODE, groups, pairs, sentences

EVERY = [text for texts in groups().values() for text in texts]
JOINED = "\n".join(EVERY)


def test_there_are_five_hundred_whatever_the_tokenizer():
    made = built.corpus(["[MASK]", "[CLS]"], 16, lambda text: len(text.split()) + 2, lambda both: 3)
    assert sum(map(len, made.values())) >= 500
    assert groups() == groups()
    assert all(texts for texts in made.values())


@pytest.mark.parametrize(
    "part",
    ["\r\n", "\u2028", "\u2029", "\u200b", "\u200d", "\ufeff", "\u3000", "\xa0", "\x00", "\\ud83d", "``", "''", "<b>"],
)
def test_hard_characters_are_there(part):
    assert part in JOINED


def test_kinds_of_texts_are_there():
    assert "" in EVERY
    assert sum(not text.strip() for text in EVERY) > 15
    composed = [text for text in EVERY if unicodedata.normalize("NFC", text) != text]
    decomposed = [text for text in EVERY if unicodedata.normalize("NFD", text) != text]
    assert min(len(composed), len(decomposed)) > 10
    assert any(unicodedata.bidirectional(char) in ("R", "AL") for char in JOINED)
    assert any(
        "\u4e00" <= one <= "\u9fff" and "\u4e00" <= other <= "\u9fff" for one, other in itertools.pairwise(JOINED)
    )
    assert any(char.isupper() for char in JOINED)
    assert max(len(word) for text in EVERY for word in text.split()) >= 1000
    assert {99, 100, 101} <= {len(word) for text in EVERY for word in text.split()}


def test_what_is_no_unicode_cannot_be_written_and_stands_beside_what_can():
    def writes(text: str) -> bool:
        try:
            return bool(text.encode())
        except UnicodeEncodeError:
            return False

    assert {writes(text) for text in NO_UNICODE} == {True, False}
    assert all(writes(text) for text in EVERY if text)


def test_prose_differs_and_grows():
    prose = sentences(60)
    assert len(set(prose)) == 60
    assert {len(text.split()) for text in prose} >= set(range(3, 18))
    assert any(text.isupper() for text in prose)


def test_pairs_are_two_texts_short_long_and_empty():
    assert all(len(pair) == 2 for pair in pairs())
    assert {("", ""), ("a", ""), ("", "b")} <= set(pairs())
