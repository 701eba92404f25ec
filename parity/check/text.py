"""A checkpoint's text beside its network: one report on both."""

import dataclasses
from collections.abc import Callable

from parity.errors import UsageError
from parity.judge.verdict import Report, Setting
from parity.text.command import GROUPS

__all__ = ["GROUPS", "with_text"]


def with_text(report: Report, model: str, progress: Callable[[str, str], object]) -> Report:
    """The report with what there is to say of the folder's text; if it cannot be checked, why.

    Args:
        report: on the network.
        model: folder, or name on the hub.
        progress: called before each group of texts.
    """
    from parity.text.check import text_of

    try:
        found = text_of(model, progress=progress)
    except UsageError as error:
        return _without(report, str(error))
    except ModuleNotFoundError as error:
        if error.name != "sentence_transformers":
            raise
        return _without(report, "sentence-transformers is needed for this folder: pip install sentence-transformers")
    return dataclasses.replace(
        report,
        runs=(*report.runs, *found.runs),
        preflight=(*report.preflight, *found.settings),
        environment={**found.environment, **report.environment},
    )


def _without(report: Report, why: str) -> Report:
    missing = Setting("text is read by", "-", "-", f"the text of this folder was not checked: {why}")
    return dataclasses.replace(report, preflight=(*report.preflight, missing))
