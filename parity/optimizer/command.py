"""`python -m parity optimizer`."""

import dataclasses

from parity.judge.check import choose
from parity.judge.verdict import Report
from parity.optimizer.settings import CASES, VARIANTS
from parity.report import output


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer(output.Output):
    """Compares optax with torch.optim, stage by stage of every step, from a random state. Output and exit status as
    `check`."""

    config: output.Names = ()
    """Check this optimizer and schedule only; may be given several times."""
    case: output.Names = ()
    """Check this magnitude of gradients only; may be given several times."""

    def run(self) -> int:
        """Returns the exit status."""
        self.check_files()
        return self.conclude(self._check())

    def _check(self) -> Report:
        variants = choose("variant", self.config or None, VARIANTS)
        cases = choose("case", self.case or None, CASES)
        from parity.optimizer.bench import check_optimizers

        with output.progress(len(variants) * len(cases)) as advance:
            return check_optimizers(
                variants=variants, cases=cases, progress=lambda variant, case: advance(f"{variant}, {case}")
            )
