"""`python -m parity check`."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro

from parity.cases.case import CASE_NAMES, make_case
from parity.check import parallel, text
from parity.errors import UsageError
from parity.judge.check import choose, chosen_variants
from parity.judge.subject import Subject
from parity.judge.verdict import Report
from parity.report import output


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check(output.Output):
    """Compares both sides at every site, with random parameters, on every variant and case. Prints a report whose first
    line is the verdict; ends with status 0 if it is PASS, 1 if it is FAIL or VACUOUS, 3 if it is ERROR, which says that
    a side raised where it was built or run."""

    against: Literal["torch_ref", "transformers"] = "torch_ref"
    """The reference: our own, written from the papers, or transformers' classes of the published families."""
    family: output.Names = ()
    """With --against transformers, check the classes of this family only; may be given several times."""
    seed: int = 0
    """With --against transformers, of the encoders' sizes and options."""
    model: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """With --against transformers, a published checkpoint with its own weights, each side as it reads them, and its
    text as `text` checks it: a folder, or a name on the Hugging Face hub."""
    config: output.Names = ()
    """Check this variant only; may be given several times."""
    case: output.Names = ()
    """Check this case only; may be given several times."""
    dtype: output.Names = ()
    """Also measure the rounding in this dtype, float32 or bfloat16, against torch's own; may be given several times."""
    jobs: int = 0
    """Processes to share the variants; 0 takes one for every core that may be used."""
    list: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the names of all variants and cases, and stop."""

    def run(self) -> int:
        """Returns the exit status."""
        self.check_files()
        if self.against == "torch_ref" and (self.family or self.seed or self.model):
            raise UsageError("--family, --seed and --model are of transformers' classes: add --against transformers")
        if self.against == "transformers" and self.dtype:
            raise UsageError("--dtype measures rounding beside our own reference's: leave out --against transformers")
        if self.jobs < 0:
            raise UsageError(f"--jobs must be at least 0, got {self.jobs}")
        make, known = self._subject()
        if self.list:
            print(_listing(make()))
            return 0
        return self.conclude(self._check(make, known))

    def _subject(self) -> tuple[parallel.Make, Sequence[str]]:
        """What makes the subject to check, and the names of the cases that it can take."""
        if self.against == "transformers":
            from parity.published import subject as published

            return functools.partial(published.subject, self.family, self.seed, self.model), published.CASES
        from parity.encoder import subject as encoder

        return encoder.subject, CASE_NAMES

    def _check(self, make: parallel.Make, possible: Sequence[str]) -> Report:
        subject, jobs = make(), self.jobs or output.cores()
        variants = chosen_variants(subject, self.config or None)
        cases, dtypes = choose("case", self.case or None, possible), tuple(dict.fromkeys(self.dtype))
        # Who asks for some variant or case asks for no text.
        model = None if self.config or self.case else self.model
        parts = len(variants) * len(cases) * (1 + len(dtypes)) + text.GROUPS * (model is not None)
        with output.progress(parts) as advance:

            def progress(variant: str, case: str) -> None:
                advance(f"{variant}, {case}")

            report = parallel.check_in_parallel(make, variants, cases, jobs=jobs, progress=progress)
            report = report if model is None else text.with_text(report, model, progress)
            if not dtypes:
                return report
            from parity.encoder import variants as matrix
            from parity.precision.runs import precision_runs

            forms = {**matrix.variants(), **matrix.presets()}
            measured = precision_runs({name: forms[name] for name in variants}, cases, dtypes, progress)
            return dataclasses.replace(report, precision=measured, preflight=subject.preflight(dtypes))


def _listing(subject: Subject) -> str:
    variants = subject.variants()
    default = [name for name, variant in variants.items() if variant.by_default]
    lines = [f"{len(default)} variants of {subject.name}:", *(f"  {name}" for name in default)]
    if len(default) < len(variants):
        lines += ["checked only by name:", *(f"  {name}" for name in variants if name not in default)]
    lines.append(f"{len(CASE_NAMES)} cases, each made to expose something:")
    if variants:
        sizes = next(iter(variants.values())).sizes
        width = max(map(len, CASE_NAMES))
        lines += [f"  {name:<{width}}  {make_case(name, sizes).exposes}" for name in CASE_NAMES]
    return "\n".join(lines)
