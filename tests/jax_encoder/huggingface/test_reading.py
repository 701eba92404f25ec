"""A folder's texts become the ids that transformers' own class makes of them, or a note says what differs."""

import itertools
import json
import warnings

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from jax_encoder import cli, huggingface
from jax_encoder.errors import ReadingWarning
from jax_encoder.huggingface.reading import read_tokenizer
from tests.jax_encoder.huggingface.made import FAST, MEAN, WORDS, wordpiece, write_bert

TEXTS = [
    "paris is the [MASK] of france",
    "Paris  is <mask> .",
    "café",
    "",
    " a the ",
    "[SEP] [ MASK ]",
    "中 paris",
    "<s>the",
]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def bpe(*, frame: bool, marked: bool) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({piece: id_ for id_, piece in enumerate(ROBERTA + alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if frame:
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, False)
    if marked:
        tokenizer.add_special_tokens([AddedToken(token, lstrip=token == "<mask>") for token in ROBERTA])
    return tokenizer


def unigram(special: list[str], *, frame: bool, marked: bool) -> Tokenizer:
    pieces = [(token, 0.0) for token in special] + [(f"▁{word}", -3.0) for word in WORDS] + [("▁", -4.0)]
    pieces += [(letter, -9.0) for letter in "abcdefghijklmnopqrstuvwxyzPS[]<>/"]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=special.index("<unk>" if "<unk>" in special else "[UNK]")))
    split = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    if frame:
        begin, end = ("<s>", "</s>") if "<s>" in special else ("[CLS]", "[SEP]")
        known = [(token, special.index(token)) for token in (begin, end)]
        pair = f"{begin} $A {end} {end} $B {end}" if begin == "<s>" else f"{begin} $A {end} $B:1 {end}:1"
        tokenizer.post_processor = processors.TemplateProcessing(f"{begin} $A {end}", pair, known)
    if marked:
        tokenizer.add_special_tokens(special)
    return tokenizer


def albert(*, frame: bool, marked: bool) -> Tokenizer:
    tokenizer = unigram(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], frame=frame, marked=marked)
    quotes = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    tokenizer.normalizer = normalizers.Sequence(
        [*quotes, normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    return tokenizer


MADE = {
    "bert": wordpiece,
    "electra": wordpiece,
    "distilbert": wordpiece,
    "roberta": bpe,
    "xlm-roberta": lambda **how: unigram(ROBERTA, **how),
    "camembert": lambda **how: unigram(ROBERTA, **how),
    "albert": albert,
}


def read_by_both(folder, texts):
    """Ids and token types of each text, and of each with the next, ours and AutoTokenizer's; and our notes."""
    from transformers import AutoTokenizer

    reading = read_tokenizer(folder, json.loads((folder / "config.json").read_text()))
    theirs = AutoTokenizer.from_pretrained(folder)
    pairs = list(itertools.pairwise(texts))
    ours = [reading.tokenizer.encode(text) for text in texts] + [reading.tokenizer.encode(*pair) for pair in pairs]
    there = [theirs._tokenizer.encode(text) for text in texts] + [theirs._tokenizer.encode(*pair) for pair in pairs]
    return (
        [(one.tokens, one.ids, one.type_ids) for one in ours],
        [(one.tokens, one.ids, one.type_ids) for one in there],
        (reading.notes),
    )


def folder_of(tmp_path, tokenizer, model_type, config=None):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    if config is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("frame", [True, False])
@pytest.mark.parametrize("model_type", MADE)
def test_the_class_frames_texts_and_marks_special_tokens(tmp_path, model_type, frame, marked):
    folder = folder_of(tmp_path, MADE[model_type](frame=frame, marked=marked), model_type)
    ours, theirs, notes = read_by_both(folder, TEXTS)
    assert ours == theirs
    assert notes == ()


MASK = {"content": "[MASK]", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
CONFIGS = {
    "named": FAST,
    "named as tokens": FAST | {"mask_token": MASK | {"__type": "AddedToken"}},
    "listed by ids": FAST | {"added_tokens_decoder": {"4": MASK | {"special": True}}},
    "more of them": FAST | {"additional_special_tokens": ["[ MASK", "france"]},
    "begin and end": FAST | {"bos_token": "[CLS]", "eos_token": "[SEP]", "add_bos_token": True, "add_eos_token": True},
    "another class": {
        "tokenizer_class": "MPNetTokenizer",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
    "a class unknown": FAST | {"tokenizer_class": "MadeUpTokenizer"},
    "electra": {"tokenizer_class": "ElectraTokenizerFast"},
}


@pytest.mark.parametrize("case", CONFIGS)
def test_what_tokenizer_config_names_is_read_as_transformers_reads_it(tmp_path, case):
    folder = folder_of(tmp_path, wordpiece(marked=False, frame=False), "bert", CONFIGS[case])
    ours, theirs, notes = read_by_both(folder, TEXTS)
    assert ours == theirs
    assert notes == ()


OTHERWISE = {
    "lower": (wordpiece(lower=False), None, "'Paris IS' becomes 'paris is' there, 'Paris IS' here (do_lower_case, "),
    "said so": (wordpiece(lower=False), {"do_lower_case": True}, "(do_lower_case, "),
    "cased": (wordpiece(), {"do_lower_case": False}, "'Paris IS' becomes 'Paris IS' there, 'paris is' here"),
    "accents": (wordpiece(), {"strip_accents": False}, "'café' becomes 'café' there, 'cafe' here (strip_accents, "),
    "Chinese": (wordpiece(), {"tokenize_chinese_chars": False}, "(tokenize_chinese_chars)"),
    "no normalizer": (wordpiece(), None, "(do_lower_case, "),
    "frame": (wordpiece(), None, "an empty text becomes [CLS] [SEP] there, [CLS] here"),
}
OTHERWISE["no normalizer"][0].normalizer = normalizers.NFC()
OTHERWISE["frame"][0].post_processor = processors.TemplateProcessing("[CLS] $A", "[CLS] $A $B", [("[CLS]", 2)])


@pytest.mark.parametrize("case", OTHERWISE)
def test_what_transformers_reads_otherwise_is_said_in_one_line(tmp_path, case):
    tokenizer, config, said = OTHERWISE[case]
    expected = [tokenizer.encode(text).ids for text in TEXTS]
    folder = folder_of(tmp_path, tokenizer, "bert", config)
    reading = read_tokenizer(folder, {"model_type": "bert"})
    assert [reading.tokenizer.encode(text).ids for text in TEXTS] == expected  # tokenizer.json is followed
    (note,) = reading.notes
    assert note.startswith(f"{folder}/tokenizer.json is followed; transformers and sentence-transformers will read ")
    assert "for their BertTokenizer makes parts of it anew: " in note
    assert said in note
    assert "\n" not in note
    ours, theirs, _ = read_by_both(folder, ["Paris IS", "café", "中文", ""])
    assert ours != theirs


def test_a_note_on_two_texts_says_that_one_alone_is_read_alike(tmp_path):
    tokenizer = wordpiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", [("[CLS]", 2), ("[SEP]", 3)]
    )
    reading = read_tokenizer(folder_of(tmp_path, tokenizer, "bert"), {"model_type": "bert"})
    (note,) = reading.notes
    assert " will read two texts that are read together (but not one alone) otherwise, for their BertTokenizer " in note
    assert note.endswith("two empty texts become [CLS] [SEP] [SEP]:1 there, [CLS] [SEP] [SEP] here")


def test_a_note_is_a_warning_of_the_library_and_a_line_of_the_command(tmp_path, capsys):
    folder = write_bert(tmp_path, wordpiece(lower=False), MEAN)
    with pytest.warns(ReadingWarning, match=r"do_lower_case") as caught:
        checkpoint = huggingface.load(folder)
    assert [str(one.message) for one in caught] == list(checkpoint.notes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cli.main(["fill-mask", "--model", str(folder), "Paris is [MASK]"]) == 0
        out = capsys.readouterr()
        (folder / "texts.txt").write_text("Paris is long\n")
        assert cli.main(["encode", "--model", str(folder), str(folder / "texts.txt")]) == 0
    for err in (out.err, capsys.readouterr().err):
        assert err == f"python -m jax_encoder: note: {checkpoint.notes[0]}\n"


def test_padding_on_the_left_is_said_where_positions_count_it(tmp_path):
    folder = write_bert(tmp_path, wordpiece(), {"tokenizer_config.json": {"padding_side": "left"}})
    with pytest.warns(ReadingWarning, match=r": the tokenizer pads on the left, and transformers counts padding as "):
        huggingface.load(folder)


def test_ids_without_a_token_are_never_shown(tmp_path, capsys):
    from safetensors.numpy import load_file, save_file

    folder = write_bert(tmp_path, wordpiece(), vocab_size=64)
    tensors = load_file(folder / "model.safetensors")
    tensors["cls.predictions.bias"][25:] = 50
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert cli.main(["fill-mask", "--model", str(folder), "paris is the [MASK] of france", "--top", "64"]) == 0
    out = capsys.readouterr().out
    assert "None" not in out
    assert out.count("0.0000") == 25  # every token of the vocabulary, and the rest has all the probability


def test_a_mask_that_only_tokenizer_config_names_is_found(tmp_path, capsys):
    folder = write_bert(tmp_path, wordpiece(marked=False), {"tokenizer_config.json": FAST})
    assert cli.main(["fill-mask", "--model", str(folder), "paris is the [MASK] of france"]) == 0
    assert capsys.readouterr().out.count("0.") == 5
