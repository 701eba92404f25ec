"""Tokenizers: trained the same every time, found under both naming customs, refused in words."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from jax_encoder.data.tokenizer import (
    check_vocabulary,
    encode,
    load_tokenizer,
    save_tokenizer,
    train_tokenizer,
    vocabulary_of,
)
from jax_encoder.errors import InputError

TEXT = [
    "Fellow-Citizens of the Senate and House of Representatives:",
    "The Congress of the United States meets again, and the state of the Union is sound.",
    "Représentants, naïve façades: the crème de la crème met in the cafés.",
    "Unions unite united units; states restate what statesmen have stated.",
] * 2
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
KINDS = ("wordpiece", "bpe")


def word_level(words: dict[str, int]) -> Tokenizer:
    """One token a word; the smallest tokenizer there is."""
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def numbered(*words: str) -> dict[str, int]:
    return {word: i for i, word in enumerate(words)}


@pytest.mark.parametrize("kind", KINDS)
def test_training_twice_gives_one_vocabulary(kind):
    first, *others = (train_tokenizer(TEXT, kind=kind, vocab_size=400).to_str() for _ in range(8))
    assert all(other == first for other in others)


@pytest.mark.parametrize("kind", KINDS)
def test_trained_vocabulary(kind):
    tokenizer = train_tokenizer(TEXT, kind=kind, vocab_size=300)
    vocabulary = vocabulary_of(tokenizer)
    assert vocabulary == (tokenizer.get_vocab_size(), 0, 2, 3, 4, 1, (0, 1, 2, 3, 4))
    assert sorted(tokenizer.get_vocab().values()) == list(range(vocabulary.size))
    assert 100 < vocabulary.size <= 300
    assert tokenizer.encode("the state").tokens[:: 3 if kind == "bpe" else 2][0] == "[CLS]"
    assert tokenizer.encode("the state").tokens[-1] == "[SEP]"
    assert tokenizer.encode("the state", "of").type_ids[-2:] == [1, 1]


def test_wordpiece_is_uncased_and_joins_pieces():
    tokenizer = train_tokenizer(TEXT, kind="wordpiece", vocab_size=400)
    assert tokenizer.decode(encode(tokenizer, ["The CAFÉS restated"]).tokens.tolist()) == "the cafes restated"
    assert all(
        len(piece) == 1 or not piece.startswith("##") for piece in (t.content for t in special_tokens(tokenizer))
    )


def special_tokens(tokenizer: Tokenizer) -> list[AddedToken]:
    return list(tokenizer.get_added_tokens_decoder().values())


def test_bpe_can_spell_anything():
    tokenizer = train_tokenizer(TEXT, kind="bpe", vocab_size=400)
    text = "Crème brûlée 東京 🤗 \t x"
    tokens = encode(tokenizer, [text]).tokens
    assert tokenizer.decode(tokens.tolist()) == text
    assert vocabulary_of(tokenizer).unk not in tokens


@pytest.mark.parametrize(("kind", "least"), [("wordpiece", 50), ("bpe", 261)])
def test_vocabulary_too_small_to_spell(kind, least):
    with pytest.raises(InputError) as caught:
        train_tokenizer(TEXT, kind=kind, vocab_size=40)
    assert str(caught.value) == (
        f"a vocabulary of 40 is too small: special tokens and single characters alone take {least}"
    )
    assert train_tokenizer(TEXT, kind=kind, vocab_size=least).get_vocab_size() == least


def test_encoding_is_ragged_and_complete():
    tokenizer = word_level(numbered(*SPECIAL, "a", "b", "c"))
    documents = ["a b", "", "c", "a a a zebra"]
    tokens, starts = encode(tokenizer, iter(documents))
    assert tokens.tolist() == [5, 6, 7, 5, 5, 5, 1]
    assert starts.tolist() == [0, 2, 2, 3, 7]
    assert (tokens.dtype, starts.dtype) == (np.uint16, np.int64)
    assert encode(tokenizer, []).starts.tolist() == [0]


def test_encoding_in_chunks_is_encoding_at_once():
    tokenizer = train_tokenizer(TEXT, kind="wordpiece", vocab_size=200)
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


def test_special_tokens_in_the_text_are_text():
    for kind in KINDS:
        tokenizer = train_tokenizer([*TEXT, "[MASK] [CLS]", "[mask]"], kind=kind, vocab_size=400)
        tokens = encode(tokenizer, ["hidden: [MASK] [SEP] [PAD]"]).tokens
        assert not np.isin(tokens, [0, 2, 3, 4]).any()
        assert len(tokens) > 9


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


@pytest.mark.parametrize("kind", KINDS)
def test_saved_tokenizer_loads_here_and_in_transformers(tmp_path: Path, kind):
    path = tmp_path / "tokenizer.json"
    path.write_text("an older one")
    tokenizer = train_tokenizer(TEXT, kind=kind, vocab_size=400)
    save_tokenizer(tokenizer, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokenizer.json"]
    assert json.loads(path.read_text())["truncation"] is None
    assert load_tokenizer(path).to_str() == tokenizer.to_str()
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(path), mask_token="[MASK]", pad_token="[PAD]")
    ours = encode(tokenizer, TEXT[2:3]).tokens.tolist()
    assert theirs(TEXT[2])["input_ids"] == [2, *ours, 3]
    assert theirs.mask_token_id == 4
    assert theirs("a [MASK] b")["input_ids"].count(4) == 1
