"""`python -m parity fuzz` and `python -m parity replay`."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import tyro

from parity.errors import UsageError
from parity.judge.check import attempt, run_of
from parity.judge.compare import SEMANTIC
from parity.judge.verdict import PrecisionRun, Report, Run
from parity.report import output
from parity.report.files import write_whole


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fuzz:
    """Searches random encoders, masks, inputs and dtypes for a difference, makes the first that it finds as small as it
    can, and writes a file that `replay` repeats. Ends with status 0 if nothing was found, 1 if something was."""

    minutes: float = 10.0
    """How long to search, and then to make smaller."""
    examples: int = 1_000_000
    """How many encoders to try at most."""
    seed: int = 0
    """Of the search; equal seeds try the same."""
    dtype: output.Names = ()
    """Try this dtype only: float64, float32 or bfloat16; may be given several times."""
    plant: Annotated[str | None, tyro.conf.arg(metavar="BUG")] = None
    """Make this mistake of the catalogue in the reference first, to see whether it is found."""
    out: Path = Path("parity-fuzz.json")
    """Where to write the replay file."""

    def run(self) -> int:
        """Returns the exit status."""
        if self.minutes <= 0 or self.examples < 1:
            raise UsageError(f"--minutes and --examples must be above 0, got {self.minutes} and {self.examples}")
        output.writable("--out", self.out)
        from parity.encoder.subject import subject
        from parity.fuzz import problems
        from parity.fuzz.search import search

        unknown = [dtype for dtype in self.dtype if dtype not in problems.DTYPES]
        if unknown:
            raise UsageError(f"no dtype is called {', '.join(unknown)}; there are: {', '.join(problems.DTYPES)}")
        if self.plant is not None:
            problems.find(self.plant)
        began = time.monotonic()
        with subject().session(), output.progress(self.examples) as advance:

            def reason_of(problem: problems.Problem) -> str:
                advance("searching")
                return problems.reason_of(problem, self.plant)

            drawn = problems.drawn(self.dtype or problems.DTYPES)
            found = search(drawn, reason_of, seed=self.seed, examples=self.examples, seconds=60 * self.minutes)
        tried = f"{found.tried:,} random encoders, seed {self.seed}, {time.monotonic() - began:.0f} s"
        if found.smallest is None:
            print(f"fuzz: no difference in {tried}")
            return 0
        write_whole(self.out, problems.to_json(found.smallest, self.plant, found.reason))
        print(f"fuzz: {found.reason}; found among {tried}\n  repeat it: python -m parity replay {self.out}")
        return 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay(output.Output):
    """Repeats what `fuzz` found and reports on it, in float64 and in the dtype that it was found in. Output and exit
    status as `check`."""

    file: tyro.conf.Positional[Path]
    """What `fuzz` wrote."""

    def run(self) -> int:
        """Returns the exit status."""
        self.check_files()
        from parity.encoder.subject import subject
        from parity.fuzz import problems

        try:
            problem, plant, _ = problems.from_json(self.file.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"cannot read {self.file}: {error.strerror}") from error
        wide = dataclasses.replace(problem, dtype="float64")
        with subject().session():
            environment = dict(subject().environment())

            precision: list[PrecisionRun] = []

            def compared() -> Run:
                found = problems.values(wide, plant)
                precision.extend([] if problem == wide else [problems.rounding(problem)])
                return run_of(self.file.stem, "fuzz", found)

            run = attempt(self.file.stem, "fuzz", compared)
        return self.conclude(Report(subject().name, SEMANTIC, environment, (run,), precision=tuple(precision)))
