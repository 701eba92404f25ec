"""What several training tests need: batches by hand, and text that has something to learn."""

import io
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.training import metrics
from jax_encoder.training.session import Session

CONFIG = EncoderConfig.tiny()
STEPS = 8  # of the run in conftest.py


def random_batch(targets_per_row: list[int], *, seed: int = 0, T: int = 11, K: int = 5) -> Batch:
    """Two documents and some padding in every row, and as many targets as asked for."""
    rng = np.random.default_rng(seed)
    B = len(targets_per_row)
    shape = (B, T)
    segments, positions = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    segments[:, :4], segments[:, 4:9] = 1, 2
    positions[:, :4], positions[:, 4:9] = np.arange(4), np.arange(5)
    targets, weights = np.zeros((B, K), np.int32), np.zeros((B, K), np.float32)
    for row, count in enumerate(targets_per_row):
        targets[row, :count] = np.sort(rng.choice(9, count, replace=False))
        weights[row, :count] = 1
    tokens = rng.integers(0, CONFIG.vocab_size, shape, dtype=np.int32)
    labels = rng.integers(0, CONFIG.vocab_size, (B, K), dtype=np.int32)
    return Batch(tokens, segments, positions, targets, labels, weights)


def on_device(batch: Batch) -> Batch:
    """The same batch as JAX arrays, as the functions under test want it when not jitted."""
    return jax.tree.map(jax.numpy.asarray, batch)


def assert_trees_close(one, other, *, rtol: float, atol: float = 0.0) -> None:
    """Same structure, same dtypes, values within the tolerance."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


SENTENCES = ("the cat sat on the mat", "a dog ran to the red house", "we saw two birds over the old river today")


def write_corpus(path, documents: int = 60) -> None:
    """A .txt file whose documents repeat a few sentences, in a fixed random order."""
    rng = np.random.default_rng(0)
    texts = [". ".join(rng.choice(SENTENCES, size=rng.integers(2, 6))) for _ in range(documents)]
    path.write_text("\n\n".join(f"{text} {number}." for number, text in enumerate(texts)) + "\n")


def tiny(corpus: Path, run: Path, *more: str) -> list[str]:
    """Arguments of the smallest run; later ones win."""
    options = {"run": run, "data": corpus, "preset": "tiny", "vocab-size": 120, "steps": 6, "warmup-steps": 2}
    options |= {"batch-size": 4, "checkpoint-every": 2, "eval-every": 3, "max-eval-rows": 3}
    return ["pretrain", *(f"--{key}={value}" for key, value in options.items()), "--no-verify", *more]


def quiet() -> Console:
    """Keeps what is printed."""
    return Console(file=io.StringIO(), width=120)


def lines(session: Session) -> list[dict]:
    """What is the same in every run."""
    return [{k: v for k, v in record.items() if k != "seconds"} for record in metrics.read(session.folder.metrics)]
