"""`python -m parity check`."""

import dataclasses

import tyro

from parity.cases import CASE_NAMES, make_case
from parity.check import check, choose
from parity.commands import common
from parity.subject import Subject
from parity.verdict import Report

BINDING = "parity.encoder.subject"  # subject() -> Subject


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """Compares both sides at every site, with random parameters, on every variant and case. Prints a report whose first
    line is the verdict; ends with status 0 if it is PASS, 1 if it is FAIL or VACUOUS."""

    config: common.Names = ()
    """Check this variant only; may be given several times."""
    case: common.Names = ()
    """Check this case only; may be given several times."""
    json: common.File = None
    """Also write the report to this file, as JSON."""
    list: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the names of all variants and cases, and stop."""

    def run(self, subject: Subject | None = None) -> int:
        """Returns the exit status; `subject` is what to check, None takes our encoders."""
        common.writable("--json", self.json)
        subject = subject or common.load(BINDING).subject()
        if self.list:
            print(_listing(subject))
            return 0
        return common.conclude(self._check(subject), self.json)

    def _check(self, subject: Subject) -> Report:
        variants, cases = self.config or None, self.case or None
        total = len(choose("variant", variants, subject.variants())) * len(choose("case", cases, CASE_NAMES))
        with common.progress(total) as advance:
            return check(
                subject, variants=variants, cases=cases, progress=lambda variant, case: advance(f"{variant}, {case}")
            )


def _listing(subject: Subject) -> str:
    variants = subject.variants()
    lines = [f"{len(variants)} variants of {subject.name}:", *(f"  {name}" for name in variants)]
    lines.append(f"{len(CASE_NAMES)} cases, each made to expose something:")
    if variants:
        sizes = next(iter(variants.values())).sizes
        width = max(map(len, CASE_NAMES))
        lines += [f"  {name:<{width}}  {make_case(name, sizes).exposes}" for name in CASE_NAMES]
    return "\n".join(lines)
