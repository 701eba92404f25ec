"""`python -m parity compare`."""

import dataclasses
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from parity.errors import UsageError
from parity.judge.verdict import Verdict
from parity.report.output import File, writable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare:
    """Compares any two models. The file has a function `pair()` that returns both, and their inputs:
    `return parity.jax(ours), parity.torch(theirs), {"x": x}`. Prints a report whose first line is the verdict; ends
    with status 0 if it is PASS, 1 if it is FAIL or VACUOUS, 3 if a side raises."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A Python file with a function `pair()`."""
    backward: tyro.conf.FlagCreatePairsOff[bool] = False
    """Compare gradients, too."""
    randomise: tyro.conf.FlagCreatePairsOff[bool] = False
    """Draw the parameters at random, the same on both sides."""
    html: File = None
    """Also write the report to this file, as a page that needs nothing else."""

    def run(self) -> int:
        """Returns the exit status."""
        from parity.models.compare import compare_models

        writable("--html", self.html)
        ours, theirs, inputs = self._pair()
        weights = "randomise" if self.randomise else "as they are"
        report = compare_models(ours, theirs, inputs, weights=weights, backward=self.backward)
        print(report, end="")
        if self.html is not None:
            report.save(self.html)
        return {Verdict.PASS: 0, Verdict.ERROR: 3}.get(report.verdict, 1)

    def _pair(self) -> Sequence[Any]:
        """What the file's function returns.

        Raises:
            UsageError: there is no such file, it has no such function, or that returns something else.
        """
        if not self.file.is_file():
            raise UsageError(f"there is no file {self.file}")
        sys.path.insert(0, str(self.file.parent.resolve()))  # as if the file were run itself
        try:
            found = runpy.run_path(str(self.file)).get("pair")
            if not callable(found):
                raise UsageError(f"{self.file} has no function pair()")
            pair = found()
        finally:
            sys.path.pop(0)
        if not isinstance(pair, tuple) or len(pair) != 3:
            raise UsageError(
                f"pair() of {self.file} must return ours, theirs and the inputs, got {type(pair).__name__}"
            )
        return pair
