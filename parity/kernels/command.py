"""`python -m parity kernels`."""

import dataclasses
from typing import Annotated

import tyro

from parity.judge.verdict import Report
from parity.report import output


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernels(output.Output):
    """Compares every implementation of attention with the reference, forward and backward, and lowers it for the
    devices that it is made for. What did not run on its own device is "interpreted" or "lowered only" and never passes.
    Output and exit status as `check`."""

    implementation: output.Names = ()
    """Check this implementation only; may be given several times."""
    case: output.Names = ()
    """Check these sizes only; may be given several times."""
    dtype: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="DTYPE")] = ()
    """Check in this dtype only, of float64, float32 and bfloat16; may be given several times."""

    def run(self) -> int:
        """Returns the exit status."""
        self.check_files()
        return self.conclude(self._check())

    def _check(self) -> Report:
        from parity.kernels.runs import check_kernels, planned

        asked = self.implementation or None, self.case or None, self.dtype or None
        names, parts = planned(*asked)
        with output.progress(len(names) + len(parts)) as advance:
            return check_kernels(*asked, progress=lambda implementation, case: advance(f"{implementation}, {case}"))
