"""Text to token ids, by Hugging Face tokenizers: as `jax_encoder.data.tokenizer_training` made it, or a tokenizer.json.

Axes: N tokens, I documents + 1.
"""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, Integer
from tokenizers import Tokenizer

from jax_encoder.data.files import once, written_whole
from jax_encoder.errors import InputError

# BERT's names, then RoBERTa's.
_NAMES = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}
SPECIAL = [names[0] for names in _NAMES.values()]
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
    tokenizer, _ = parse_tokenizer(text, path)
    vocabulary_of(tokenizer, source=str(path))
    return tokenizer


def parse_tokenizer(text: str, path: Path) -> tuple[Tokenizer, dict[str, Any]]:
    """A tokenizer.json as a tokenizer, and as what it holds.

    Raises:
        InputError: not a tokenizer, or a name that stands twice in one object.
    """
    try:
        return Tokenizer.from_str(text), json.loads(text, object_pairs_hook=once)
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{path} is not a tokenizer.json of Hugging Face tokenizers: {error}") from None


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
    return encode_plainly(plain(tokenizer), documents)


def plain(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that spells out all of a text."""
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def encode_plainly(tokenizer: Tokenizer, documents: Iterable[str]) -> Encoded:
    """As `encode`, with a tokenizer that is `plain`."""
    dtype = np.uint16 if vocabulary_of(tokenizer).size <= 2**16 else np.int32
    tokens, lengths = [np.zeros(0, dtype)], [0]
    remaining = iter(documents)
    while chunk := list(itertools.islice(remaining, _CHUNK)):
        encodings = tokenizer.encode_batch_fast(chunk, add_special_tokens=False)
        tokens += [np.array(encoding.ids, dtype) for encoding in encodings]
        lengths += [len(encoding) for encoding in encodings]
    return Encoded(np.concatenate(tokens), np.cumsum(np.array(lengths, np.int64)))
