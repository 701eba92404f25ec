"""`python -m parity calibrate`."""

import dataclasses
from typing import Annotated, Literal

import tyro

from parity.cases.case import CASE_NAMES
from parity.errors import UsageError
from parity.judge.crash import SideError
from parity.precision.calibration import false_alarms, render
from parity.report import output


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Measures rounding where nothing is wrong: random encoders with equal parameters on both sides, in a deployed
    dtype. Prints how our errors compare with torch's, and how many would be false alarms; status 0 if none would."""

    configs: int = 200
    """How many random encoders to run."""
    dtype: Annotated[Literal["float32", "bfloat16"], tyro.conf.arg(metavar="{float32,bfloat16}")] = "float32"
    """What to compute in."""
    seed: int = 0
    """Of the encoders; the first of many are those of a few."""

    def run(self) -> int:
        """Returns the exit status."""
        if self.configs < 1 or self.seed < 0:
            raise UsageError(f"--configs must be at least 1 and --seed at least 0, got {self.configs} and {self.seed}")
        from parity.precision.runs import precision_runs, random_forms

        forms = random_forms(self.configs, self.seed)
        with output.progress(len(forms) * len(CASE_NAMES)) as advance:
            runs = precision_runs(forms, CASE_NAMES, [self.dtype], lambda name, case: advance(f"{name}, {case}"))
        for run in runs:
            if run.crash is not None:
                raise SideError(run.crash)
        print(f"{self.dtype}, seed {self.seed}: {render(runs)}", end="")
        return 1 if false_alarms(runs) else 0
