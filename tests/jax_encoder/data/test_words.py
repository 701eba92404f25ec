"""Word by word is the same as all at once, for every text; what words depend on one another in is not cut."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers

from jax_encoder.data import words
from jax_encoder.data.tokenizer import encode
from jax_encoder.data.tokenizer_form import TokenizerForm
from jax_encoder.data.tokenizer_training import train_tokenizer
from jax_encoder.data.words import Words, splitter
from tests.jax_encoder.training.helpers import SENTENCES

FORMS = {
    "wordpiece": TokenizerForm("wordpiece"),
    "spelled": TokenizerForm("wordpiece", digits="single", unknown="bytes"),
    "bpe": TokenizerForm("bpe"),
}
TOKENIZERS = {name: train_tokenizer(SENTENCES, form, vocab_size=700) for name, form in FORMS.items()}
# What normalisation changes by its neighbours, and what counts as a space in one place and not in another.
STRANGE = "ab A É é\u0301 \u0301\u0308  \n\t\xa0\u3000\u200b日本Σσς.,'s 12 ١\u200d\u2028\x1c\x85İß\U0001f600[MASK]"


@pytest.mark.parametrize("name", TOKENIZERS)
@given(documents=st.lists(st.text(st.sampled_from(STRANGE) | st.characters(codec="utf-8"), max_size=40), max_size=6))
def test_the_same_ids(name, documents):
    found, expected = Words(TOKENIZERS[name]).encode(documents), encode(TOKENIZERS[name], documents)
    assert splitter(TOKENIZERS[name]) is not None
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_what_was_learned_is_forgotten_when_it_is_too_much(monkeypatch):
    monkeypatch.setattr(words, "_MOST", 30)
    rng, tokenizer = random.Random(0), TOKENIZERS["wordpiece"]
    learning = Words(tokenizer)
    for _ in range(40):
        documents = [f"{' '.join(rng.choices(SENTENCES[0].split(), k=9))} {rng.random()}"]
        np.testing.assert_array_equal(learning.encode(documents).tokens, encode(tokenizer, documents).tokens)
        assert len(learning._numbers) <= 31


def changed(name: str, change) -> Tokenizer:
    tokenizer = Tokenizer.from_str(TOKENIZERS[name].to_str())
    change(tokenizer)
    return tokenizer


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("wordpiece", lambda t: t.add_tokens([AddedToken("new york", special=False)])),
        ("wordpiece", lambda t: setattr(t, "normalizer", normalizers.Replace("the cat", "it"))),
        ("wordpiece", lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.Punctuation())),
        ("bpe", lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True))),
        ("bpe", lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.ByteLevel(use_regex=False))),
        ("bpe", lambda t: setattr(t, "normalizer", normalizers.Strip())),
    ],
)
def test_what_may_look_across_spaces_is_given_whole_texts(name, change):
    tokenizer = changed(name, change)
    assert splitter(tokenizer) is None
    documents = [f" {text} new york" for text in SENTENCES]
    np.testing.assert_array_equal(Words(tokenizer).encode(documents).tokens, encode(tokenizer, documents).tokens)
