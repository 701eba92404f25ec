"""keras-hub's masked language model on Keras' JAX backend; its head, too, scores the masked positions alone."""

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import keras
import keras_hub

from benchmarks.train.stepping import Stepper, serve_steps
from benchmarks.train.tasks import BETAS, CLIP, DECAY, EPS, LEARNING_RATE, Given
from benchmarks.workers import Record
from jax_encoder.data.masking import Batch


def make(work: Given, _: Record) -> Stepper:
    """Compiled by Keras, a batch at a time."""
    keras.utils.set_random_seed(0)
    encoder = work.encoder
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=encoder.vocab_size,
        num_layers=encoder.num_layers,
        num_heads=encoder.num_heads,
        hidden_dim=encoder.embed_dim,
        intermediate_dim=encoder.mlp_dim,
        dropout=encoder.residual_dropout,
        max_sequence_length=encoder.max_len,
        num_segments=encoder.num_token_types,
    )
    model = keras_hub.models.BertMaskedLM(backbone, preprocessor=None)
    optimizer = keras.optimizers.AdamW(
        LEARNING_RATE, weight_decay=DECAY, beta_1=BETAS[0], beta_2=BETAS[1], epsilon=EPS, global_clipnorm=CLIP
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    model.compile(optimizer=optimizer, loss=loss, metrics=None, weighted_metrics=None, jit_compile=True)

    def step(batch: Any) -> Any:
        # Keras keeps a running mean, and hands it out.
        model.reset_metrics()
        return model.train_on_batch(*batch)

    return Stepper([_fields(batch) for batch in work.batches], step, _float)


def _fields(batch: Batch) -> tuple[Any, Any, Any]:
    inputs = {
        "token_ids": batch.tokens,
        "segment_ids": 0 * batch.tokens,
        "padding_mask": (batch.segments > 0).astype("int32"),
        "mask_positions": batch.targets,
    }
    return inputs, batch.labels, batch.weights


def _float(loss: Any) -> float:
    return float(loss[0] if isinstance(loss, list) else loss)


if __name__ == "__main__":
    serve_steps(make)
