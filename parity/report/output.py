"""What all commands with a report share: the files that it goes to, the exit status, and a bar that shows progress."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from parity.errors import UsageError
from parity.judge.verdict import AGREE, Report, Verdict
from parity.report.html import write_html
from parity.report.record import write
from parity.report.text import render

Names = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]


def writable(option: str, path: Path | None) -> None:
    """Refuses a file that cannot be written, before anything is computed for it.

    Raises:
        UsageError: a folder, or in a folder that is not there.
    """
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise UsageError(f"{option} {path}: must name a file in a folder that exists")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
    """Where a report goes beside the screen; the options that all commands with a report share."""

    json: File = None
    """Also write the report to this file, as JSON."""
    html: File = None
    """Also write the report to this file, as a page that needs nothing else."""

    def check_files(self) -> None:
        """Refuses files that cannot be written, before anything is computed for them.

        Raises:
            UsageError: a folder, or in a folder that is not there.
        """
        writable("--json", self.json)
        writable("--html", self.html)

    def conclude(self, report: Report) -> int:
        """Prints the report, writes the files that are named, and returns the exit status."""
        print(render(report), end="")
        if self.json is not None:
            write(report, self.json)
        if self.html is not None:
            write_html(report, self.html)
        return {**dict.fromkeys(AGREE, 0), Verdict.ERROR: 3}.get(report.verdict, 1)


def cores() -> int:
    """How many cores this process may use, where the system tells; else how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on the error stream while that is a terminal; what it gives is called before each of `total` parts."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total, completed=-1)
        yield lambda what: bar.update(task, description=what, advance=1)
