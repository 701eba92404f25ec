"""Measures whether a case could expose what it is made for; what could not is no proof, whatever it agrees on.

A case is adequate if, in the arrays as they are (not as they were meant to be):

- every case: tokens, positions and types are in range; there are two different tokens; some query sees a key; B and T
  differ from each other (batch-equals-length apart) and from every size of the model; with several token types, two
  occur.
- ragged: two different lengths, and padding on the right.
- holes: padding between tokens, and a mask that differs from its transpose and from one query of a row to another.
- left-padding: padding on the left, and positions that differ from the columns.
- one-token: a row with one token beside a row with several.
- fully-masked-row: a row without any, and a query that sees nothing although its position is seen.
- packed: two documents in a row that do not see each other, and a position 0 that is not at column 0.
- longer-than-window: for every window w, keys seen at the distances w and w + 1.
- batch-equals-length: B = T.
- low-variance: each of its tokens is seen, at one position and with one type.
- nan-padding: the poisoned token occurs, and never where it is seen.
"""

from collections.abc import Callable, Iterator

import numpy as np

from parity.cases.case import Case, Sizes


def inadequacies(case: Case, sizes: Sizes) -> tuple[str, ...]:
    """Why the case could not expose what it is made for; empty if it could."""
    return (*_general(case, sizes), *_SPECIAL[case.name](case, sizes))


def _general(case: Case, sizes: Sizes) -> Iterator[str]:
    bounds = {
        "token": (case.tokens_BT, sizes.vocab_size),
        "position": (case.positions_BT, sizes.max_len),
        "token type": (case.token_types_BT, sizes.num_token_types),
    }
    for what, (array, size) in bounds.items():
        if array is not None and (array.min() < 0 or array.max() >= size):
            yield f"a {what} is outside 0 to {size - 1}"
    if np.unique(case.tokens_BT[case.seen_BS]).size < 2:
        yield "fewer than two different tokens are seen"
    types = case.token_types_BT
    if types is not None and sizes.num_token_types > 1 and np.unique(types[case.seen_BS]).size < 2:
        yield "fewer than two different token types are seen"
    for letter, size in zip("BT", case.tokens_BT.shape, strict=True):
        if size in sizes.model_sizes:
            yield f"{letter} = {size} is also a size of the model: swapped axes would go unnoticed"
    if case.name != "batch-equals-length" and len(set(case.tokens_BT.shape)) == 1:
        yield f"B = T = {case.tokens_BT.shape[0]}: swapped axes would go unnoticed"


def _ragged(case: Case, sizes: Sizes) -> Iterator[str]:
    if np.unique(case.seen_BS.sum(axis=1)).size < 2:
        yield "all rows have one length"
    if case.seen_BS[:, -1].all():
        yield "no row is padded on the right"


def _holes(case: Case, sizes: Sizes) -> Iterator[str]:
    seen_BS, mask_BTS = case.seen_BS, case.mask_BTS
    if not (seen_BS[:, :-2] & ~seen_BS[:, 1:-1] & seen_BS[:, 2:]).any():
        yield "no padding lies between tokens"
    if (mask_BTS == mask_BTS.swapaxes(1, 2)).all():
        yield "the mask equals its transpose"
    attending = mask_BTS[0][mask_BTS[0].any(axis=1)]
    if (attending == attending[:1]).all():
        yield "all queries of the first row see the same keys"


def _left_padding(case: Case, sizes: Sizes) -> Iterator[str]:
    if case.seen_BS[:, 0].all():
        yield "no row is padded on the left"
    columns = np.arange(case.tokens_BT.shape[1])[None]
    if case.positions_BT is None or (case.positions_BT == columns)[case.seen_BS].all():
        yield "every position is its column"


def _one_token(case: Case, sizes: Sizes) -> Iterator[str]:
    counts = case.seen_BS.sum(axis=1)
    if not ((counts == 1).any() and (counts > 1).any()):
        yield "no row with one token stands beside a row with several"


def _fully_masked_row(case: Case, sizes: Sizes) -> Iterator[str]:
    rows_B = case.seen_BS.any(axis=1)
    if rows_B.all() or not rows_B.any():
        yield "no row without any token stands beside a row with some"
    if not (case.seen_BS & ~case.mask_BTS.any(axis=2)).any():
        yield "no query that is seen sees nothing"


def _packed(case: Case, sizes: Sizes) -> Iterator[str]:
    apart_BTS = case.seen_BS[:, :, None] & case.seen_BS[:, None, :] & ~case.mask_BTS
    if not apart_BTS.any():
        yield "no two tokens of a row are kept apart"
    if case.positions_BT is None or not ((case.positions_BT == 0) & case.seen_BS)[:, 1:].any():
        yield "positions restart nowhere"


def _longer_than_window(case: Case, sizes: Sizes) -> Iterator[str]:
    steps = np.arange(case.tokens_BT.shape[1])
    distances = set(np.abs(steps[:, None] - steps)[case.mask_BTS.any(axis=0)].tolist())
    for window in sorted({window for window in sizes.windows if window is not None}):
        for distance in (window, window + 1):
            if distance not in distances:
                yield f"no query may attend to a key at distance {distance}, where a window of {window} shows"


def _batch_equals_length(case: Case, sizes: Sizes) -> Iterator[str]:
    if len(set(case.tokens_BT.shape)) != 1:
        yield f"B and T differ: {case.tokens_BT.shape}"


def _low_variance(case: Case, sizes: Sizes) -> Iterator[str]:
    for low in case.low_variance:
        where_BT = (case.tokens_BT == low.token) & case.seen_BS
        places = {int(column) for column in where_BT.nonzero()[1]}
        types = set() if case.token_types_BT is None else set(case.token_types_BT[where_BT].tolist())
        if len(places) != 1 or len(types) > 1:
            yield f"token {low.token} is seen at columns {sorted(places)} with types {sorted(types)}, must be at one"
    if not case.low_variance:
        yield "no token has a variance near epsilon"


def _nan_padding(case: Case, sizes: Sizes) -> Iterator[str]:
    poisoned_BT = case.tokens_BT == case.poison
    if not poisoned_BT.any() or (poisoned_BT & case.seen_BS).any():
        yield f"the poisoned token, {case.poison}, must occur, at padding only"


_SPECIAL: dict[str, Callable[[Case, Sizes], Iterator[str]]] = {
    "ragged": _ragged,
    "holes": _holes,
    "left-padding": _left_padding,
    "one-token": _one_token,
    "fully-masked-row": _fully_masked_row,
    "packed": _packed,
    "longer-than-window": _longer_than_window,
    "batch-equals-length": _batch_equals_length,
    "low-variance": _low_variance,
    "nan-padding": _nan_padding,
}
