"""`python -m parity training`."""

import dataclasses
from typing import Annotated, Any, Literal

import tyro

from parity.errors import UsageError
from parity.report import output
from parity.training.drift import drift_plot, save, summary


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(output.Output):
    """Trains a small encoder in both frameworks, with the same batches and dropout, and compares every step. Output and
    exit status as `check`."""

    steps: int = 100
    """Updates of the parameters."""
    preset: Literal["modernbert", "bert"] = "modernbert"
    """Form of the encoder; both have two layers, and dropout."""
    accumulate: int = 2
    """Micro-batches to a step."""
    optimizer: Literal["adamw", "stable_adamw", "lamb", "muon"] = "adamw"
    """What moves the parameters."""
    seed: int = 0
    """Of the initial parameters, the order of rows, the masks and dropout."""
    data: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FILE ...")] = ()
    """Files or globs, as for train.py; without any, the State of the Union addresses."""
    plot: output.File = None
    """Draw how far both frameworks drift from float64 in float32, as PNG."""

    def run(self) -> int:
        """Returns the exit status."""
        self.check_files()
        output.writable("--plot", self.plot)
        from parity.training.runs import check_training

        course = self._prepare()
        with output.progress(self.steps) as advance:
            report = check_training(course, lambda step: advance(f"step {step}"))
        status = self.conclude(report)
        if report.curves:
            print(f"\n{summary(report.curves)}")
            if self.plot is not None:
                save(drift_plot(report.curves), self.plot)
        return status

    def _prepare(self) -> Any:
        """Makes the course; text or numbers that cannot work are a ValueError with a message for the user."""
        from parity.training.course import prepare

        try:
            return prepare(
                self.preset,
                steps=self.steps,
                accumulate=self.accumulate,
                seed=self.seed,
                data=self.data,
                optimizer=self.optimizer,
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
