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
from jax_encoder.training.session import Trained, load_trained
from parity.cases.case import Case, from_segments
from parity.certificate.certificate import digest, digest_text
from parity.encoder.pair import Pair
from parity.encoder.subject import EncoderSubject
from parity.judge.check import compare_trace
from parity.judge.compare import SEMANTIC
from parity.judge.verdict import Report, Run

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
        compared = compare_trace(trace, replay=True)
        runs = (Run(path.name, "held-out", compared.comparisons, trace.inadequate, *compared[1:]),)
    name = f"{path}: trained in jax_encoder, repeated in torch_ref"
    return Report(name, SEMANTIC, environment, runs, hashes=_hashes(trained, folder, batch))


def _hashes(trained: Trained, folder: RunFolder, batch: Batch) -> dict[str, str]:
    """SHA-256 of all that the report is about."""
    return {
        "weights": digest(_named(trained.params)),
        "config": digest_text(folder.encoder_text()),
        "held-out rows": digest({name: np.asarray(value) for name, value in batch._asdict().items()}),
    }


def _named(params: Any) -> dict[str, np.ndarray]:
    """Trained parameters by the names of our model."""
    flat = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in flat}


def _as_float64(params: Any) -> dict[str, np.ndarray]:
    """Trained parameters under the names of the binding, every value exactly as trained."""
    return {f"lm.{name}": array.astype(np.float64) for name, array in _named(params).items()}


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
