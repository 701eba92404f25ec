"""Texts that are built for one tokenizer."""

import pytest

from parity.text import built


def words(text: str | tuple[str, str]) -> int:
    """A tokenizer of words, with two special tokens around a text and three around two."""
    return len(text.split()) + 2 if isinstance(text, str) else sum(len(part.split()) for part in text) + 3


@pytest.mark.parametrize("limit", [4, 8, 24, 130])
def test_texts_lie_on_both_sides_of_the_limit_and_on_it(limit):
    lengths = [words(text) for text in built.around_limit(limit, words)]
    assert {limit - 1, limit, limit + 1} <= set(lengths)
    assert max(lengths) > limit + 3
    lengths = [words(pair) for pair in built.pairs_around_limit(limit, words)]
    assert max(lengths) > limit


def test_a_text_of_so_many_tokens_where_words_have_several():
    assert words(built.of_length(17, 3, lambda text: 2 * (words(text) - 2) + 2)) == 7 + 2


def test_special_tokens_stand_in_every_place():
    texts = built.special_tokens(["<mask>", "<s>"])
    assert {
        "<mask>",
        " <mask>",
        "<mask> ",
        "the <mask> of Paris",
        "the<mask>of",
        "<mask><mask>",
        "<mask> <mask>",
    } <= set(texts)
    assert {"[CLS]", "the[MASK]of"} <= set(texts)  # another family's
    assert len(set(texts)) == len(texts)
    assert built.two_masks(["<mask>"]) == [("the <mask> of", "is <mask>")]
