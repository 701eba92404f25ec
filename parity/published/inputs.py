"""The harness's cases as transformers can take them: padding that nobody sees, and no other mask.

Axes: B batch, T column, R documents, U columns of the longest, P documents that are pooled, D embed_dim, V vocabulary.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from parity.cases.case import Case, from_segments

# The others need masks or word tables of their own, which the reference gets.
CASES = (
    *("ragged", "holes", "left-padding", "one-token", "fully-masked-row"),
    *("packed", "longer-than-window", "batch-equals-length"),
)


class Documents(NamedTuple):
    """Every document in a row of its own; what a case packs starts at the first column there.

    Attributes:
        tokens, positions, token_types: of padding, whatever.
        valid: False at padding.
        rows, columns: where each document's tokens stand in the case, as long as `valid` is True, one after the other.
        row_R: the case's row of each document.
    """

    tokens: np.ndarray
    positions: np.ndarray | None
    token_types: np.ndarray | None
    valid: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    row_R: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Inputs:
    """One case.

    Attributes:
        case: with the mask that transformers can have; documents that share a row do not see each other.
        valid_BT: False at padding.
        alone: the documents as transformers is given them, one to a row where the case packs several.
        packed: whether it does.
        labels_BT: what tokens are or belong to; -100 does not count.
        classes_B: what rows belong to.
        spans_B2: first and last column of an answer.
    """

    case: Case
    valid_BT: np.ndarray
    alone: Documents
    packed: bool
    labels_BT: np.ndarray
    classes_B: np.ndarray
    spans_B2: np.ndarray

    @classmethod
    def of(cls, case: Case, config: EncoderConfig, *, pad: int, num_labels: int) -> "Inputs":
        """Draws what the losses need; equal arguments give equal inputs.

        Args:
            case: one of CASES.
            config: of the encoder.
            pad: the padding token, which then stands at no token's place.
            num_labels: labels and classes are below it.
        """
        rng = np.random.default_rng(case.tokens_BT.size)
        segments_BT = case.segments_BT
        if segments_BT is None:
            segments_BT = case.seen_BS.astype(np.int32)
        valid_BT = segments_BT > 0
        tokens_BT = np.where(valid_BT & (case.tokens_BT == pad), pad + 1, case.tokens_BT).astype(np.int32)
        tokens_BT = np.where(valid_BT, tokens_BT, pad).astype(np.int32)
        if config.dropped_token is not None:
            word = next(token for token in range(config.vocab_size) if token not in (config.dropped_token, pad))
            tokens_BT = np.where(_only(config.dropped_token, tokens_BT, segments_BT), word, tokens_BT).astype(np.int32)
        made = dataclasses.replace(
            case, tokens_BT=tokens_BT, mask_BTS=from_segments(segments_BT), segments_BT=segments_BT
        )
        packed = bool((segments_BT > 1).any())
        labels_BT = rng.integers(0, num_labels, valid_BT.shape)
        labels_BT = np.where(valid_BT & (rng.random(valid_BT.shape) < 0.7), labels_BT, -100)
        labels_BT[0, 0] = 1
        last_B = np.array([np.flatnonzero(row)[-1] if row.any() else 0 for row in valid_BT])
        first_B = np.array([np.flatnonzero(row)[0] if row.any() else 0 for row in valid_BT])
        alone = _documents(made) if packed else _as_it_is(made, valid_BT)
        classes_B = rng.integers(0, num_labels, len(valid_BT))
        return cls(made, valid_BT, alone, packed, labels_BT, classes_B, np.stack([first_B, last_B], axis=1))

    @property
    def labels_RU(self) -> np.ndarray:
        """The tokens' labels as transformers is given them."""
        labels_RU = np.full(self.alone.valid.shape, -100)
        labels_RU[self.alone.valid] = self.labels_BT[self.alone.rows, self.alone.columns]
        return labels_RU

    def pooled(self, classes: ClassifierConfig | None) -> tuple[np.ndarray, np.ndarray]:
        """Documents that have a vector in both, [P], and the case's row of each, [P].

        We average a row, or take its first column; transformers takes the first column even where that is padding.
        """
        row_R, valid_RU = self.alone.row_R, self.alone.valid
        if classes is not None and classes.pooling in ("mean", "late"):
            documents = np.flatnonzero(np.bincount(row_R)[row_R] == 1)
        else:
            first_R = np.append(0, np.cumsum(valid_RU.sum(axis=1))[:-1])
            documents = np.flatnonzero(valid_RU[:, 0] & (self.alone.columns[first_R] == 0))
        return documents, row_R[documents]

    @property
    def full(self) -> bool:
        """Whether there is no padding, and every row is one document."""
        return bool(self.valid_BT.all()) and not self.packed


def _only(token: int, tokens_BT: np.ndarray, segments_BT: np.ndarray) -> np.ndarray:
    """Where documents hold nothing but a token, [B, T]; if it is dropped, transformers divides 0 by 0 there."""
    same_BTS = segments_BT[:, :, None] == segments_BT[:, None, :]
    return (segments_BT > 0) & ~(same_BTS & (tokens_BT != token)[:, None, :]).any(axis=2)


def _as_it_is(case: Case, valid_BT: np.ndarray) -> Documents:
    """Without rows of nothing but padding: a mean over them is 0 / 0 in transformers, and its gradient reaches all."""
    rows, columns = np.nonzero(valid_BT)
    row_R = np.unique(rows)
    positions, token_types = (None if a is None else a[row_R] for a in (case.positions_BT, case.token_types_BT))
    return Documents(case.tokens_BT[row_R], positions, token_types, valid_BT[row_R], rows, columns, row_R)


def _documents(case: Case) -> Documents:
    """Unpacks the rows."""
    assert case.segments_BT is not None, "packed rows have segments"
    places = [
        (row, np.flatnonzero(case.segments_BT[row] == segment))
        for row in range(len(case.segments_BT))
        for segment in np.unique(case.segments_BT[row][case.segments_BT[row] > 0])
    ]
    width = max(len(columns) for _, columns in places)
    valid_RU = np.arange(width)[None] < np.array([len(columns) for _, columns in places])[:, None]
    rows = np.concatenate([np.full(len(columns), row) for row, columns in places])
    columns = np.concatenate([columns for _, columns in places])

    def unpacked(array_BT: np.ndarray | None) -> np.ndarray | None:
        if array_BT is None:
            return None
        array_RU = np.zeros(valid_RU.shape, array_BT.dtype)
        array_RU[valid_RU] = array_BT[rows, columns]
        return array_RU

    tokens = unpacked(case.tokens_BT)
    assert tokens is not None
    positions, token_types = unpacked(case.positions_BT), unpacked(case.token_types_BT)
    return Documents(tokens, positions, token_types, valid_RU, rows, columns, np.array([row for row, _ in places]))
