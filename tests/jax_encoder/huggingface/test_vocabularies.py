"""Folders from before there was tokenizer.json: a vocabulary becomes the tokenizer that transformers' class makes."""

import io
import json
import re

import pytest

from jax_encoder import huggingface
from jax_encoder.errors import InputError
from jax_encoder.huggingface.reading import read_tokenizer
from jax_encoder.huggingface.vocabularies import why_unread
from parity.text.corpus import sentences
from tests.jax_encoder.huggingface.made import SPECIAL, WORDS, wordpiece, write_bert
from tests.jax_encoder.huggingface.test_reading import TEXTS, bpe, folder_of, read_by_both

MPNET = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"]
ESM = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
MASK = {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": False, "rstrip": False}
PROTEINS = [
    "MKTAYIAK",
    "M <mask> T",
    "paris IS",
    "",
    " LA\tGV ",
    "J1AX",
    "<cls>K",
    "L\u00a0A\u2003V",
    "A.-B<null_1>x",
    "x<null_1>",
    "\x1c\x1d L\x1ex\x1f",
]
CASES = {
    "bert": ("bert", SPECIAL, None),
    "electra, cased": ("electra", SPECIAL, {"do_lower_case": False}),
    "distilbert, accents": ("distilbert", SPECIAL, {"strip_accents": False, "tokenize_chinese_chars": False}),
    "named by its fast class": ("gte", SPECIAL, {"tokenizer_class": "BertTokenizerFast", "mask_token": "paris"}),
    "mpnet": ("mpnet", MPNET, None),
    "listed tokens": ("bert", SPECIAL, {"added_tokens_decoder": {"4": {"content": "[MASK]", "lstrip": True}}}),
}


def vocabulary(folder, model_type, pieces, config=None):
    """A folder with vocab.txt and no tokenizer.json."""
    folder_of(folder, wordpiece(), model_type, config)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return folder


@pytest.mark.parametrize("case", CASES)
def test_pieces_of_words(tmp_path, case):
    model_type, special, config = CASES[case]
    folder = vocabulary(tmp_path, model_type, [*special, *WORDS, "##s", "caf", "cafe", "é", "##é"], config)
    ours, theirs, notes = read_by_both(folder, TEXTS)
    assert ours == theirs
    assert notes == ()


@pytest.mark.parametrize("config", [None, {"add_prefix_space": True, "mask_token": MASK}])
def test_pairs_of_bytes(tmp_path, config):
    model = json.loads(bpe(frame=True, marked=True).to_str())["model"]
    folder = folder_of(tmp_path, bpe(frame=True, marked=True), "roberta", config)
    (folder / "tokenizer.json").unlink()
    vocab = model["vocab"] | {"pa": len(model["vocab"]), "par": len(model["vocab"]) + 1}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\np a\npa r\n")
    ours, theirs, notes = read_by_both(folder, TEXTS)
    assert ours == theirs
    assert notes == ()
    assert "par" in ours[0][0] + ours[1][0]


def test_letters_of_proteins(tmp_path):
    from transformers import AutoTokenizer

    folder = vocabulary(tmp_path, "esm", ESM)
    ours, theirs = read_tokenizer(folder, {"model_type": "esm"}).tokenizer, AutoTokenizer.from_pretrained(folder)
    for text in PROTEINS:
        assert ours.encode(text).ids == theirs(text)["input_ids"], text
        assert ours.encode(text, "MK").ids == theirs(text, "MK")["input_ids"], text


def test_tokens_of_an_older_file_are_added(tmp_path):
    folder = vocabulary(tmp_path, "bert", [*SPECIAL, *WORDS], {"mask_token": "[FILL]"})
    (folder / "added_tokens.json").write_text(json.dumps({"[FILL]": len(SPECIAL) + len(WORDS), "New York": 99}))
    ours, theirs, _ = read_by_both(folder, ["paris is [FILL] New York", "new york [fill]"])
    assert ours == theirs
    assert "[FILL]" in ours[0][0]
    assert "new york" in ours[0][0]
    (folder / "added_tokens.json").write_text('{"[FILL]": "last"}')
    with pytest.raises(InputError, match=r"added_tokens\.json must be a table from tokens to whole numbers"):
        read_tokenizer(folder, {"model_type": "bert"})


def test_a_checkpoint_with_a_vocabulary_is_written_with_tokenizer_json(tmp_path):
    folder = write_bert(tmp_path / "from", wordpiece())
    expected = huggingface.load(folder).tokenizer.encode("paris is the [MASK] of france").ids
    vocab = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(vocab))
    loaded = huggingface.load(folder)
    assert loaded.tokenizer.encode("paris is the [MASK] of france").ids == expected
    huggingface.save(loaded, tmp_path / "to")
    assert not (tmp_path / "to" / "vocab.txt").exists()
    ours, theirs, notes = read_by_both(tmp_path / "to", TEXTS)
    assert (ours, notes) == (theirs, ())


@pytest.mark.parametrize(
    ("model_type", "name", "content"),
    [
        ("bert", "vocab.txt", b"\xff\xfe"),
        ("albert", "spiece.model", b""),
        ("albert", "spiece.model", b"{}"),
        ("albert", "spiece.model", b"\x0a\x50short"),
        ("albert", "spiece.model", b"\x0a\xff"),
        ("albert", "spiece.model", b"\x08\x01" * 9),
        ("albert", "spiece.model", b"\x12\x03\x1a\x01x"),
        ("albert", "spiece.model", b"\x0b"),
        ("albert", "spiece.model", b"\x80" * 12),
        ("albert", "spiece.model", b"\x0a\x05\x0a\x03<s>\x12\x02\x18\x02"),
    ],
)
def test_a_damaged_vocabulary_is_refused(tmp_path, model_type, name, content):
    folder = vocabulary(tmp_path, model_type, [])
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} cannot be read as a vocabulary: "):
        read_tokenizer(folder, {"model_type": model_type})


@pytest.mark.parametrize(
    ("model_type", "name"), [("modernbert", "vocab.txt"), ("roberta", "vocab.json"), ("t5", "spiece.model")]
)
def test_a_vocabulary_that_its_class_does_not_read_is_no_tokenizer(tmp_path, model_type, name):
    folder = vocabulary(tmp_path, model_type, SPECIAL)
    (folder / "vocab.txt").rename(folder / name)
    assert read_tokenizer(folder, {"model_type": model_type}) is None
    why = rf"has no tokenizer\.json, and {name} alone is not enough: what class of transformers' reads it is not known"
    assert re.search(why, why_unread(folder))


def test_a_vocabulary_without_the_tokens_around_a_text_is_no_tokenizer(tmp_path):
    assert read_tokenizer(vocabulary(tmp_path, "bert", ["[PAD]", "the"]), {"model_type": "bert"}) is None


ALBERT = {"pad_id": 0, "pad_piece": "<pad>", "unk_id": 1, "unk_piece": "<unk>", "bos_id": -1, "eos_id": -1}
DEBERTA = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
MODELS = {
    "xlm-roberta": ("sentencepiece.bpe.model", {}, None),
    "camembert": ("sentencepiece.bpe.model", {}, None),
    "albert": ("spiece.model", ALBERT | {"user_defined_symbols": ["[CLS]", "[SEP]", "[MASK]", "(", "-"]}, None),
    "deberta-v2": (
        "spm.model",
        DEBERTA | {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3},
        {"do_lower_case": False, "vocab_type": "spm"},
    ),
}


@pytest.mark.parametrize("rule", ["nmt_nfkc", "identity"])
@pytest.mark.parametrize("model_type", MODELS)
def test_pieces_of_sentencepiece(tmp_path, model_type, rule):
    sentencepiece = pytest.importorskip("sentencepiece")
    name, options, config = MODELS[model_type]
    folder = vocabulary(tmp_path, model_type, SPECIAL, config)
    (folder / "vocab.txt").unlink()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences(200)),
        model_writer=model,
        vocab_size=110,
        normalization_rule_name=rule,
        minloglevel=2,
        num_threads=1,
        **options,
    )
    (folder / name).write_bytes(model.getvalue())
    if model_type == "deberta-v2":
        (folder / "added_tokens.json").write_text('{"[MASK]": 110}')
    ours, theirs, notes = read_by_both(folder, [*TEXTS, "Ｆｕｌｌ ﬁ①", "the (long-river) [MASK]", "a\u2028b<mask> c"])
    assert ours == theirs
    assert notes == ()


def test_a_name_that_stands_twice_in_tokenizer_json_is_refused(tmp_path):
    folder = folder_of(tmp_path, wordpiece(), "bert")
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"normalizer"', '"normalizer": null, "normalizer"', 1))
    with pytest.raises(
        InputError, match=r"tokenizer\.json is not a tokenizer\.json .*: 'normalizer' stands there more "
    ):
        read_tokenizer(folder, {"model_type": "bert"})
