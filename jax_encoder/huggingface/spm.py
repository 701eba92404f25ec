"""SentencePiece's models, as far as transformers' classes make tokenizers of them: a table of pieces with their scores.

References: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto, and
`transformers/convert_slow_tokenizer.py`, version 5.23.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tokenizers import AddedToken, Tokenizer, decoders, models

_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
_UNIGRAM = 1
Vocabulary = list[tuple[str, float]]


class Piece(NamedTuple):
    """One entry of a model's table."""

    text: str = ""
    score: float = 0.0
    kind: int = _NORMAL


class Pieces(NamedTuple):
    """What a model's file holds.

    Attributes:
        table: in the order of its ids.
        unknown: number of the piece that stands for what is in none.
        charsmap: how characters are replaced first; None replaces none.
    """

    table: tuple[Piece, ...]
    unknown: int
    charsmap: bytes | None

    @property
    def scored(self) -> Vocabulary:
        """Every piece with its score."""
        return [(piece.text, piece.score) for piece in self.table]


def tokenizer_of_pieces(path: Path, layout: str, spelled: Mapping[str, str]) -> tuple[Tokenizer, bytes | None]:
    """A tokenizer of a model's pieces, and the model's table of characters.

    Args:
        path: of the model.
        layout: which of `LAYOUTS` the class has.
        spelled: role -> special token.

    Raises:
        ValueError: no such model, or one that does not choose the likeliest pieces.
    """
    pieces = read_pieces(path.read_bytes())
    vocabulary, unknown = LAYOUTS[layout](pieces, spelled)
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=unknown, byte_fallback=False))
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    own = [piece for piece in pieces.table if piece.kind in (_CONTROL, _USER_DEFINED)]
    own = [piece for piece in own if piece.text not in spelled.values()]
    tokenizer.add_tokens([AddedToken(one.text, normalized=False, special=one.kind == _CONTROL) for one in own])
    return tokenizer, pieces.charsmap


def read_pieces(content: bytes) -> Pieces:
    """A model's file, read. Raises ValueError if it is none, or its pieces are merged and not scored."""
    table: list[Piece] = []
    unknown, kind, charsmap = 0, _UNIGRAM, b""
    for number, value in _fields(content):
        if number == 1:
            table.append(_piece(_message(value)))
        elif number == 2:
            trained = dict(_fields(_message(value)))
            kind, unknown = _number(trained.get(3, _UNIGRAM)), _number(trained.get(40, 0))
        elif number == 3:
            charsmap = _message(dict(_fields(_message(value))).get(2, b""))
    if not table:
        raise ValueError("it holds no pieces")
    if kind != _UNIGRAM:
        raise ValueError("only models of the kind unigram are read here")
    return Pieces(tuple(table), unknown, charsmap or None)


def _piece(content: bytes) -> Piece:
    found = dict(_fields(content))
    score = struct.unpack("<f", _message(found[2]))[0] if 2 in found else 0.0
    return Piece(_message(found.get(1, b"")).decode("utf-8"), score, _number(found.get(3, _NORMAL)))


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("a message stands where a number should")
    return value


def _message(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number stands where a message should")
    return value


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message in protobuf's encoding: https://protobuf.dev/programming-guides/encoding"""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        if key & 7 == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if key & 7 not in (1, 2, 5):
            raise ValueError(f"a field of the kind {key & 7} stands at byte {at}")
        size = {1: 8, 5: 4}.get(key & 7)
        if size is None:
            size, at = _varint(content, at)
        if at + size > len(content):
            raise ValueError(f"the file ends within a field that begins at byte {at}")
        yield key >> 3, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number that says by itself where it ends, and what follows it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        value |= (content[at] & 127) << shift
        at += 1
        if not content[at - 1] & 128:
            return value, at
    raise ValueError(f"a number has no end at byte {at}")


def _xlm_roberta(pieces: Pieces, spelled: Mapping[str, str]) -> tuple[Vocabulary, int]:
    special = [(spelled[role], 0.0) for role in ("bos", "pad", "eos", "unk")]
    return [*special, *pieces.scored[3:], (spelled["mask"], 0.0)], 3


def _camembert(pieces: Pieces, spelled: Mapping[str, str]) -> tuple[Vocabulary, int]:
    unused = [("<s>NOTUSED", 0.0), (spelled["pad"], 0.0), ("</s>NOTUSED", 0.0), (spelled["unk"], 0.0)]
    return [*unused, ("<unk>NOTUSED", -100.0), *pieces.scored[1:], (spelled["mask"], 0.0)], 3


def _albert(pieces: Pieces, spelled: Mapping[str, str]) -> tuple[Vocabulary, int]:
    return pieces.scored, 1


def _deberta(pieces: Pieces, spelled: Mapping[str, str]) -> tuple[Vocabulary, int]:
    unknown = (spelled["unk"], 0.0)
    return pieces.scored, pieces.scored.index(unknown) if unknown in pieces.scored else pieces.unknown


LAYOUTS: dict[str, Callable[[Pieces, Mapping[str, str]], tuple[Vocabulary, int]]] = {
    "xlm-roberta": _xlm_roberta,
    "camembert": _camembert,
    "albert": _albert,
    "deberta": _deberta,
}
