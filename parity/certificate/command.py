"""`python -m parity trained`."""

import dataclasses
from pathlib import Path

import tyro

from parity.errors import UsageError
from parity.judge.verdict import Report
from parity.report import output


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained(output.Output):
    """Compares both sides at every site with the parameters that a training run has come to, on text that it has not
    seen; and how the run, exported, reads texts, with transformers and sentence-transformers, where these are
    installed. Output and exit status as `check`."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""

    def run(self) -> int:
        """Returns the exit status."""
        self.check_files()
        return self.conclude(_check_run(self.folder))


def _check_run(folder: Path) -> Report:
    """A report on the run; a folder that holds nothing to check is a ValueError with a message for the user."""
    from parity.certificate.trained import check_run

    try:
        return check_run(folder)
    except ValueError as error:
        raise UsageError(str(error)) from error
