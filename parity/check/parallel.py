"""A check on several cores: every variant in one of a few processes, the report as if there had been one."""

import functools
from collections.abc import Callable, Mapping, Sequence

from parity.check.processes import shared_out
from parity.judge.check import Progress, check_variant, report_of
from parity.judge.subject import Subject
from parity.judge.verdict import Report, Run

Make = Callable[[], Subject]

# The subject of a worker process, made once for all of its variants.
_worker: dict[str, Subject] = {}


def check_in_parallel(
    make: Make, variants: Sequence[str], cases: Sequence[str], *, jobs: int, progress: Progress
) -> Report:
    """Checks variants side by side; equal to a check in one process.

    What is checked by name only is of full size, and runs here, one after the other: two such fill the memory.

    Args:
        make: makes the subject; a function of a module, or a partial of one, so that a process can be told of it.
        variants: known names, in the order to report them.
        cases: known names.
        jobs: how many processes.
        progress: called with the variant's and the case's name, after a variant's last case where it ran elsewhere.

    Raises:
        UsageError: a process was ended from outside, as for want of memory.
    """
    subject = make()
    known = subject.variants()
    small = [name for name in variants if known[name].by_default]
    found: Mapping[str, tuple[Run, ...]] = {}
    if jobs > 1 and len(small) > 1:
        found = _elsewhere(make, small, cases, jobs, progress)
    runs = {name: found[name] if name in found else check_variant(subject, name, cases, progress) for name in variants}
    return report_of(subject, tuple(run for name in variants for run in runs[name]))


def _elsewhere(
    make: Make, variants: Sequence[str], cases: Sequence[str], jobs: int, progress: Progress
) -> dict[str, tuple[Run, ...]]:
    def done(name: str) -> None:
        for case in cases:
            progress(name, case)

    work = functools.partial(_check_variant, tuple(cases))
    found = shared_out(work, variants, jobs=jobs, start=functools.partial(_start, make), done=done)
    return dict(zip(variants, found, strict=True))


def _start(make: Make) -> None:
    _worker["subject"] = make()


def _check_variant(cases: Sequence[str], name: str) -> tuple[Run, ...]:
    return check_variant(_worker["subject"], name, cases, lambda variant, case: None)
