"""Tokenizers: found under both naming customs, refused in words; text as ids."""

from itertools import pairwise

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from jax_encoder.data.tokenizer import (
    check_vocabulary,
    encode,
    load_tokenizer,
    save_tokenizer,
    vocabulary_of,
)
from jax_encoder.data.tokenizer_form import TokenizerForm
from jax_encoder.data.tokenizer_training import train_tokenizer
from jax_encoder.errors import InputError

TEXT = [
    "Fellow-Citizens of the Senate and House of Representatives:",
    "The Congress of the United States meets again, and the state of the Union is sound.",
    "Représentants, naïve façades: the crème de la crème met in the cafés.",
    "Unions unite united units; states restate what statesmen have stated.",
] * 2
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def word_level(words: dict[str, int]) -> Tokenizer:
    """One token a word; the smallest tokenizer there is."""
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def numbered(*words: str) -> dict[str, int]:
    return {word: i for i, word in enumerate(words)}


def test_encoding_is_ragged_and_complete():
    tokenizer = word_level(numbered(*SPECIAL, "a", "b", "c"))
    documents = ["a b", "", "c", "a a a zebra"]
    tokens, starts = encode(tokenizer, iter(documents))
    assert tokens.tolist() == [5, 6, 7, 5, 5, 5, 1]
    assert starts.tolist() == [0, 2, 2, 3, 7]
    assert (tokens.dtype, starts.dtype) == (np.uint16, np.int64)
    assert encode(tokenizer, []).starts.tolist() == [0]


def test_encoding_in_chunks_is_encoding_at_once():
    tokenizer = train_tokenizer(TEXT, TokenizerForm("wordpiece"), vocab_size=200)
    documents = [TEXT[i % 8][: i % 50] for i in range(5000)]
    tokens, starts = encode(tokenizer, documents)
    assert len(starts) == 5001
    pieces = [tokens[start:end].tolist() for start, end in pairwise(starts)]
    assert pieces == [tokenizer.encode(text, add_special_tokens=False).ids for text in documents]


def test_large_vocabularies_take_wider_ids():
    for size, dtype in ((2**16, np.uint16), (2**16 + 1, np.int32)):
        tokenizer = word_level(numbered(*SPECIAL, *(f"w{i}" for i in range(5, size))))
        tokens = encode(tokenizer, [f"w{size - 1}"]).tokens
        assert (tokens.dtype, tokens.tolist()) == (dtype, [size - 1])


def test_stored_truncation_and_padding_stay_off():
    tokenizer = word_level(numbered(*SPECIAL, "a"))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=9)
    assert encode(tokenizer, ["a a a a a", "a"]).tokens.tolist() == [5] * 6
    assert tokenizer.truncation["max_length"] == 3  # the caller's own is left as it was


def test_roberta_names_and_every_special_token(tmp_path):
    tokenizer = word_level(numbered("<s>", "<pad>", "</s>", "<unk>", "a", "b", "<mask>"))
    tokenizer.add_special_tokens([AddedToken("<extra>", special=True)])
    tokenizer.add_tokens([AddedToken("plain", special=False)])
    vocabulary = vocabulary_of(tokenizer)
    assert vocabulary == (9, 1, 0, 2, 6, 3, (0, 1, 2, 3, 6, 7))


def test_ids_that_stand_for_nothing_are_special():
    words = {**numbered(*SPECIAL), "a": 7}
    assert vocabulary_of(word_level(words)) == (8, 0, 2, 3, 4, 1, (0, 1, 2, 3, 4, 5, 6))


def test_an_unknown_token_may_be_missing():
    vocabulary = vocabulary_of(Tokenizer(models.BPE(numbered("[PAD]", "[CLS]", "[SEP]", "[MASK]", "a"), [])))
    assert vocabulary.unk is None
    assert vocabulary.special == (0, 1, 2, 3)


@pytest.mark.parametrize("missing", ["[PAD]", "[CLS]", "[SEP]", "[MASK]"])
def test_missing_special_tokens(tmp_path, missing):
    path = tmp_path / "tokenizer.json"
    save_tokenizer(word_level(numbered("[UNK]", *(name for name in SPECIAL if name not in ("[UNK]", missing)))), path)
    other = {"[PAD]": "<pad>", "[CLS]": "<s>", "[SEP]": "</s>", "[MASK]": "<mask>"}[missing]
    with pytest.raises(InputError) as caught:
        load_tokenizer(path)
    role = missing.strip("[]").lower()
    assert str(caught.value) == f"{path} lacks a {role} token: expected {missing} or {other} in its vocabulary"


def test_vocabulary_beyond_the_model():
    vocabulary = vocabulary_of(word_level(numbered(*SPECIAL, "a")))
    check_vocabulary(vocabulary, 6)
    with pytest.raises(InputError) as caught:
        check_vocabulary(vocabulary, 5, source="t.json")
    assert str(caught.value) == "t.json has ids up to 5, but the model's vocab_size is 5: it must be at least 6"


def test_files_that_are_no_tokenizer(tmp_path):
    path = tmp_path / "tokenizer.json"
    for content, message in (
        (None, f"tokenizer {path}: cannot be read: No such file or directory"),
        (b"\xff", f"tokenizer {path}: cannot be read: not UTF-8"),
        (b"{", f"{path} is not a tokenizer.json of Hugging Face tokenizers: "),
        (b'{"model_type": "bert"}', f"{path} is not a tokenizer.json of Hugging Face tokenizers: "),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            load_tokenizer(path)
        assert str(caught.value).startswith(message)
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        load_tokenizer(tmp_path)
