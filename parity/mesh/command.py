"""`python -m parity mesh`."""

import dataclasses
from typing import Annotated

import tyro

from parity.judge.verdict import Report
from parity.report import output


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mesh(output.Output):
    """Takes training steps over eight simulated devices, shared in every way that they can be, saves and restores the
    state between them, and compares loss, gradients and parameters with a plain loop on one device. Output and exit
    status as `check`."""

    mesh: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="AXES")] = ()
    """Check this mesh only, as in data=2,fsdp=4; may be given several times."""
    case: output.Names = ()
    """Check this form of the encoder only; may be given several times."""

    def run(self) -> int:
        """Returns the exit status."""
        self.check_files()
        return self.conclude(self._check())

    def _check(self) -> Report:
        from parity.mesh.runs import check_mesh, planned

        asked = self.mesh or None, self.case or None
        with output.progress(len(planned(*asked))) as advance:
            return check_mesh(*asked, progress=lambda mesh, case: advance(f"{mesh}, {case}"))
