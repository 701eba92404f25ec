"""Checks the parameters that a training run has come to, on text that it has never seen."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from jax_encoder.data.batches import EvaluationBatches
from jax_encoder.data.masking import Batch, Masking
from jax_encoder.data.packing import load_rows
from jax_encoder.data.tokenizer import load_tokenizer, vocabulary_of
from jax_encoder.training.run_folder import RunFolder
from jax_encoder.training.session import load_trained
from parity.cases import Case, from_segments
from parity.check import compare_trace
from parity.compare import SEMANTIC
from parity.encoder.pair import EncoderSubject, Pair
from parity.verdict import Report, Run

ROWS = 5


def check_run(path: Path) -> Report:
    """Compares the newest whole checkpoint of a run with the reference at every site, in float64.

    The input is the first held-out rows as evaluation masks them, packed as training packs them.

    Raises:
        InputError: no run, or no whole checkpoint, in `path`.
        MismatchError: the parameters of the two sides cannot be brought together.
    """
    trained = load_trained(path)
    folder = RunFolder(path)
    masking = Masking(vocabulary_of(load_tokenizer(folder.tokenizer)), trained.config.text.mask_rate)
    batch = EvaluationBatches(load_rows(folder.rows, "held_out"), masking, batch_size=ROWS)[0]
    with EncoderSubject().session():
        environment = {"step": str(trained.step), **EncoderSubject().environment()}
        trace = Pair.build(trained.encoder, _as_float64(trained.params))(_case(batch))
        runs = (Run(path.name, "held-out", compare_trace(trace), trace.inadequate),)
    return Report(f"{path}: trained in jax_encoder, repeated in torch_ref", SEMANTIC, environment, runs)


def _as_float64(params: Any) -> dict[str, np.ndarray]:
    """Trained parameters under the names of the binding, every value exactly as trained."""
    flat = jax.tree_util.tree_leaves_with_path(params)
    names = ["lm." + jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in flat]
    return {name: np.asarray(leaf, np.float64) for name, (_, leaf) in zip(names, flat, strict=True)}


def _case(batch: Batch) -> Case:
    return Case(
        name="held-out",
        exposes="whatever the trained network computes on real text",
        tokens_BT=batch.tokens,
        mask_BTS=from_segments(batch.segments),
        positions_BT=batch.positions,
        token_types_BT=None,
        segments_BT=batch.segments,
    )
