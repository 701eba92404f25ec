"""What a step over devices is tried on: small encoders that eight devices can share in every way, and packed rows.

Axes: B rows of a step, T column, K target.
"""

import dataclasses
import itertools
from typing import Any, NamedTuple

import numpy as np

from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.training.config import ModelOptions, OptimizerOptions, PretrainConfig
from jax_encoder.training.mesh import MeshShape

DEVICES = 8
# Steps that are compared; between them the state is saved and read again.
STEPS = 2
# Steps that both sides have done before: an optimizer's start, where its moments are 0, hides some mistakes.
DONE = 3
B, T, K, ACCUMULATE = 32, 11, 5, 2

# No two sizes are equal, and every one that is shared can be cut into eight.
_SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "embed_dim": 24,
    "num_heads": 8,
    "num_key_value_heads": 8,
    "head_dim": 4,
    "mlp_dim": 40,
    "max_len": 37,
    "num_layers": 3,
    "layer_groups": (0, 1, 2),
}
_DROPOUT: dict[str, Any] = dict.fromkeys(("embedding_dropout", "attention_dropout", "residual_dropout"), 0.1)
_NEWER: dict[str, Any] = {"windows": (None, 3, None), "rope_thetas": (160_000.0, 10_000.0, 160_000.0)}
FORMS: dict[str, EncoderConfig] = {
    "bert": dataclasses.replace(EncoderConfig.tiny(), **_SIZES | _DROPOUT | {"windows": (None,) * 3}),
    # A first layer of another structure, and layers that are not in a loop.
    "modernbert": dataclasses.replace(EncoderConfig.mini(), **_SIZES | _DROPOUT | _NEWER | {"scan_layers": False}),
}


class Course(NamedTuple):
    """An encoder, how to train it, and one batch for every step that is compared."""

    encoder: EncoderConfig
    config: PretrainConfig
    batches: tuple[Batch, ...]


def shapes() -> dict[str, MeshShape]:
    """Every way to lay out one, two, four or eight devices, by name, the most devices last."""
    sizes = [2**power for power in range(DEVICES.bit_length())]
    every = [MeshShape(*one) for one in itertools.product(sizes, repeat=3)]
    fitting = sorted((one for one in every if one.devices <= DEVICES), key=lambda one: one.devices)
    return {str(one): one for one in fitting}


def course(form: str) -> Course:
    """What one of `FORMS` is trained on; equal for every mesh."""
    optimizer = OptimizerOptions(warmup_steps=2, weight_decay=0.1)
    config = PretrainConfig(
        steps=20,
        batch_size=B,
        accumulate=ACCUMULATE,
        optimizer=optimizer,
        model=ModelOptions(matmul_precision="highest"),
    )
    config.check()
    return Course(FORMS[form], config, tuple(_batch(FORMS[form].vocab_size, seed) for seed in range(STEPS)))


def _batch(words: int, seed: int) -> Batch:
    """Three documents of any length and some padding in every row, and from no target to K: no two shards have equally
    many."""
    rng = np.random.default_rng((seed, B))
    cuts_B4 = np.sort(rng.integers(1, T + 1, (B, 3)), axis=1)
    columns_T = np.arange(T)
    documents_BT = 1 + (columns_T[None, :, None] >= cuts_B4[:, None, :2]).sum(axis=2)
    segments_BT = np.where(columns_T[None, :] < cuts_B4[:, 2:], documents_BT, 0).astype(np.int32)
    starts_BT = np.diff(segments_BT, axis=1, prepend=-1) != 0
    begun_BT = np.maximum.accumulate(np.where(starts_BT, columns_T[None, :], 0), axis=1)
    positions_BT = np.where(segments_BT != 0, columns_T[None, :] - begun_BT, 0).astype(np.int32)
    weights_BK, targets_BK = np.zeros((B, K), np.float32), np.zeros((B, K), np.int32)
    for row, count in enumerate(rng.integers(0, K + 1, B)):
        seen = np.flatnonzero(segments_BT[row])
        chosen = np.sort(rng.permutation(seen)[:count])
        targets_BK[row, : len(chosen)], weights_BK[row, : len(chosen)] = chosen, 1
    tokens_BT = rng.integers(0, words, (B, T), dtype=np.int32)
    labels_BK = rng.integers(0, words, (B, K), dtype=np.int32)
    return Batch(tokens_BT, segments_BT, positions_BT, targets_BK, labels_BK, weights_BK)
