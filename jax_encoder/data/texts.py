"""Texts side by side in rows of few widths, so that an encoder computes hardly any padding and compiles few programs.

Unlike packed rows for training, these keep track of whose tokens lie where, and a text is never cut here.
Axes: I texts, N tokens, B rows, T columns, P pieces (texts of one batch).
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64
from tokenizers import Tokenizer

# In rows of this width a token costs no more than in rows of 16; in rows twice as wide, a tenth more (all-MiniLM-L6
# on a CPU). Sentences padded to multiples of 8 are a fifth padding, and each length is a program to compile.
USUAL_WIDTH = 64
# Texts that fit into a row of the usual width may share one of this width, where that leaves less empty.
_SHARED_WIDTH = 2 * USUAL_WIDTH
# Where everything fits into one row, it need not be wider.
_LEAST_WIDTH = 16
# A row as full as this is not improved upon by another width, which would be another program to compile.
_FULL = 0.9
# Texts that a row may hold: single words, with a token before and one behind, fill the usual width.
TEXTS_PER_ROW = USUAL_WIDTH // 2
_CHUNK = 4096  # texts; enough to keep all cores busy, few enough that the library's own objects stay small


class Tokens(NamedTuple):
    """Texts as ids, end to end, special tokens included; text i is `ids[starts[i]:starts[i + 1]]`."""

    ids: Int32[np.ndarray, " N"]
    types: Int32[np.ndarray, " N"]
    starts: Int64[np.ndarray, " starts"]


class Batch(NamedTuple):
    """Rows of one width, and where each text lies in them.

    Attributes:
        ids, types: 0 at padding.
        segments: number each row's texts 1, 2, ... from the left; 0 is padding, always at the end.
        texts: whose tokens these are.
        rows: the row of each.
        segment: its number there.
    """

    ids: Int32[np.ndarray, "B T"]
    types: Int32[np.ndarray, "B T"]
    segments: Int32[np.ndarray, "B T"]
    texts: Int64[np.ndarray, " P"]
    rows: Int64[np.ndarray, " P"]
    segment: Int64[np.ndarray, " P"]


Row = list[int]  # texts from left to right


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> Tokens:
    """Turns texts into ids, with the tokenizer's special tokens and truncation; it must not pad."""
    ids, types, lengths = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [0]
    for start in range(0, len(texts), _CHUNK):
        encodings = tokenizer.encode_batch_fast(texts[start : start + _CHUNK])
        ids += [np.array(encoding.ids, np.int32) for encoding in encodings]
        types += [np.array(encoding.type_ids, np.int32) for encoding in encodings]
        lengths += [len(encoding) for encoding in encodings]
    return Tokens(np.concatenate(ids), np.concatenate(types), np.cumsum(np.array(lengths, np.int64)))


def batches(tokens: Tokens, *, longest: int, batch_size: int) -> Iterator[Batch]:
    """Yields rows that together hold every text of at least one token once, the widest first.

    Batches of one width have one number of rows; what is missing in the last is padding.

    Args:
        tokens: no text has more than `longest`.
        longest: no row is wider.
        batch_size: at most so many rows of `USUAL_WIDTH` in a batch; of wider ones fewer, so that their tokens are
            not more.
    """
    planned = plan(np.diff(tokens.starts), longest=longest)
    for width in sorted(planned, reverse=True):
        rows = planned[width]
        size = _rows_at_once(len(rows), max(1, batch_size * USUAL_WIDTH // width))
        for start in range(0, len(rows), size):
            yield _batch(tokens, rows[start : start + size], (size, width))


def plan(lengths_I: Int64[np.ndarray, " I"], *, longest: int) -> dict[int, list[Row]]:
    """Puts texts into rows: the longest first, in the narrowest row for it, and beside it the longest that still fit.

    Returns:
        The rows by their widths, which are powers of 2, or `longest`.
    """
    stock: defaultdict[int, Row] = defaultdict(list)
    for text in range(len(lengths_I) - 1, -1, -1):
        if lengths_I[text]:
            stock[int(lengths_I[text])].append(text)
    widths, ascending = _widths(int(lengths_I.sum()), longest), sorted(stock)
    planned: defaultdict[int, list[Row]] = defaultdict(list)
    while ascending:
        width, content = _best(stock, ascending, widths)
        for _ in range(min(len(stock[length]) // number for length, number in content.items())):
            planned[width].append([stock[length].pop() for length, number in content.items() for _ in range(number)])
        ascending = [length for length in ascending if stock[length]]
    return dict(planned)


def _widths(total: int, longest: int) -> list[int]:
    first = _LEAST_WIDTH
    while first < min(total, USUAL_WIDTH):
        first *= 2
    widths = []
    while first < longest:
        widths.append(first)
        first *= 2
    return [*widths, longest]


def _best(stock: dict[int, Row], ascending: list[int], widths: list[int]) -> tuple[int, dict[int, int]]:
    """The width of a row that holds the longest text, and how many texts of which lengths to put there."""
    fitting = [width for width in widths if width >= ascending[-1]]
    candidates = fitting[:1] + [width for width in fitting[1:] if width <= _SHARED_WIDTH]
    best, fullest = (0, dict[int, int]()), 0.0
    for width in candidates:
        content = _content(stock, ascending, width)
        full = sum(length * number for length, number in content.items()) / width
        if full > fullest:
            best, fullest = (width, content), full
        if full >= _FULL:
            break
    return best


def _content(stock: dict[int, Row], ascending: list[int], width: int) -> dict[int, int]:
    """How many texts of which lengths one row takes, the longest that fit first."""
    content, free, places = {}, width, TEXTS_PER_ROW
    index = bisect_right(ascending, free) - 1
    while index >= 0 and places:
        length = ascending[index]
        number = min(len(stock[length]), free // length, places)
        content[length], free, places = number, free - number * length, places - number
        index = bisect_right(ascending, free, hi=index) - 1
    return content


def _rows_at_once(count: int, most: int) -> int:
    """Shares rows out evenly, to one of a few sizes: a program is compiled for each, and each row too many computed."""
    even = -(-count // -(-count // most))
    if count > most:
        step = max(1, most // 8)
        return min(most, -(-even // step) * step)
    power = 1
    while power < even:
        power *= 2
    return min(most, power * 3 // 4 if power >= 4 and power * 3 // 4 >= even else power)


def _batch(tokens: Tokens, rows: list[Row], shape: tuple[int, int]) -> Batch:
    ids, types, segments = (np.zeros(shape, np.int32) for _ in range(3))
    places = []
    for row, texts in enumerate(rows):
        column = 0
        for segment, text in enumerate(texts, start=1):
            start, end = tokens.starts[text], tokens.starts[text + 1]
            columns = slice(column, column := column + int(end - start))
            ids[row, columns], types[row, columns] = tokens.ids[start:end], tokens.types[start:end]
            segments[row, columns] = segment
            places.append((text, row, segment))
    return Batch(ids, types, segments, *np.array(places, np.int64).T)
