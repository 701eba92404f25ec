"""Named inputs, each made so that a particular kind of mistake cannot go unnoticed. Data only: numpy, no model.

Axes: B batch, T query position, S key position. A mask is True where query t may attend to key s; a position that no
query may attend to is padding, and a query at padding attends to nothing.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

LEAST_BATCH, LEAST_LENGTH = 5, 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """What an input must fit.

    Attributes:
        batch: B, at least 5.
        length: T, at least 12, at most `max_len`.
        vocab_size: tokens are below it.
        max_len: positions are below it.
        num_token_types: token types are below it; 0 for a model that has none.
        windows: of every layer, None where it sees all.
        model_sizes: every other size of the model; one that equals B or T would hide swapped axes.
        seed: of all draws.
    """

    batch: int
    length: int
    vocab_size: int
    max_len: int
    num_token_types: int
    windows: tuple[int | None, ...]
    model_sizes: tuple[int, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < LEAST_BATCH or not LEAST_LENGTH <= self.length <= self.max_len:
            raise ValueError(
                f"cases need a batch of at least {LEAST_BATCH} and a length of {LEAST_LENGTH} to "
                f"max_len = {self.max_len}, got {self.batch} x {self.length}"
            )
        if self.vocab_size < 16:
            raise ValueError(f"cases need a vocabulary of at least 16 tokens, got {self.vocab_size}")


class LowVariance(NamedTuple):
    """A token whose embedding is nearly constant across channels: its norm depends on epsilon and on cancellation.

    Attributes:
        token: id, used at one position and with one token type only.
        variance: of the summed embedding, in units of the norm's epsilon.
        mean: of the summed embedding, in units of its standard deviation.
    """

    token: int
    variance: float
    mean: float


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """One input.

    Attributes:
        name: see CASE_NAMES.
        exposes: the mistakes that it is made for.
        tokens_BT: int32; at padding random, too.
        mask_BTS: bool.
        positions_BT: int32, or None: the column index.
        token_types_BT: int32, or None: all 0, or a model without.
        segments_BT: int32, the document a token belongs to, 0 = padding; None if the mask is not "same document", or
            if positions are left out.
        low_variance: tokens that need a prepared word table; see `parity.cases.case.word_table`.
        poison: a token at padding only, whose row of the word table is to hold NaN.
    """

    name: str
    exposes: str
    tokens_BT: np.ndarray
    mask_BTS: np.ndarray
    positions_BT: np.ndarray | None
    token_types_BT: np.ndarray | None
    segments_BT: np.ndarray | None
    low_variance: tuple[LowVariance, ...] = ()
    poison: int | None = None

    @property
    def seen_BS(self) -> np.ndarray:
        """True where some query may attend to the position: False is padding."""
        return np.asarray(self.mask_BTS.any(axis=1))


def make_case(name: str, sizes: Sizes) -> Case:
    """Draws one of the cases; equal arguments give equal cases.

    All are (B, T) with positions and token types written out, so that one compiled program serves them, except
    batch-equals-length: (B, B), both left out.

    Raises:
        KeyError: no such case.
    """
    return _MAKERS[name](name, sizes)


def from_segments(segments_BT: np.ndarray) -> np.ndarray:
    """The mask of packed documents: queries see their own document; padding, 0, neither sees nor is seen."""
    return (segments_BT[:, :, None] == segments_BT[:, None, :]) & (segments_BT != 0)[:, :, None]


def _draw(name: str, sizes: Sizes) -> np.random.Generator:
    return np.random.default_rng((sizes.seed, CASE_NAMES.index(name)))


def _base(name: str, exposes: str, sizes: Sizes, segments_BT: np.ndarray) -> Case:
    """Random tokens and types under the mask of `segments_BT`, positions by column."""
    rng, shape = _draw(name, sizes), segments_BT.shape
    return Case(
        name=name,
        exposes=exposes,
        tokens_BT=rng.integers(0, sizes.vocab_size, shape, np.int32),
        mask_BTS=from_segments(segments_BT),
        positions_BT=np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape).copy(),
        token_types_BT=rng.integers(0, sizes.num_token_types, shape, np.int32) if sizes.num_token_types else None,
        segments_BT=segments_BT,
    )


def _columns(length: int) -> np.ndarray:
    return np.arange(length)[None, :]


def _lengths(batch: int, length: int) -> np.ndarray:
    """Every row's number of tokens, as a column: the first row is full, every later one shorter, down to 2."""
    return np.linspace(length, 2, batch).astype(int)[:, None]


def _ragged_segments(batch: int, length: int) -> np.ndarray:
    return (_columns(length) < _lengths(batch, length)).astype(np.int32)


def _ragged(name: str, sizes: Sizes) -> Case:
    exposes = "a mask that is ignored, inverted, added as it is, or applied after the softmax"
    return _base(name, exposes, sizes, _ragged_segments(sizes.batch, sizes.length))


def _holes(name: str, sizes: Sizes) -> Case:
    exposes = "a mask that is transposed, taken from one query for all, or reduced to a length"
    segments_BT = np.ones((sizes.batch, sizes.length), np.int32)
    segments_BT[:, 2::5] = 0
    segments_BT[0, 1] = 0
    case = _base(name, exposes, sizes, segments_BT)
    keep_BTS = np.random.default_rng((sizes.seed, len(CASE_NAMES))).random(case.mask_BTS.shape) < 0.6
    keep_BTS |= np.eye(sizes.length, dtype=bool)[None]
    return dataclasses.replace(case, mask_BTS=case.mask_BTS & keep_BTS, segments_BT=None)


def _left_padding(name: str, sizes: Sizes) -> Case:
    exposes = "padding taken to be on the right, and positions taken from the column"
    start_B1 = sizes.length - _lengths(sizes.batch, sizes.length)
    case = _base(name, exposes, sizes, (_columns(sizes.length) >= start_B1).astype(np.int32))
    positions_BT = np.maximum(_columns(sizes.length) - start_B1, 0).astype(np.int32)
    return dataclasses.replace(case, positions_BT=positions_BT)


def _one_token(name: str, sizes: Sizes) -> Case:
    exposes = "a softmax over one key, and what divides by a length less one"
    segments_BT = _ragged_segments(sizes.batch, sizes.length)
    segments_BT[1:, 1:] = 0
    segments_BT[2, :2] = 0, 1
    return _base(name, exposes, sizes, segments_BT)


def _fully_masked_row(name: str, sizes: Sizes) -> Case:
    exposes = "NaN, or the mean of everything, where a query may attend to nothing"
    segments_BT = _ragged_segments(sizes.batch, sizes.length)
    segments_BT[1] = 0
    case = _base(name, exposes, sizes, segments_BT)
    mask_BTS = case.mask_BTS.copy()
    mask_BTS[0, 3] = False  # a query that sees nothing although others see its position
    return dataclasses.replace(case, mask_BTS=mask_BTS, segments_BT=None)


def _packed(name: str, sizes: Sizes) -> Case:
    exposes = "attention across documents that share a row, and positions that do not restart"
    columns, first_B1 = _columns(sizes.length), (3 + np.arange(sizes.batch) % 3)[:, None]
    second_B1 = first_B1 + sizes.length // 3
    segments_BT = 1 + (columns >= first_B1).astype(np.int32) + (columns >= second_B1)
    segments_BT[1::2, -2:] = 0
    case = _base(name, exposes, sizes, segments_BT)
    start_BT = np.where(columns >= second_B1, second_B1, np.where(columns >= first_B1, first_B1, 0))
    return dataclasses.replace(case, positions_BT=(columns - start_BT).astype(np.int32))


def _longer_than_window(name: str, sizes: Sizes) -> Case:
    exposes = "a window that is off by one, one-sided or missing, and rotations that only far keys feel"
    return _base(name, exposes, sizes, np.ones((sizes.batch, sizes.length), np.int32))


def _batch_equals_length(name: str, sizes: Sizes) -> Case:
    exposes = "axes that only their different sizes kept apart, and left-out positions and token types"
    case = _base(name, exposes, sizes, _ragged_segments(sizes.batch, sizes.batch))
    return dataclasses.replace(case, positions_BT=None, token_types_BT=None, segments_BT=None)


# Variance in units of epsilon, mean in units of the standard deviation. A mean of 3,000 is where the mean of squares
# loses enough digits to be told (2e-10 and more) while another order of summation loses few (1e-12 at most). How many
# it is, is chance: so there are several.
_MOMENTS = ((0.25, 0.0), (1.0, 0.0), (4.0, 0.0), (4.0, 3e3), (5.0, -3e3), (6.0, 3e3), (7.0, -3e3), (8.0, 3e3))


def _low_variance(name: str, sizes: Sizes) -> Case:
    exposes = "another epsilon, epsilon in another place, and a variance from the mean of squares"
    case = _base(name, exposes, sizes, _ragged_segments(sizes.batch, sizes.length))
    low = tuple(LowVariance(sizes.vocab_size - 1 - i, *moments) for i, moments in enumerate(_MOMENTS))
    tokens_BT = case.tokens_BT % (sizes.vocab_size - len(low))
    tokens_BT[:2, 1 : 1 + len(low)] = [one.token for one in low]
    types_BT = None if case.token_types_BT is None else case.token_types_BT.copy()
    if types_BT is not None:
        types_BT[:2] = types_BT[0]
    return dataclasses.replace(case, tokens_BT=tokens_BT, token_types_BT=types_BT, low_variance=low)


def _nan_padding(name: str, sizes: Sizes) -> Case:
    exposes = "content of padding that reaches a token: NaN times a weight of 0 is NaN"
    case = _base(name, exposes, sizes, _ragged_segments(sizes.batch, sizes.length))
    poison = sizes.vocab_size - 1
    tokens_BT = np.where(case.seen_BS, case.tokens_BT % poison, poison).astype(np.int32)
    return dataclasses.replace(case, tokens_BT=tokens_BT, poison=poison)


_MAKERS: dict[str, Callable[[str, Sizes], Case]] = {
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
CASE_NAMES = tuple(_MAKERS)
