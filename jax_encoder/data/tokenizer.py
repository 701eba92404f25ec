"""Text to token ids, by Hugging Face tokenizers: trained here or read from a tokenizer.json.

Axes: N tokens, I documents + 1.
"""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int64, Integer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from jax_encoder.data.files import written_whole
from jax_encoder.errors import InputError

TokenizerKind = Literal["wordpiece", "bpe"]

# BERT's names, then RoBERTa's.
_NAMES = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}
_SPECIAL = [names[0] for names in _NAMES.values()]
_CONTINUES = "##"
_MIN_COUNT = 2  # a piece seen once would stand in for one word of the training text, and be learned from nothing
_CHUNK = 4096  # documents; enough to keep all cores busy, few enough that the library's own objects stay small


class Vocabulary(NamedTuple):
    """What a tokenizer's ids mean.

    Attributes:
        size: largest id + 1.
        pad, cls, sep, mask: ids of the special tokens.
        unk: id for what cannot be spelled, or None where everything can.
        special: every id below `size` that is not text, ascending: never masked and never put in for a masked token.
    """

    size: int
    pad: int
    cls: int
    sep: int
    mask: int
    unk: int | None
    special: tuple[int, ...]


class Encoded(NamedTuple):
    """Documents as ids, end to end, without special tokens; document i is `tokens[starts[i]:starts[i + 1]]`."""

    tokens: Integer[np.ndarray, " N"]
    starts: Int64[np.ndarray, " I"]


def train_tokenizer(documents: Sequence[str], *, kind: TokenizerKind, vocab_size: int) -> Tokenizer:
    """Learns a vocabulary from text, the same one every time.

    Args:
        documents: training text.
        kind: "wordpiece" as for uncased BERT (lower case, no accents); "bpe" over bytes, which can spell anything.
        vocab_size: at most so many tokens; a small corpus gives fewer.

    Raises:
        InputError: `vocab_size` does not even hold the special tokens and single characters.
    """
    tokenizer = _train_wordpiece(documents, vocab_size) if kind == "wordpiece" else _train_bpe(documents, vocab_size)
    size = tokenizer.get_vocab_size()
    if size > vocab_size:
        raise InputError(
            f"a vocabulary of {vocab_size} is too small: special tokens and single characters alone take {size}"
        )
    tokenizer.add_special_tokens(_SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def _train_wordpiece(documents: Sequence[str], vocab_size: int) -> Tokenizer:
    """Trains twice: first for the characters that continue a word, then, with their ids fixed, for the whole.

    The library numbers those characters in the order of a hash map and breaks ties between merges by number, so that
    one pass gives another vocabulary in every process (github.com/huggingface/tokenizers/issues/1794).
    """
    continuing: list[str] = []
    for size in (0, vocab_size):
        tokenizer = _wordpiece({"[UNK]": 0})
        trainer = trainers.WordPieceTrainer(
            vocab_size=size,
            min_frequency=_MIN_COUNT,
            special_tokens=[*_SPECIAL, *continuing],
            limit_alphabet=1000,
            continuing_subword_prefix=_CONTINUES,
            show_progress=False,
        )
        tokenizer.train_from_iterator(documents, trainer)
        vocab = tokenizer.get_vocab()
        continuing = sorted(piece for piece in vocab if len(piece) == 3 and piece.startswith(_CONTINUES))
    # Made anew, because to the trained one those characters are special tokens.
    return _wordpiece(vocab)


def _wordpiece(vocab: dict[str, int]) -> Tokenizer:
    """BERT's pipeline around a vocabulary."""
    tokenizer = Tokenizer(
        models.WordPiece(
            vocab=vocab, unk_token="[UNK]", max_input_chars_per_word=100, continuing_subword_prefix=_CONTINUES
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=_CONTINUES, cleanup=True)
    return tokenizer


def _train_bpe(documents: Sequence[str], vocab_size: int) -> Tokenizer:
    """GPT-2's byte-level pairs, with BERT's special tokens."""
    tokenizer = Tokenizer(models.BPE(dropout=None, unk_token=None, fuse_unk=False, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=_MIN_COUNT,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Reads a tokenizer.json.

    Raises:
        InputError: no such file, not a tokenizer, or one that lacks a special token this project needs.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(f"tokenizer {path}: cannot be read: {reason}") from None
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{path} is not a tokenizer.json of Hugging Face tokenizers: {error}") from None
    vocabulary_of(tokenizer, source=str(path))
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Writes a tokenizer.json, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(tokenizer.to_str(pretty=True), encoding="utf-8")


def vocabulary_of(tokenizer: Tokenizer, *, source: str = "the tokenizer") -> Vocabulary:
    """Finds the special tokens under BERT's or RoBERTa's names.

    Args:
        tokenizer: any that has them.
        source: who it is, for messages.

    Raises:
        InputError: one that packing or masking needs is missing. Only the unknown token may be.
    """
    ids: dict[str, int | None] = {}
    for role, names in _NAMES.items():
        ids[role] = next((id_ for name in names if (id_ := tokenizer.token_to_id(name)) is not None), None)
        if ids[role] is None and role != "unk":
            raise InputError(f"{source} lacks a {role} token: expected {' or '.join(names)} in its vocabulary")
    known = set(tokenizer.get_vocab(with_added_tokens=True).values())
    marked = {id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    size = max(known) + 1
    special = marked.union(id_ for id_ in ids.values() if id_ is not None).union(set(range(size)) - known)
    return Vocabulary(size=size, special=tuple(sorted(special)), **ids)  # type: ignore[arg-type]


def check_vocabulary(vocabulary: Vocabulary, vocab_size: int, *, source: str = "the tokenizer") -> None:
    """Refuses ids beyond the model's embedding, which JAX would clamp in silence.

    Raises:
        InputError: naming both sizes.
    """
    if vocabulary.size > vocab_size:
        raise InputError(
            f"{source} has ids up to {vocabulary.size - 1}, but the model's vocab_size is {vocab_size}: "
            f"it must be at least {vocabulary.size}"
        )


def encode(tokenizer: Tokenizer, documents: Iterable[str]) -> Encoded:
    """Turns documents into ids. All of every document: truncation and padding stored in the tokenizer stay off.

    What looks like a special token in the text ("[MASK]") is spelled out like any other text.
    """
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    dtype = np.uint16 if vocabulary_of(tokenizer).size <= 2**16 else np.int32
    tokens, lengths = [np.zeros(0, dtype)], [0]
    remaining = iter(documents)
    while chunk := list(itertools.islice(remaining, _CHUNK)):
        encodings = tokenizer.encode_batch_fast(chunk, add_special_tokens=False)
        tokens += [np.array(encoding.ids, dtype) for encoding in encodings]
        lengths += [len(encoding) for encoding in encodings]
    return Encoded(np.concatenate(tokens), np.cumsum(np.array(lengths, np.int64)))
