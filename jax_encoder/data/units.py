"""What is hidden together: single tokens, whole words, or spans of words.

Axes: B batch, T column, K target.
References: whole words: the update of May 2019 in the code of Devlin et al. (2019); spans: Joshi et al. (2020), section
3.1, https://arxiv.org/abs/1907.10529
"""

import json
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer
from tokenizers import Tokenizer

Unit = Literal["tokens", "words", "spans"]

# A span ends after a word with the first of these, and after so many tokens at the latest.
_ENDS, _LONGEST = 0.2, 10
# What a token begins with where it begins a word: in byte pairs, in SentencePiece's models.
_BEGINNINGS = ("Ġ", "▁")


def continuing(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Ids of the tokens that go on with the word before them, ascending; none where a tokenizer does not tell."""
    model = json.loads(tokenizer.to_str())["model"]
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    prefix = model.get("continuing_subword_prefix")
    if prefix:
        return tuple(sorted(id_ for token, id_ in vocabulary.items() if token.startswith(prefix)))
    told = any(token.startswith(_BEGINNINGS) for token in vocabulary)
    return tuple(sorted(id_ for token, id_ in vocabulary.items() if told and not token.startswith(_BEGINNINGS)))


def units_of(
    unit: Unit,
    goes_on_BT: Bool[np.ndarray, "B T"],
    segments_BT: Integer[np.ndarray, "B T"],
    maskable_BT: Bool[np.ndarray, "B T"],
    ends_BT: Float64[np.ndarray, "B T"],
) -> Int64[np.ndarray, "B T"]:
    """The column at which each column's unit begins.

    Args:
        unit: what is hidden together.
        goes_on_BT: tokens that go on with a word.
        segments_BT: documents, none of which shares a unit with another.
        maskable_BT: what can be hidden; nothing else is a part of a unit.
        ends_BT: even numbers from 0 to 1, which end spans.
    """
    columns_T = np.arange(segments_BT.shape[1])
    apart_BT = np.ones(segments_BT.shape, bool)
    apart_BT[:, 1:] = (segments_BT[:, 1:] != segments_BT[:, :-1]) | ~maskable_BT[:, :-1] | ~maskable_BT[:, 1:]
    begins_BT = apart_BT | ~goes_on_BT
    if unit == "spans":
        begins_BT = apart_BT | (begins_BT & (ends_BT < _ENDS))
        within_BT = columns_T - _last(begins_BT, columns_T)
        begins_BT = begins_BT | (within_BT % _LONGEST == 0)
    return _last(begins_BT, columns_T)


def whole_units(lots_BT: Float64[np.ndarray, "B T"], counts_B: Float64[np.ndarray, " B"]) -> Bool[np.ndarray, "B T"]:
    """Which of a row's columns, in the order of their lots, are hidden: as many whole units as fit into a count.

    Where the first does not fit, its beginning.

    Args:
        lots_BT: ascending; columns of one unit have the same.
        counts_B: how many columns at most.
    """
    columns_T = np.arange(lots_BT.shape[1])
    last_BT = np.ones(lots_BT.shape, bool)
    last_BT[:, :-1] = lots_BT[:, 1:] != lots_BT[:, :-1]
    ends_BT = np.minimum.accumulate(np.where(last_BT, columns_T + 1, len(columns_T))[:, ::-1], axis=1)[:, ::-1]
    fits_BT = ends_BT <= counts_B[:, None]
    return np.where(fits_BT.any(axis=1, keepdims=True), fits_BT, columns_T < counts_B[:, None])


def first_of_its_unit(units_BK: Int64[np.ndarray, "B K"]) -> Int64[np.ndarray, "B K"]:
    """The first of the targets, in order, that is of the same unit."""
    begins_BK = np.ones(units_BK.shape, bool)
    begins_BK[:, 1:] = units_BK[:, 1:] != units_BK[:, :-1]
    return _last(begins_BK, np.arange(units_BK.shape[1]))


def _last(begins_BT: Bool[np.ndarray, "B T"], columns_T: Int64[np.ndarray, " T"]) -> Int64[np.ndarray, "B T"]:
    """The last column up to here where something begins."""
    return np.maximum.accumulate(np.where(begins_BT, columns_T, 0), axis=1)
