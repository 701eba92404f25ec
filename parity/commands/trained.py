"""`python -m parity trained`."""

import dataclasses
from pathlib import Path

import tyro

from parity.check import mismatched
from parity.commands import common
from parity.compare import SEMANTIC
from parity.errors import MismatchError, UsageError
from parity.verdict import Report

BINDING = "parity.encoder.trained"  # check_run(folder) -> Report


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained(common.Output):
    """Compares both sides at every site with the parameters that a training run has come to, on text that it has not
    seen. Output and exit status as `check`."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""

    def run(self) -> int:
        """Returns the exit status."""
        self.check_files()
        return self.conclude(_check_run(self.folder))


def _check_run(folder: Path) -> Report:
    """Asks the binding, for which a folder that holds nothing to check is a ValueError with a message for the user."""
    binding = common.load(BINDING)
    try:
        return binding.check_run(folder)
    except MismatchError as error:
        return Report(f"the run {folder}", SEMANTIC, {}, (mismatched(folder.name, "trained", error),))
    except ValueError as error:
        raise UsageError(str(error)) from error
