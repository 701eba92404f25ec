"""Tokenizers that are trained: the same every time, with a token for every character that there is room for."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

from jax_encoder.data.tokenizer import encode, load_tokenizer, save_tokenizer, vocabulary_of
from jax_encoder.data.tokenizer_form import TokenizerForm
from jax_encoder.data.tokenizer_training import train_tokenizer
from jax_encoder.errors import InputError

ROOT = Path(__file__).parents[3]
TEXT = [
    "Fellow-Citizens of the Senate and House of Representatives:",
    "The Congress of the United States meets again, and the state of the Union is sound.",
    "Représentants, naïve façades: the crème de la crème met in the cafés.",
    "Unions unite united units; states restate what statesmen have stated.",
] * 2
WORDPIECE, PAIRS, UNIGRAM = (TokenizerForm(kind) for kind in ("wordpiece", "bpe", "unigram"))
KINDS = (WORDPIECE, PAIRS, UNIGRAM)
# Every way in which a kind can be told to be another.
FORMS = (
    *KINDS,
    TokenizerForm("wordpiece", digits="single", unknown="bytes"),
    TokenizerForm("bpe", digits="single", whitespace="collapse"),
    TokenizerForm("unigram", digits="single", whitespace="keep", unknown="bytes"),
)


def han(documents: int, characters: int, length: int = 60) -> list[str]:
    """Texts of so many different characters, none of which joins another."""
    rng = random.Random(0)
    every = [chr(0x4E00 + i) for i in range(characters)]
    return ["".join(rng.choices(every, k=length)) for _ in range(documents)]


def special_tokens(tokenizer: Tokenizer) -> list[AddedToken]:
    return list(tokenizer.get_added_tokens_decoder().values())


@pytest.mark.parametrize("form", FORMS)
def test_training_twice_gives_one_vocabulary(form):
    first, *others = (train_tokenizer(TEXT, form, vocab_size=700).to_str() for _ in range(5))
    assert all(other == first for other in others)


def test_another_process_gives_the_same_vocabularies():
    program = """
import hashlib, json, sys
from jax_encoder.data.tokenizer_form import TokenizerForm
from jax_encoder.data.tokenizer_training import train_tokenizer
text, forms = json.load(sys.stdin)
for form in forms:
    print(hashlib.sha256(train_tokenizer(text, TokenizerForm(*form), vocab_size=700).to_str().encode()).hexdigest())
"""
    given, hashes = json.dumps([TEXT, FORMS]), set()
    for seed in "12":  # of the hash maps of Python; Rust's draw their own
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, env=environment)
        hashes.add(done.stdout)
    (only,) = hashes
    assert len(set(only.split())) == len(FORMS)


@pytest.mark.parametrize("form", FORMS)
def test_trained_vocabulary(form):
    tokenizer = train_tokenizer(TEXT, form, vocab_size=700)
    vocabulary = vocabulary_of(tokenizer)
    assert vocabulary == (tokenizer.get_vocab_size(), 0, 2, 3, 4, 1, (0, 1, 2, 3, 4))
    assert sorted(tokenizer.get_vocab().values()) == list(range(vocabulary.size))
    assert 80 < vocabulary.size <= 700
    assert [tokenizer.encode("the state").tokens[end] for end in (0, -1)] == ["[CLS]", "[SEP]"]
    assert tokenizer.encode("the state", "of").type_ids[-2:] == [1, 1]


def test_wordpiece_is_uncased_and_joins_pieces():
    tokenizer = train_tokenizer(TEXT, WORDPIECE, vocab_size=400)
    assert tokenizer.decode(encode(tokenizer, ["The CAFÉS restated"]).tokens.tolist()) == "the cafes restated"
    assert all(
        len(piece) == 1 or not piece.startswith("##") for piece in (t.content for t in special_tokens(tokenizer))
    )


@pytest.mark.parametrize("form", [form for form in FORMS if form.spells_bytes])
def test_bytes_can_spell_anything(form):
    tokenizer = train_tokenizer(TEXT, form, vocab_size=700)
    text = "crème brûlée 東京 🤗 x" if form.kind != "wordpiece" else "creme brulee 東 京 🤗 x"
    tokens = encode(tokenizer, [text]).tokens
    assert tokenizer.decode(tokens.tolist()) == text
    assert vocabulary_of(tokenizer).unk not in tokens


@pytest.mark.parametrize("form", [form for form in FORMS if not form.spells_bytes])
def test_what_has_no_token_is_unknown(form):
    tokenizer = train_tokenizer(TEXT, form, vocab_size=400)
    assert encode(tokenizer, ["東"]).tokens.tolist()[-1] == 1


@pytest.mark.parametrize("form", KINDS)
def test_every_character_has_a_token_if_there_is_room(form):
    text = han(200, 3000)
    tokenizer = train_tokenizer(text, form, vocab_size=8000)
    assert 1 not in encode(tokenizer, text).tokens


@pytest.mark.parametrize("form", [form for form in KINDS if not form.spells_bytes])
def test_without_room_the_most_frequent_characters_have_one(form):
    rare, usual = han(20, 900), ["一丁七万丈三" * 60]
    tokenizer = train_tokenizer([*rare, *usual], form, vocab_size=200)
    assert vocabulary_of(tokenizer).size == 200
    assert 1 not in encode(tokenizer, usual).tokens
    unknown = np.mean(encode(tokenizer, rare).tokens == 1)
    assert 0.3 < unknown < 0.9


@pytest.mark.parametrize(("form", "least"), [(WORDPIECE, 5), (PAIRS, 261), (FORMS[3], 517), (FORMS[5], 261)])
def test_vocabulary_too_small_to_spell(form, least):
    with pytest.raises(InputError) as caught:
        train_tokenizer(TEXT, form, vocab_size=least)
    tokens = "special tokens" if form is WORDPIECE else "special tokens and bytes"
    assert str(caught.value) == f"a vocabulary of {least} is too small: {tokens} alone take {least}"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            TokenizerForm("wordpiece", whitespace="keep"),
            "--whitespace keep: WordPiece drops what stands between words; choose --tokenizer-kind bpe or unigram",
        ),
        (
            TokenizerForm("bpe", unknown="token"),
            "--unknown token: byte pairs spell everything; choose --tokenizer-kind wordpiece or unigram",
        ),
    ],
)
def test_what_a_kind_cannot_do(form, message):
    with pytest.raises(InputError) as caught:
        train_tokenizer(TEXT, form, vocab_size=700)
    assert str(caught.value) == message


@pytest.mark.parametrize("form", KINDS)
def test_a_hidden_word_takes_its_space_along(form):
    tokenizer = train_tokenizer([*TEXT, "the state of the union is sound"] * 9, form, vocab_size=700)
    left, whole, hidden = (tokenizer.encode(f"the state of{more}").ids for more in ("", " the union", " [MASK] union"))
    at = hidden.index(4)
    assert hidden[:at] == left[:-1]
    assert hidden[at + 1 :] == whole[at + 1 - len(hidden) :]


@pytest.mark.parametrize("form", FORMS)
def test_words_over_a_hundred_characters_are_cut_not_lost(form):
    tokenizer = train_tokenizer(TEXT, form, vocab_size=700)
    tokens = encode(tokenizer, ["state" * 61 + " é"]).tokens
    assert 1 not in tokens
    assert tokenizer.decode(tokens.tolist()).replace(" ", "").startswith("state" * 61)


def pieces(form: TokenizerForm, text: str) -> list[str]:
    tokenizer = train_tokenizer([*TEXT, "in 1999 and 1999, 1999"] * 20, form, vocab_size=700)
    return tokenizer.encode(text, add_special_tokens=False).tokens


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_digits(kind):
    whole, single = (pieces(TokenizerForm(kind, digits), "in 1999") for digits in ("whole", "single"))
    assert "1999" in whole[-1]
    assert [piece.strip("Ġ▁") for piece in single][-4:] == ["1", "9", "9", "9"]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_whitespace(kind):
    kept, collapsed = (TokenizerForm(kind, whitespace=whitespace) for whitespace in ("keep", "collapse"))
    text = "the state\n\n\tof  the union"
    assert pieces(collapsed, text) == pieces(collapsed, "the state of the union") != pieces(kept, text)


@pytest.mark.parametrize("form", FORMS)
def test_special_tokens_in_the_text_are_text(form):
    tokenizer = train_tokenizer([*TEXT, "[MASK] [CLS]", "[mask]"], form, vocab_size=700)
    tokens = encode(tokenizer, ["hidden: [MASK] [SEP] [PAD] [CLS]"]).tokens
    assert not np.isin(tokens, [0, 2, 3, 4]).any()
    assert len(tokens) > 8


@pytest.mark.parametrize("form", FORMS)
def test_saved_tokenizer_loads_here_and_in_transformers(tmp_path: Path, form):
    path = tmp_path / "tokenizer.json"
    path.write_text("an older one")
    tokenizer = train_tokenizer(TEXT, form, vocab_size=700)
    save_tokenizer(tokenizer, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokenizer.json"]
    assert json.loads(path.read_text())["truncation"] is None
    assert load_tokenizer(path).to_str() == tokenizer.to_str()
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(path), mask_token="[MASK]", pad_token="[PAD]")
    ours = encode(tokenizer, TEXT[2:3]).tokens.tolist()
    assert theirs(TEXT[2])["input_ids"] == [2, *ours, 3]
    assert theirs.mask_token_id == 4
    assert theirs("a [MASK] b")["input_ids"].count(4) == 1


def test_without_sentencepiece_it_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(InputError) as caught:
        train_tokenizer(TEXT, UNIGRAM, vocab_size=400)
    assert str(caught.value) == (
        "--tokenizer-kind unigram is learned by sentencepiece: pip install 'jax-encoder[unigram]'"
    )
