"""Texts side by side in rows of few widths, so that an encoder computes hardly any padding and compiles few programs.

Unlike packed rows for training, these keep track of whose tokens lie where, and a text is never cut here.
Axes: I texts, N tokens, B rows, T columns, P pieces (texts of one batch).
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64
from tokenizers import Tokenizer

# In rows of this width a token costs no more than in rows of 16; in rows twice as wide, a tenth more (all-MiniLM-L6
# on a CPU). Sentences padded to multiples of 8 are a fifth padding, and each length is a program to compile.
USUAL_WIDTH = 64
# A CPU's products add up in one order for every number of tokens that is a multiple of the usual width, up to this many
# and somewhat more; in batches of 4,096, or of 96, a text would get other bits.
ROWS_OF_ONE_ORDER = 32
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

    Batches of one width have one number of rows, but for the last; what is missing there is padding.

    Args:
        tokens: no text has more than `longest`.
        longest: of the texts that may come.
        batch_size: at most so many rows of `USUAL_WIDTH` in a batch; of wider ones fewer, so that their tokens are
            not more. Those of a batch are a multiple of that width, whatever comes.
    """
    planned = plan(np.diff(tokens.starts), longest=longest)
    for width in sorted(planned, reverse=True):
        rows, step = planned[width], math.lcm(width, USUAL_WIDTH) // width
        most = max(1, batch_size * USUAL_WIDTH // width // step)
        for start, size in _shared_out(-(-len(rows) // step), most):
            yield _batch(tokens, rows[start * step : (start + size) * step], (size * step, width))


def plan(lengths_I: Int64[np.ndarray, " I"], *, longest: int) -> dict[int, list[Row]]:
    """Puts texts into rows whose width their own length decides, for a CPU's sums over rows of another width, or of a
    text that lies elsewhere in a wide one, differ in their last bits.

    Texts that fit into the usual width share rows of it: the longest first, and beside it the longest that still fit. A
    longer one has a row of its own, from the left.

    Returns:
        The rows by their widths, which are powers of 2 or half as much again.
    """
    widths, planned = _widths(longest), defaultdict[int, list[Row]](list)
    stock: defaultdict[int, Row] = defaultdict(list)
    for text in range(len(lengths_I) - 1, -1, -1):
        if lengths_I[text]:
            stock[int(lengths_I[text])].append(text)
    ascending = sorted(stock)
    for length in reversed(ascending):
        if length > widths[0]:
            planned[widths[bisect_left(widths, length)]] += [[text] for text in reversed(stock.pop(length))]
    ascending = sorted(stock)
    while ascending:
        content = _content(stock, ascending, widths[0])
        for _ in range(min(len(stock[length]) // number for length, number in content.items())):
            planned[widths[0]].append(
                [stock[length].pop() for length, number in content.items() for _ in range(number)]
            )
        ascending = [length for length in ascending if stock[length]]
    return dict(planned)


def _widths(longest: int) -> list[int]:
    widths, width = [], USUAL_WIDTH
    while width < longest:
        widths += [width, width * 3 // 2]
        width *= 2
    return [*widths, width]


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


def _shared_out(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Where each batch starts and its size: all that can be of the largest, and the rest of one of a few sizes, for a
    program is compiled for each, and each row too many computed."""
    for start in range(0, count - most + 1, most):
        yield start, most
    if rest := count % most:
        power = 1
        while power < rest:
            power *= 2
        yield count - rest, min(most, power * 3 // 4 if power >= 4 and power * 3 // 4 >= rest else power)


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
