"""A checkpoint's text beside its network: one report on both."""

import dataclasses
from collections.abc import Callable

from parity.errors import UsageError
from parity.judge.verdict import Report, Setting
from parity.text.command import GROUPS
from parity.text.corpus import COMPUTED, VARIANT

__all__ = ["GROUPS", "VARIANT", "with_text", "without_text"]

READ_BY = "text is read by"
_PACKAGES = {"transformers": "transformers", "sentence_transformers": "sentence-transformers"}


def with_text(
    report: Report, model: str, progress: Callable[[str, str], object], *, computed: int = COMPUTED
) -> Report:
    """The report with what there is to say of the folder's text; if it cannot be checked, why.

    Args:
        report: on the network.
        model: folder, or name on the hub.
        progress: called before each group of texts.
        computed: at most so many texts go through the networks.
    """
    try:
        from parity.text.check import text_of

        found = text_of(model, computed=computed, progress=progress)
    except UsageError as error:
        return without_text(report, str(error))
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        package = _PACKAGES[error.name]
        return without_text(report, f"{package} is needed for this folder: pip install {package}")
    return dataclasses.replace(
        report,
        runs=(*report.runs, *found.runs),
        preflight=(*report.preflight, *found.settings),
        environment={**found.environment, **report.environment},
    )


def without_text(report: Report, why: str) -> Report:
    """The report with the reason why the folder's text was not compared."""
    missing = Setting(READ_BY, "-", "-", f"the text of this folder was not checked: {why}")
    return dataclasses.replace(report, preflight=(*report.preflight, missing))
