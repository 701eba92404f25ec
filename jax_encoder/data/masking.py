"""Hides some tokens of a row and remembers what they were. A pure function of (seed, step), in fixed shapes.

Axes: B batch, T column, K target.
Reference: Devlin et al. (2019), section 3.1 and appendix A.1, https://arxiv.org/abs/1810.04805
"""

import dataclasses
import enum
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64, Integer

from jax_encoder.data.tokenizer import Vocabulary
from jax_encoder.data.units import Unit, first_of_its_unit, units_of, whole_units
from jax_encoder.errors import InputError

BERTS = (0.8, 0.1)  # of the targets are masked, and replaced; the rest stay as they are


class Batch(NamedTuple):
    """What one training step sees.

    Attributes:
        tokens: ids, some of them hidden.
        segments: 0 for padding, 1, 2, ... for the documents of a row.
        positions: counted from 0 in every document; 0 at padding.
        targets: columns to predict, ascending. Filler, at the end, is 0 here and in labels.
        labels: the ids that were there.
        weights: 1 for a target, 0 for filler.
    """

    tokens: Int32[np.ndarray, "B T"]
    segments: Int32[np.ndarray, "B T"]
    positions: Int32[np.ndarray, "B T"]
    targets: Int32[np.ndarray, "B K"]
    labels: Int32[np.ndarray, "B K"]
    weights: Float32[np.ndarray, "B K"]


@dataclasses.dataclass(frozen=True)
class Share:
    """Which rows of a batch a process makes: of `count` equal parts, the one with this index."""

    index: int = 0
    count: int = 1

    def of(self, rows: int) -> slice:
        """The part of a batch of so many rows."""
        size = rows // self.count
        return slice(self.index * size, (self.index + 1) * size)


WHOLE = Share()


@dataclasses.dataclass(frozen=True)
class Masking:
    """How much to hide, and what with.

    Attributes:
        vocabulary: its special tokens, the unknown one included, are never hidden and never put in.
        rate: share of a row's other tokens to predict, above 0 and below 1.
        unit: what is hidden together.
        shares: of the targets that are masked, and of those that another token is put in for; the rest stay.
        continuing: ids that go on with the word before them.

    Raises:
        InputError: `rate` is out of range.
    """

    vocabulary: Vocabulary
    rate: float
    unit: Unit = "tokens"
    shares: tuple[float, float] = BERTS
    continuing: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise InputError(f"the mask rate must be above 0 and below 1, got {self.rate}")

    def budget(self, row_length: int) -> int:
        """K: as many targets as a row of `row_length` can ever have."""
        return max(1, round(self.rate * row_length))

    @cached_property
    def replacements(self) -> Int32[np.ndarray, " V"]:
        """Ids that may be put in for a token."""
        return np.setdiff1d(np.arange(self.vocabulary.size, dtype=np.int32), self.vocabulary.special)


class Stream(enum.IntEnum):
    """What randomness is for. The same seed gives unrelated numbers in each."""

    ORDER = 0
    TRAINING_MASKS = 1
    EVALUATION_ORDER = 2
    EVALUATION_MASKS = 3


def generator(seed: int, stream: Stream, index: int) -> np.random.Generator:
    """Random numbers that depend on these three alone, by a counter-based generator (Salmon et al. 2011).

    Args:
        seed: of the run, at least 0 and below 2^64.
        stream: what for; never meets another stream's numbers.
        index: step or epoch.
    """
    # Words of the key and of the counter, not a sum or a hash: distinct arguments cannot collide.
    key, counter = np.array([seed, index], np.uint64), np.array([0, 0, 0, stream], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def mask_tokens(
    tokens_BT: Integer[np.ndarray, "B T"],
    segments_BT: Integer[np.ndarray, "B T"],
    masking: Masking,
    rng: np.random.Generator,
    share: Share = WHOLE,
) -> Batch:
    """Chooses targets evenly among a row's tokens; masks, replaces or leaves them, by BERT's shares if no others are.

    Every row gets `rate` times its maskable tokens, rounded, and at least one if it has any: fixed counts make for a
    steadier loss than independent draws, and never exceed the budget. Words and spans are hidden whole, as many as fit
    into that count; the tokens of a span all have one fate.

    Args:
        tokens_BT: packed rows.
        segments_BT: 0 for padding.
        masking: how much and what with.
        rng: used up by this call.
        share: which rows of the batch these are; they get the targets that they would get with all others beside them.
    """
    tokens_BT, segments_BT = tokens_BT.astype(np.int32), segments_BT.astype(np.int32)
    lots_BT = _drawn(rng, tokens_BT.shape, share)
    maskable_BT = (segments_BT != 0) & ~np.isin(tokens_BT, masking.vocabulary.special)
    units_BT = np.broadcast_to(np.arange(tokens_BT.shape[1]), tokens_BT.shape)
    if masking.unit != "tokens":
        goes_on_BT, ends_BT = np.isin(tokens_BT, masking.continuing), _drawn(rng, tokens_BT.shape, share)
        units_BT = units_of(masking.unit, goes_on_BT, segments_BT, maskable_BT, ends_BT)
        lots_BT = np.take_along_axis(lots_BT, units_BT, axis=1)
    targets_BK, real_BK = _choose(maskable_BT, masking, lots_BT)
    labels_BK = np.where(real_BK, np.take_along_axis(tokens_BT, targets_BK, axis=1), 0)
    fate_BK = _drawn(rng, real_BK.shape, share)
    if masking.unit == "spans":
        whose_BK = np.where(real_BK, np.take_along_axis(units_BT, targets_BK, axis=1), -1)
        fate_BK = np.take_along_axis(fate_BK, first_of_its_unit(whose_BK), axis=1)
    whole = len(real_BK) * share.count
    replacements_BK = rng.choice(masking.replacements, size=(whole, real_BK.shape[1]))[share.of(whole)]
    masked, replaced = masking.shares
    kept_BK = np.where(fate_BK < masked + replaced, replacements_BK, labels_BK)
    inputs_BK = np.where(fate_BK < masked, masking.vocabulary.mask, kept_BK)
    tokens_BT[np.nonzero(real_BK)[0], targets_BK[real_BK]] = inputs_BK[real_BK]
    return Batch(
        tokens=tokens_BT,
        segments=segments_BT,
        positions=_positions(segments_BT),
        targets=targets_BK.astype(np.int32),
        labels=labels_BK.astype(np.int32),
        weights=real_BK.astype(np.float32),
    )


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], share: Share) -> Float64[np.ndarray, "B N"]:
    """Numbers for these rows, out of those for the whole batch: drawing is cheap, and no number depends on shares."""
    whole = shape[0] * share.count
    return rng.random((whole, shape[1]))[share.of(whole)]


def _choose(
    maskable_BT: Bool[np.ndarray, "B T"], masking: Masking, lots_BT: Float64[np.ndarray, "B T"]
) -> tuple[Int64[np.ndarray, "B K"], Bool[np.ndarray, "B K"]]:
    """Columns to predict, ascending, then zeros; and which of them are real."""
    T = maskable_BT.shape[1]
    K = masking.budget(T)
    available_B = maskable_BT.sum(axis=1)
    chosen_B = np.minimum(np.maximum(np.rint(masking.rate * available_B), 1), available_B)
    # Stable, so that a tie falls the same way on every processor.
    lots_BT = np.where(maskable_BT, lots_BT, 1)
    order_BT = np.argsort(lots_BT, axis=1, kind="stable")
    real_BK = np.arange(K)[None, :] < chosen_B[:, None]
    if masking.unit != "tokens":
        real_BK = whole_units(np.take_along_axis(lots_BT, order_BT, axis=1), chosen_B)[:, :K]
    targets_BK = np.sort(np.where(real_BK, order_BT[:, :K], T), axis=1)
    real_BK = targets_BK < T
    return np.where(real_BK, targets_BK, 0), real_BK


def _positions(segments_BT: Int32[np.ndarray, "B T"]) -> Int32[np.ndarray, "B T"]:
    columns_T = np.arange(segments_BT.shape[1], dtype=np.int32)
    starts_BT = np.diff(segments_BT, axis=1, prepend=-1) != 0
    begun_BT = np.maximum.accumulate(np.where(starts_BT, columns_T[None, :], 0), axis=1)
    return np.where(segments_BT != 0, columns_T[None, :] - begun_BT, 0).astype(np.int32)


def original_tokens(batch: Batch) -> Int32[np.ndarray, "B T"]:
    """The tokens of a batch before any was hidden."""
    real_BK = batch.weights > 0
    tokens_BT = batch.tokens.copy()
    tokens_BT[np.nonzero(real_BK)[0], batch.targets[real_BK]] = batch.labels[real_BK]
    return tokens_BT
