"""`python -m parity text`."""

import dataclasses
from typing import Annotated

import tyro

from parity.errors import UsageError
from parity.judge.verdict import Report
from parity.report import output
from parity.text.corpus import COMPUTED

# Groups of texts, those that are no Unicode among them.
GROUPS = 13


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text(output.Output):
    """Compares how a checkpoint's folder is read: tokens, special tokens, types, mask and positions of some 700 hard
    texts against transformers' AutoTokenizer or sentence-transformers, then vectors and the scores of masked words in
    float64. Without --model, that of small folders which are made on the spot, of many families and kinds of
    tokenizers. Output and exit status as `check`."""

    model: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder of a published checkpoint, or its name on the Hugging Face hub."""
    folder: output.Names = ()
    """Without --model, this small folder only; may be given several times."""
    computed: int = COMPUTED
    """How many of the texts of a folder go through the networks; all are read."""

    def run(self) -> int:
        """Returns the exit status."""
        self.check_files()
        if self.computed < 0:
            raise UsageError(f"--computed must be at least 0, got {self.computed}")
        if self.model is not None and self.folder:
            raise UsageError("--folder names folders that are made here: leave out --model")
        return self.conclude(self._check())

    def _check(self) -> Report:
        if self.model is None:
            from parity.text.folders import SMALL
            from parity.text.small import check_small

            with output.progress(GROUPS * (len(self.folder) or len(SMALL))) as advance:
                return check_small(
                    self.folder or None,
                    computed=self.computed,
                    progress=lambda folder, case: advance(f"{folder}, {case}"),
                )
        from parity.text.check import check_text

        with output.progress(GROUPS) as advance:
            return check_text(self.model, computed=self.computed, progress=lambda variant, case: advance(case))
