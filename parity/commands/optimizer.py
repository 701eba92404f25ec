"""`python -m parity optimizer`."""

import dataclasses

from parity.check import choose
from parity.commands import common
from parity.settings import CASES, VARIANTS
from parity.verdict import Report

BINDING = "parity.encoder.optimizer"  # check_optimizers(variants=, cases=, progress=) -> Report


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer(common.Output):
    """Compares optax with torch.optim, stage by stage of every step, from a random state. Output and exit status as
    `check`."""

    config: common.Names = ()
    """Check this optimizer and schedule only; may be given several times."""
    case: common.Names = ()
    """Check this magnitude of gradients only; may be given several times."""

    def run(self) -> int:
        """Returns the exit status."""
        self.check_files()
        return self.conclude(self._check())

    def _check(self) -> Report:
        variants = choose("variant", self.config or None, VARIANTS)
        cases = choose("case", self.case or None, CASES)
        binding = common.load(BINDING)
        with common.progress(len(variants) * len(cases)) as advance:
            return binding.check_optimizers(
                variants=variants, cases=cases, progress=lambda variant, case: advance(f"{variant}, {case}")
            )
