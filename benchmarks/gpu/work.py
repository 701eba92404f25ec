"""What both sides are given to do: encoders, rows of tokens, and how many floating-point operations that takes.

Axes: R rows, T columns, K targets, V vocabulary; letters in the formula as in docs/encoder.md.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch, Masking, mask_tokens
from jax_encoder.data.packing import Rows, pack
from jax_encoder.data.tokenizer import Encoded, Vocabulary
from jax_encoder.errors import InputError

# Batches before the same rows come again.
_BATCHES = 4
_SPREAD = 0.8  # standard deviation of the logarithm of a document's length

FORMULA = """\
FLOP a step = 3 x forward; forward = sum over layers of
    2 n (2 D N H + 2 D G H)      projections of attention
  + 2 n D F x (3 gated, 2 dense) MLP
  + 4 N H p                      scores and context
  + 2 k (D E + E V)              head
n tokens that are not padding, k of them to predict, p pairs of query and key that attention joins: the sum of the
squared document lengths, in a layer with a window those within it. Padding, norms, softmax and optimizer count as 0."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """One training step to time.

    Attributes:
        name: what it is called.
        preset: of the encoder.
        row_length: T.
        rows: a step, where memory suffices.
        mask_rate: share of the tokens to predict.
        median_document: tokens; lengths are log-normal. None: each document fills a row.
    """

    name: str
    preset: str
    row_length: int
    rows: int
    mask_rate: float
    median_document: int | None

    @property
    def described(self) -> str:
        """In words, for a report."""
        documents = "one document a row"
        if self.median_document is not None:
            documents = f"packed documents, lengths log-normal, median {self.median_document}, sigma {_SPREAD}"
        return f"{self.name}: rows of {self.row_length:,} tokens, {documents}, {self.mask_rate:.0%} to predict"


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("bert_base", "bert_base", 512, 128, 0.15, None),
        Shape("bert_large", "bert_large", 512, 64, 0.15, None),
        Shape("modernbert_base", "modernbert_base", 1024, 64, 0.3, 300),
        Shape("bert_base_packed", "bert_base", 512, 128, 0.15, 150),
    )
}
DEFAULT_SHAPES = ("bert_base", "bert_large", "modernbert_base")


def shape_of(name: str, *, tiny: bool = False, rows: int | None = None) -> Shape:
    """A shape by name, perhaps with other rows a step, or everything so small that a CPU has it at once.

    Raises:
        InputError: there is none of this name.
    """
    if name not in SHAPES:
        raise InputError(f"--shapes {name}: must be of {', '.join(SHAPES)}")
    shape = SHAPES[name]
    if tiny:
        median = None if shape.median_document is None else 20
        shape = dataclasses.replace(shape, row_length=64, rows=8, median_document=median)
    return shape if rows is None else dataclasses.replace(shape, rows=rows)


def encoder_of(shape: Shape, *, tiny: bool = False) -> EncoderConfig:
    """The encoder to train: its preset, or one of the same form with next to no size."""
    encoder: EncoderConfig = getattr(EncoderConfig, shape.preset)()
    if not tiny:
        return encoder
    return dataclasses.replace(
        encoder,
        vocab_size=512,
        max_len=shape.row_length,
        embed_dim=32,
        num_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        mlp_dim=48,
        num_layers=4,
        layer_groups=(0, 1, 2, 3),
        windows=tuple(window and 8 for window in encoder.windows[:4]),
        rope_thetas=encoder.rope_thetas[:4],
    )


def rows_of(shape: Shape, encoder: EncoderConfig) -> Batch:
    """All rows that are trained on, of random tokens, masked; the same in every process."""
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary(encoder.vocab_size, pad=0, cls=1, sep=2, mask=3, unk=4, special=(0, 1, 2, 3, 4))
    count = _BATCHES * shape.rows
    packed = pack(_documents(shape, count, vocabulary, rng), vocabulary, row_length=shape.row_length)
    # The longest documents were placed first.
    order = rng.permutation(len(packed.tokens))[:count]
    rows = Rows(packed.tokens[order], packed.segments[order])
    return mask_tokens(rows.tokens, rows.segments, Masking(vocabulary, shape.mask_rate), rng)


def _documents(shape: Shape, rows: int, vocabulary: Vocabulary, rng: np.random.Generator) -> Encoded:
    """Documents that fill at least so many rows."""
    wanted, frame = rows * shape.row_length, 2
    if shape.median_document is None:
        lengths = np.full(rows, shape.row_length - frame)
    else:
        # As many as fill the rows if each had half the median: more than enough, and cut where there is enough.
        drawn = rng.lognormal(np.log(shape.median_document), _SPREAD, size=2 * wanted // shape.median_document + 1)
        lengths = np.maximum(1, np.rint(drawn)).astype(np.int64)
        lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), wanted)) + 1]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    first = len(vocabulary.special)
    return Encoded(rng.integers(first, vocabulary.size, starts[-1], dtype=np.int32), starts)


def batches_of(rows: Batch, count: int) -> list[Batch]:
    """The rows in batches of `count`, every row at most once; a remainder is left out.

    Raises:
        ValueError: there are fewer rows.
    """
    total = len(rows.tokens)
    if count > total:
        raise ValueError(f"a batch of {count} rows is more than there are, {total}")
    return [Batch(*(field[i : i + count] for field in rows)) for i in range(0, total - count + 1, count)]


class Work(NamedTuple):
    """What one step does on average: tokens that are not padding, and the floating-point operations of the formula."""

    tokens: float
    flops: float


def work_of(encoder: EncoderConfig, rows: Batch, count: int) -> Work:
    """The work of one step of `count` rows."""
    steps = len(rows.tokens) / count
    tokens, targets = int((rows.segments > 0).sum()), int(rows.weights.sum())
    return Work(tokens / steps, step_flops(encoder, tokens, targets, document_lengths(rows.segments)) / steps)


def document_lengths(segments: np.ndarray) -> np.ndarray:
    """How many tokens each document of each row has, by `segments` [R, T]."""
    numbered = segments + (segments.max(initial=0) + 1) * np.arange(len(segments))[:, None]
    return np.unique(numbered[segments > 0], return_counts=True)[1]


def step_flops(encoder: EncoderConfig, tokens: int, targets: int, lengths: Sequence[int] | np.ndarray) -> float:
    """Floating-point operations of forward and backward, by `FORMULA`.

    Args:
        encoder: its sizes.
        tokens: n.
        targets: k.
        lengths: of every document.
    """
    D, E, F, H = encoder.embed_dim, encoder.table_width, encoder.mlp_dim, encoder.head_dim
    N, G, V = encoder.num_heads, encoder.num_key_value_heads, encoder.vocab_size
    products = 3 if encoder.mlp_kind == "gated" else 2
    layer = 2 * tokens * (2 * D * N * H + 2 * D * G * H + products * D * F)
    attention = sum(4 * N * H * _pairs(np.asarray(lengths), window) for window in encoder.windows)
    transform = 0 if encoder.mlm_activation is None else D * E
    projection = 0 if encoder.table_dim is None else 2 * tokens * E * D
    return 3.0 * (encoder.num_layers * layer + attention + projection + 2 * targets * (transform + E * V))


def _pairs(lengths: np.ndarray, window: int | None) -> int:
    """Pairs of query and key in documents of these lengths, at most `window` apart."""
    lengths = lengths.astype(np.int64)
    all_pairs = int((lengths**2).sum())
    if window is None:
        return all_pairs
    beyond = np.maximum(lengths - window, 1)
    return all_pairs - int((beyond * (beyond - 1)).sum())
