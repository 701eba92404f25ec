"""Checks the parameters that a training run has come to, on text that it has never seen, and how it reads text."""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jax_encoder.config import EncoderConfig
from jax_encoder.data.batches import EvaluationBatches
from jax_encoder.data.masking import Batch
from jax_encoder.data.packing import load_rows
from jax_encoder.data.tokenizer import load_tokenizer
from jax_encoder.params import named
from jax_encoder.training.run_folder import RunFolder
from jax_encoder.training.session import Trained, load_trained, masking_of
from parity.cases.case import Case, from_segments
from parity.certificate.certificate import digest, digest_text
from parity.certificate.text import with_text_of_run
from parity.encoder.form import Form
from parity.encoder.pair import Pair
from parity.encoder.subject import EncoderSubject
from parity.judge.check import attempt, compare_trace, run_of
from parity.judge.compare import SEMANTIC
from parity.judge.verdict import Report, Run

ROWS = 5


def check_run(path: Path) -> Report:
    """Compares the newest whole checkpoint of a run with the reference at every site, in float64, and how its export
    reads texts with the libraries.

    The input is the first held-out rows as evaluation masks them, packed as training packs them; texts are those that
    `parity.text` has for every folder.

    Raises:
        InputError: no run, or no whole checkpoint, in `path`.
    """
    trained = load_trained(path)
    folder = RunFolder(path)
    masking = masking_of(trained.config.text, load_tokenizer(folder.tokenizer))
    batch = EvaluationBatches(load_rows(folder.rows, "held_out"), masking, batch_size=ROWS)[0]
    with EncoderSubject().session():
        environment = {"step": str(trained.step), **EncoderSubject().environment()}
        params = {name: np.asarray(array, np.float64) for name, array in named(trained.params).items()}
        runs = tuple(_runs(path.name, trained.encoder, params, _case(batch)))
    name = f"{path}: trained in jax_encoder, repeated in torch_ref"
    report = Report(name, SEMANTIC, environment, runs, hashes=_hashes(trained, folder, batch))
    return with_text_of_run(report, path)


def _runs(name: str, encoder: EncoderConfig, params: dict[str, np.ndarray], case: Case) -> Iterator[Run]:
    """As it is deployed and, if anything is dropped then, as it was trained."""
    for deployed in (True, False):
        form = Form.trained(encoder, deployed=deployed)
        if deployed or form.drops:
            what = case.name if deployed else f"{case.name}, with dropout"
            yield attempt(name, what, functools.partial(_run, name, what, form, params, case))


def _run(name: str, what: str, form: Form, params: dict[str, np.ndarray], case: Case) -> Run:
    trace = Pair.build(form, params)(case)
    return run_of(name, what, compare_trace(trace, replay=True), trace.inadequate)


def _hashes(trained: Trained, folder: RunFolder, batch: Batch) -> dict[str, str]:
    """SHA-256 of all that the report is about."""
    return {
        "weights": digest({name: np.asarray(array) for name, array in named(trained.params).items()}),
        "config": digest_text(folder.encoder_text()),
        "tokenizer": digest_text(folder.tokenizer.read_text(encoding="utf-8")),
        "held-out rows": digest({name: np.asarray(value) for name, value in batch._asdict().items()}),
    }


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
