"""Text to ids word by word: what was cut once is looked up from then on.

A tokenizer cuts text at spaces before it does anything else, and a text has the same words over and over. Only where
the tokenizer's form says that words do not depend on one another; everything else goes to the tokenizer whole.
Axes: N tokens, W words, I documents.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64
from tokenizers import Tokenizer

from jax_encoder.data.tokenizer import Encoded, encode_plainly, plain, vocabulary_of

_MOST = 2**18  # words that are kept; with them all is forgotten
_BEFORE_WORD = re.compile(r"(?<=\S)(?= \S)")


class Words:
    """Encodes documents as `jax_encoder.data.tokenizer.encode` does, several times as fast.

    Args:
        tokenizer: any.
    """

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = plain(tokenizer)
        self._split = splitter(tokenizer)
        self._dtype = np.uint16 if vocabulary_of(tokenizer).size <= 2**16 else np.int32
        self._forget()

    def _forget(self) -> None:
        self._numbers: dict[str, int] = {}
        self._ids = [np.zeros(0, self._dtype)]
        self._ends = [0]

    def encode(self, documents: Sequence[str]) -> Encoded:
        """Turns documents into ids."""
        if self._split is None:
            return encode_plainly(self._tokenizer, documents)
        words: list[str] = []
        counts = []
        for document in documents:
            parts = self._split(document)
            words += parts
            counts.append(len(parts))
        self._learn(words)
        numbers_W = np.fromiter(map(self._numbers.__getitem__, words), np.int64, len(words))
        encoded = self._gather(numbers_W, np.cumsum([0, *counts]))
        if len(self._numbers) > _MOST or len(self._ids[0]) > 16 * _MOST:
            self._forget()
        return encoded

    def _learn(self, words: Sequence[str]) -> None:
        """Cuts those words that are new."""
        new = [word for word in dict.fromkeys(words) if word not in self._numbers]
        encoded = encode_plainly(self._tokenizer, new)
        self._numbers.update(zip(new, range(len(self._numbers), len(self._numbers) + len(new)), strict=True))
        self._ids = [np.concatenate([*self._ids, encoded.tokens])]
        self._ends += (self._ends[-1] + encoded.starts[1:]).tolist()

    def _gather(self, numbers_W: Int64[np.ndarray, " W"], bounds: Int64[np.ndarray, " bounds"]) -> Encoded:
        """The ids of words, one behind the other; `bounds` are where documents begin and end in them."""
        ends = np.array(self._ends)
        first_W, lengths_W = ends[:-1][numbers_W], np.diff(ends)[numbers_W]
        places_W = np.concatenate([[0], np.cumsum(lengths_W)])
        offsets_N = np.arange(places_W[-1]) + np.repeat(first_W - places_W[:-1], lengths_W)
        return Encoded(self._ids[0][offsets_N], places_W[bounds])


def splitter(tokenizer: Tokenizer) -> Callable[[str], list[str]] | None:
    """How to cut a text into words that the tokenizer treats one by one; None where that is not known."""
    form = json.loads(tokenizer.to_str())
    if any(not token["special"] for token in form["added_tokens"]):
        return None  # they may hold spaces
    normalizers, steps = (_steps(form[name]) for name in ("normalizer", "pre_tokenizer"))
    kinds = [one["type"] for one in normalizers]
    if form["model"]["type"] == "WordPiece" and steps and steps[0]["type"] == "BertPreTokenizer":
        # Spaces end words and are gone; nothing is composed or ordered across one.
        return (lambda text: text.split(" ")) if set(kinds) <= {"BertNormalizer"} else None
    if form["model"]["type"] == "BPE" and [step["type"] for step in steps] == ["ByteLevel"]:
        regular = steps[0].get("use_regex", True) and not steps[0]["add_prefix_space"]
        alike = set(kinds) <= {"NFC"} and not form["model"].get("dropout")
        # A space belongs to the word behind it, where there is one of them.
        return _BEFORE_WORD.split if regular and alike else None
    return None


def _steps(form: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A sequence of normalizers or pre-tokenizers, or the one that there is."""
    if form is None:
        return []
    if form["type"] == "Sequence":
        return [step for part in form.get("normalizers", form.get("pretokenizers", [])) for step in _steps(part)]
    return [form]
