"""Tokenizers of many kinds, made on the spot, as transformers' classes have them."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from parity.text.corpus import sentences

LENGTH = 40
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
# Without it, transformers hands the types of two texts on for BERT's own tokenizer only.
TYPED = ["input_ids", "token_type_ids", "attention_mask"]


def wordpiece(special: tuple[str, ...] = BERT) -> dict[str, int]:
    """Special tokens, the words of plain prose in both cases and with accents and without, and most letters."""
    words = sorted({word.strip(".!?;:") for text in sentences(60) for word in text.split()} - {""})
    words += sorted({_plain(word.lower()) for word in words} | {word.lower() for word in words})
    letters = [chr(code) for code in (*range(33, 127), *range(0xC0, 0x100), *range(0x410, 0x450), 0x4E2D, 0x1F600)]
    pieces = [*special, *words, *letters, *(f"##{letter}" for letter in letters)]
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}


def unigram(special: tuple[str, ...]) -> list[tuple[str, float]]:
    """The same for tokenizers that choose the likeliest pieces; a longer piece is likelier than its letters."""
    pieces = [piece for piece in wordpiece(()) if not piece.startswith("##")]
    words = [f"▁{piece}" for piece in pieces if len(piece) > 1]
    letters = [piece for piece in pieces if len(piece) == 1]
    scored = [(piece, -4.0 - len(piece) / 10) for piece in words] + [(piece, -9.0) for piece in letters]
    return [*((token, 0.0) for token in special), ("▁", -6.0), *scored]


def byte_pairs(special: tuple[str, ...]) -> Tokenizer:
    """Pairs of bytes, trained on plain prose."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(sentences(60), trainer)
    return tokenizer


def bert(**options: Any) -> Callable[[], Any]:
    """BERT's: pieces of words."""
    return lambda: transformers.BertTokenizer(vocab=wordpiece(), model_max_length=LENGTH, **options)


def roberta(**options: Any) -> Callable[[], Any]:
    """RoBERTa's: pairs of bytes."""

    def made() -> Any:
        content = json.loads(byte_pairs(ROBERTA).to_str())["model"]
        merges = [tuple(merge) for merge in content["merges"]]
        mask = AddedToken("<mask>", lstrip=True, normalized=False, special=True)
        given = {"vocab": content["vocab"], "merges": merges, "mask_token": mask, "model_max_length": LENGTH}
        return transformers.RobertaTokenizer(**given, **options)

    return made


def modernbert() -> Any:
    """ModernBERT's: pairs of bytes under BERT's special tokens."""
    tokenizer = byte_pairs(BERT)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]")
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, normalized=False)])
    return _fast(tokenizer, BERT, model_input_names=["input_ids", "attention_mask"])


def eurobert() -> Any:
    """EuroBERT's: pairs of bytes, of words that an expression cuts."""
    tokenizer = byte_pairs(("<|begin|>", "<|end|>", "<|pad|>", "<|mask|>"))
    split = pre_tokenizers.Split(Regex(r"\p{N}{1,3}| ?[^\s\p{N}]+|\s+"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.post_processor = _template(tokenizer, "<|begin|>", "<|end|>")
    names = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "pad_token": "<|pad|>", "mask_token": "<|mask|>"}
    inputs = ["input_ids", "attention_mask"]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LENGTH, model_input_names=inputs, **names
    )


def metaspace() -> Any:
    """Pieces that begin with a mark for the space, under BERT's special tokens."""
    tokenizer = Tokenizer(models.Unigram(unigram(BERT), unk_id=1))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]")
    return _fast(tokenizer, BERT, model_input_names=TYPED)


def _fast(tokenizer: Tokenizer, special: tuple[str, ...], **options: Any) -> Any:
    roles = ("pad", "unk", "cls", "sep", "mask")
    names = {f"{role}_token": token for role, token in zip(roles, special, strict=True)}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=LENGTH, **names, **options)


def _template(tokenizer: Tokenizer, begin: str, end: str) -> Any:
    return processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} $B:1 {end}:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (begin, end)],
    )


def esm() -> Any:
    """Its vocabulary is a file, and letters alone are known."""
    entries = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "vocab.txt").write_text("\n".join(entries))
        return transformers.EsmTokenizer(str(Path(place) / "vocab.txt"), model_max_length=LENGTH)


def _plain(word: str) -> str:
    return normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]).normalize_str(word)
