"""Runs our encoders in the dtypes that they are deployed in, and tells what a loss of digits looks like."""

import dataclasses
import functools
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np

from parity.cases.case import make_case
from parity.encoder.form import Form
from parity.encoder.random_config import random_form
from parity.encoder.session import in_dtype
from parity.encoder.variants import sizes_of, variants
from parity.errors import MismatchError, UsageError
from parity.judge.check import compare_sites
from parity.judge.compare import SEMANTIC
from parity.judge.crash import SideError
from parity.judge.outcome import Outcome
from parity.judge.rounding import DIGITS, BugTrace, ExplainedRun, explain, measure
from parity.judge.verdict import PrecisionRun, Report, Run, SiteError, Verdict
from parity.precision.bugs import PRECISION_BUGS, PrecisionBug
from parity.precision.deployed import Deployed, Program

# Dtype -> case -> why it proves nothing there.
LEFT_OUT: Mapping[str, Mapping[str, str]] = {
    "bfloat16": {
        "low-variance": "its tokens vary by a 3,000th of their mean, which 8 binary digits cannot hold: "
        "both sides' errors reach 0.6 of the values themselves"
    },
}

Progress = Callable[[str, str], object]


def precision_runs(
    forms: Mapping[str, Form],
    cases: Sequence[str],
    dtypes: Sequence[str],
    progress: Progress = lambda variant, case: None,
    bug: PrecisionBug | None = None,
) -> tuple[PrecisionRun, ...]:
    """Measures every encoder on every case in every dtype, but for the cases that are LEFT_OUT.

    The first run of every dtype to fail is explained. JAX's matrix products have whatever precision it is set to.

    Args:
        forms: by name.
        cases: names.
        dtypes: "float32" or "bfloat16".
        progress: called with the name (and dtype) and the case before each run.
        bug: planted in our side, to see what is said of it.

    Raises:
        UsageError: no such dtype.
    """
    unknown = [dtype for dtype in dtypes if dtype not in DIGITS]
    if unknown:
        raise UsageError(f"no precision tier for {', '.join(unknown)}; there are: {', '.join(DIGITS)}")
    runs: list[PrecisionRun] = []
    for dtype in dtypes:
        kept = [case for case in cases if case not in LEFT_OUT.get(dtype, {})]
        with in_dtype(dtype):
            found = [run for name, form in forms.items() for run in _runs(name, form, dtype, kept, progress, bug)]
            failed = next((i for i, run in enumerate(found) if run.first_to_differ is not None), None)
            if failed is not None:
                found[failed] = _explained(found[failed], forms[found[failed].variant], bug)
            runs += found
    return tuple(runs)


def random_forms(count: int, seed: int) -> dict[str, Form]:
    """Models of random form and sizes; the first of a larger count are those of a smaller one."""
    rng = np.random.default_rng(seed)
    return {f"config {index}": random_form(rng) for index in range(count)}


def outcomes(names: frozenset[str] | None = None, *, variant: str = "post", case: str = "ragged") -> Iterator[Outcome]:
    """Makes every loss of digits that the catalogue has on purpose, one after the other, in our side.

    What it says of the first site stands for itself: nothing is replayed in a lower precision, so nothing is located.

    Args:
        names: of the losses; None takes all.
        variant, case: names of what it is planted in.
    """
    form = variants()[variant]
    for bug in (bug for bug in PRECISION_BUGS if names is None or bug.name in names):
        report = report_on(bug, form, case)
        site = _first_site(report)
        best = [run.explanations[0].bug for run in report.precision if isinstance(run, ExplainedRun)]
        yield Outcome(
            bug.name,
            "JAX",
            "precision",
            caught=report.verdict is bug.tier,
            first=re.fullmatch(bug.where, site) is not None,
            located=None,
            named=best == [bug.name] if report.precision else None,
            said=f"{report.verdict} at {site or '-'} ({', '.join(best) or '-'})",
        )


def report_on(bug: PrecisionBug, form: Form, case: str) -> Report:
    """What the check says of our encoder with the loss of digits in it: in float64, and in the dtype asked for."""
    with in_dtype("float32" if bug.part == "everything" else "float64"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # JAX says that it has no float64
        pair = Deployed.build(form, "float64")
        trace = pair.trace(make_case(case, sizes_of(form.config)), pair.program(bug))
    semantic = Run(bug.name, case, tuple(compare_sites(trace.ours, trace.reference)))
    asked = [bug.asked] if bug.asked in DIGITS else []
    precision = precision_runs({bug.name: form}, [case], asked, bug=bug)
    return Report(f"{bug.name}, planted", SEMANTIC, {}, (semantic,), precision)


def _runs(
    name: str,
    form: Form,
    dtype: str,
    cases: Sequence[str],
    progress: Progress,
    bug: PrecisionBug | None,
) -> Iterator[PrecisionRun]:
    """One encoder in one dtype on all cases, built once; what cannot be built fails on the first."""
    program: Program | None = None
    for case in cases:
        progress(f"{name} in {dtype}", case)
        try:
            if program is None:
                pair = Deployed.build(form, dtype)
                program = pair.program(bug)
            errors = measure(pair.trace(make_case(case, sizes_of(form.config)), program), dtype)
        except MismatchError:
            yield PrecisionRun(name, case, dtype, (SiteError("parameters", math.inf, math.nan, math.nan),))
            return
        except SideError as error:
            yield PrecisionRun(name, case, dtype, (), crash=error.crash)
            if program is None:
                return
            continue
        yield PrecisionRun(name, case, dtype, errors)
    jax.clear_caches()  # what was compiled for one encoder, some 50 MB, is of no use to the next


def _explained(run: PrecisionRun, form: Form, bug: PrecisionBug | None) -> PrecisionRun:
    """A failed run once more, beside what ours would compute with each known loss of digits."""
    assert run.first_to_differ is not None
    case, site = make_case(run.case, sizes_of(form.config)), run.errors[run.first_to_differ].site
    try:
        pair = Deployed.build(form, run.dtype)
    except MismatchError:
        return run
    trace = pair.trace(case, pair.program(bug))
    explanations = explain(trace, site, _with_each_bug(form, run.dtype, run.case))
    return (
        ExplainedRun(run.variant, run.case, run.dtype, run.errors, explanations=explanations) if explanations else run
    )


@functools.lru_cache(maxsize=1)  # of one encoder, mistakes are explained one after the other
def _with_each_bug(form: Form, dtype: str, case: str) -> tuple[BugTrace, ...]:
    """What ours computes at full precision: as it is, and with each known loss of digits."""
    pair, made = Deployed.build(form, dtype), make_case(case, sizes_of(form.config))
    planted = [bug for bug in PRECISION_BUGS if bug.tier is Verdict.FAIL_PRECISION]
    planted += [dataclasses.replace(bug, cuts=True) for bug in planted if bug.part == "products"]
    with jax.default_matmul_precision("highest"):
        with_bugs = [BugTrace(bug.name, bug.mistake, pair.ours(made, pair.program(bug))) for bug in planted]
        return (BugTrace("", "", pair.ours(made, pair.program())), *with_bugs)


def _first_site(report: Report) -> str:
    """Where the verdict was decided."""
    for run in report.runs:
        if run.first_to_differ is not None:
            return run.comparisons[run.first_to_differ].site
    for measured in report.precision:
        if measured.first_to_differ is not None:
            return measured.errors[measured.first_to_differ].site
    return ""
