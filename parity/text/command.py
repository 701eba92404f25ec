"""`python -m parity text`."""

import dataclasses
from typing import Annotated

import tyro

from parity.errors import UsageError
from parity.judge.verdict import Report
from parity.report import output

# Groups of texts, those that are no Unicode among them.
GROUPS = 13


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text(output.Output):
    """Compares how a checkpoint's folder is read: tokens, special tokens, types, mask and positions of some 700 hard
    texts against transformers' AutoTokenizer or sentence-transformers, then vectors and the scores of masked words in
    float64. Output and exit status as `check`."""

    model: Annotated[str, tyro.conf.arg(metavar="DIR")]
    """Folder of a published checkpoint, or its name on the Hugging Face hub."""
    computed: int = 128
    """How many of the texts go through the networks; all are read."""

    def run(self) -> int:
        """Returns the exit status."""
        self.check_files()
        if self.computed < 0:
            raise UsageError(f"--computed must be at least 0, got {self.computed}")
        return self.conclude(self._check())

    def _check(self) -> Report:
        from parity.text.check import check_text

        with output.progress(GROUPS) as advance:
            return check_text(self.model, computed=self.computed, progress=lambda variant, case: advance(case))
