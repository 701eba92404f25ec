"""A run's own text: its tokenizer and network as they are exported, read by us and by the libraries."""

import dataclasses
import tempfile
from pathlib import Path

from jax_encoder.errors import InputError
from jax_encoder.training.export import export_run
from parity.check.text import VARIANT, with_text, without_text
from parity.judge.verdict import Report, Setting

# Texts that go through the networks: every training run waits for them.
COMPUTED = 16
_SHOWN = 3


def with_text_of_run(report: Report, run: Path) -> Report:
    """The report with what there is to say of the run's text; if it cannot be compared, why.

    Args:
        report: on the network.
        run: folder of the run.
    """
    with tempfile.TemporaryDirectory() as place:
        try:
            folder = export_run(run, Path(place) / "exported")
        except InputError as error:
            return without_text(report, str(error).partition("\n")[0].rstrip(":"))
        found = with_text(report, str(folder), lambda variant, case: None, computed=COMPUTED)
    return _lenient(found)


def _lenient(report: Report) -> Report:
    """A tokenizer that was trained on other text than ours need not tell our texts apart: that is said, and is no
    reason to doubt the network."""
    blind = [reason for run in report.runs if run.variant == VARIANT for reason in run.inadequate]
    if not blind:
        return report
    more = f", and {len(blind) - _SHOWN} more" if len(blind) > _SHOWN else ""
    told = Setting("texts", "-", "-", f"the texts show less with this tokenizer: {'; '.join(blind[:_SHOWN])}{more}")
    runs = tuple(dataclasses.replace(run, inadequate=()) if run.variant == VARIANT else run for run in report.runs)
    return dataclasses.replace(report, runs=runs, preflight=(*report.preflight, told))
