"""What is trained on: encoders and batches, the same in every process."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.encode import minilm
from benchmarks.gpu.work import Shape, Work, batches_of, document_lengths, encoder_of, rows_of, step_flops
from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch, Masking, mask_tokens
from jax_encoder.data.packing import Rows, pack
from jax_encoder.data.tokenizer import Encoded, Vocabulary

# AdamW and clipping, the same on every side; the rate of a first step of a long warm-up, so that nothing diverges.
LEARNING_RATE, BETAS, EPS, DECAY, CLIP = 1e-4, (0.9, 0.98), 1e-8, 0.01, 1.0
_BATCHES = 2  # of text, before the same come again
_POOL = 24  # batches that text is packed for, so that hardly a place stays empty
# Widths of padded rows are multiples of this: it suits the products.
_MULTIPLE = 8


@dataclasses.dataclass(frozen=True)
class Task:
    """One training step to time.

    Attributes:
        shape: encoder, rows and mask rate.
        described: in words.
        text: whether documents are real paragraphs; else random tokens fill every row.
    """

    shape: Shape
    described: str
    text: bool = False


TASKS = {
    "minilm_l6": Task(
        Shape("minilm_l6", "minilm_l6", 128, 16, 0.15, None),
        "minilm_l6, 16 rows of 128 random tokens, vocabulary 30,522, 15% to predict, dropout 0.1",
    ),
    "text": Task(
        Shape("text", "minilm_l6", 128, 16, 0.15, None),
        "minilm_l6, paragraphs of the State of the Union addresses, each a document: packed into 16 rows of 128, "
        "or as many paragraphs as have as many tokens, padded and cut off at 128; 15% to predict, dropout 0.1",
        text=True,
    ),
    "mini": Task(
        Shape("mini", "mini", 128, 8, 0.3, None),
        "mini, the step of `make train`: 8 rows of 128 tokens, vocabulary 8,192, 30% to predict, no dropout",
    ),
}


class Given(NamedTuple):
    """What a side is to train.

    Attributes:
        encoder: its form.
        shape: rows and mask rate.
        batches: to go round.
        work: of one step on average.
    """

    encoder: EncoderConfig
    shape: Shape
    batches: list[Batch]
    work: Work


def given(name: str, *, tiny: bool, padded: str | None = None) -> Given:
    """A task's encoder and batches.

    Args:
        name: in `TASKS`.
        tiny: everything so small that it takes no time.
        padded: of text: None packs it, "longest" pads each batch to its longest one, "full" to whole rows.
    """
    task = TASKS[name]
    shape = task.shape
    if tiny:
        shape = dataclasses.replace(shape, row_length=32, rows=2)
    encoder = encoder_of(shape, tiny=tiny)
    random = [] if task.text else batches_of(rows_of(shape, encoder), shape.rows)
    batches = random or _paragraphs(shape, encoder, padded)
    tokens = sum(int((batch.segments > 0).sum()) for batch in batches)
    targets = sum(int(batch.weights.sum()) for batch in batches)
    lengths = np.concatenate([document_lengths(batch.segments) for batch in batches])
    work = Work(tokens / len(batches), step_flops(encoder, tokens, targets, lengths) / len(batches))
    return Given(encoder, shape, batches, work)


def _paragraphs(shape: Shape, encoder: EncoderConfig, padded: str | None) -> list[Batch]:
    """Real text by all-MiniLM-L6-v2's own tokenizer, in batches of about as many tokens, packed or padded."""
    documents, vocabulary = _encoded(encoder.vocab_size, _POOL * shape.rows * shape.row_length)
    rng = np.random.default_rng(0)
    if padded is None:
        packed = pack(documents, vocabulary, row_length=shape.row_length)
        # The longest were placed first.
        order = rng.permutation(len(packed.tokens))[: _BATCHES * shape.rows]
        rows = [Rows(packed.tokens[part], packed.segments[part]) for part in np.split(order, _BATCHES)]
    else:
        rows = _padded(documents, vocabulary, shape, whole=padded == "full")
    masking = Masking(vocabulary, shape.mask_rate)
    return [mask_tokens(one.tokens, one.segments, masking, rng) for one in rows]


def _padded(documents: Encoded, vocabulary: Vocabulary, shape: Shape, *, whole: bool) -> list[Rows]:
    """Documents in rows of their own, so many that they fill packed rows; what is longer than a row is cut off."""
    longest, texts = shape.row_length, np.split(documents.tokens, documents.starts[1:-1])
    framed = [np.r_[vocabulary.cls, one[: longest - 2], vocabulary.sep] for one in texts]
    count = round(shape.rows * longest / float(np.mean([len(one) for one in framed])))
    order, rows = np.random.default_rng(0).permutation(len(framed)), []
    for chosen in np.split(order[: _BATCHES * count], _BATCHES):
        width = longest if whole else -(-max(len(framed[i]) for i in chosen) // _MULTIPLE) * _MULTIPLE
        tokens, segments = np.full((count, width), vocabulary.pad), np.zeros((count, width), np.int64)
        for row, i in enumerate(chosen):
            tokens[row, : len(framed[i])], segments[row, : len(framed[i])] = framed[i], 1
        rows.append(Rows(tokens, segments))
    return rows


def _encoded(size: int, wanted: int) -> tuple[Encoded, Vocabulary]:
    """Documents with about so many tokens, or some more, as ids below `size`."""
    from jax_encoder.data.corpus import load_sotu
    from jax_encoder.data.tokenizer import encode, load_tokenizer, vocabulary_of

    tokenizer = load_tokenizer(Path(minilm()) / "tokenizer.json")
    vocabulary = vocabulary_of(tokenizer)
    # A small table has no room for all: ids are folded, which changes no length.
    vocabulary = vocabulary._replace(size=size, special=tuple(one for one in vocabulary.special if one < size))
    texts = load_sotu().train
    chosen = np.random.default_rng(0).permutation(len(texts))[: max(_BATCHES, wanted // 64)]
    documents = encode(tokenizer, [texts[index] for index in chosen])
    return Encoded(documents.tokens % size, documents.starts), vocabulary
