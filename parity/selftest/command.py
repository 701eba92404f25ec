"""`python -m parity selftest`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from parity.errors import UsageError
from parity.report import output
from parity.report.files import write_whole
from parity.selftest.table import passed, render, written_into


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selftest:
    """Makes every mistake of the catalogue on purpose, one at a time, and tells which were caught, located and named;
    and runs encoders without a mistake. Ends with status 0 if all were caught and located, nine of ten named, and there
    was no false alarm."""

    bug: output.Names = ()
    """Make this mistake only; may be given several times."""
    clean: int = 20
    """How many random encoders to run without a mistake."""
    seed: int = 0
    """Of the random encoders."""
    jobs: int = 0
    """Processes to share the work; 0 takes one for every core that may be used."""
    write: Annotated[Path | None, tyro.conf.arg(metavar="PAGE")] = None
    """Also write the table into this page, between its two marks."""

    def run(self) -> int:
        """Returns the exit status."""
        if self.clean < 0:
            raise UsageError(f"--clean must be at least 0, got {self.clean}")
        if self.jobs < 0:
            raise UsageError(f"--jobs must be at least 0, got {self.jobs}")
        if self.write is not None:
            written_into(_read(self.write), "")  # before all the work, rather than after it
        from parity.selftest import tiers

        unknown = [name for name in self.bug if name not in tiers.NAMES]
        if unknown:
            raise UsageError(f"no bug is called {', '.join(unknown)}; there are: {', '.join(tiers.NAMES)}")
        parts = tiers.parts(frozenset(self.bug) or None, clean=self.clean, seed=self.seed)
        with output.progress(len(parts)) as advance:
            outcomes, clean = tiers.tried(parts, jobs=self.jobs or output.cores(), progress=advance)
        if not self.bug and (missing := tiers.left_out()):
            print(missing)
        table = render(outcomes, clean)
        for one in outcomes:
            if False in (one.caught, one.first, one.located, one.named):
                print(f"{one.bug} in {one.side}: {one.said}")
        print(table)
        if self.write is not None:
            write_whole(self.write, written_into(_read(self.write), table))
        return 0 if passed(outcomes, clean) else 1


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
