"""Runs a subject's variants on its cases and compares every site."""

import difflib
import math
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from parity.adequacy import inadequacies
from parity.cases import CASE_NAMES, make_case
from parity.compare import SEMANTIC, Comparison, compare
from parity.errors import MismatchError, UsageError
from parity.sites import Site, collect
from parity.subject import Runner, Subject, Trace, Variant
from parity.verdict import Report, Run

FLOAT64 = np.dtype(np.float64)


def check(
    subject: Subject,
    *,
    variants: Sequence[str] | None = None,
    cases: Sequence[str] | None = None,
    progress: Callable[[str, str], object] = lambda variant, case: None,
) -> Report:
    """Compares both sides at every site, in float64, on every chosen variant and case.

    Args:
        subject: the two programs.
        variants: names; None takes all.
        cases: names; None takes all.
        progress: called with the variant's and the case's name before each run.

    Raises:
        UsageError: a name is unknown.
    """
    known = subject.variants()
    variants = choose("variant", variants, known)
    cases = choose("case", cases, CASE_NAMES)
    with subject.session():
        runs = tuple(run for name in variants for run in _runs(name, known[name], cases, progress))
        return Report(subject.name, SEMANTIC, dict(subject.environment()), runs)


def compare_trace(trace: Trace, allowed: float = SEMANTIC) -> tuple[Comparison, ...]:
    """Compares site by site in the order computed; floats must be float64.

    A site that only one side has, or has elsewhere in the order, is a failing comparison where it stands.

    Raises:
        MismatchError: a site has no name, or shares it.
    """
    actual, expected = collect(trace.actual), collect(trace.expected)
    names = [site.name for site in actual], [site.name for site in expected]
    found: list[Comparison] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, *names, autojunk=False).get_opcodes():
        if tag == "equal":
            for ours, theirs in zip(actual[a:b], expected[c:d], strict=True):
                found.append(compare(ours.name, ours.value, theirs.value, allowed=allowed, dtype=FLOAT64))
        else:
            found += [_alone(site, "JAX", "torch", site.name in names[1], allowed) for site in actual[a:b]]
            found += [_alone(site, "torch", "JAX", site.name in names[0], allowed) for site in expected[c:d]]
    return tuple(found)


def mismatched(variant: str, case: str, error: MismatchError, inadequate: tuple[str, ...] = ()) -> Run:
    """The run of two sides that cannot even be brought together: one failing comparison."""
    return Run(variant, case, (Comparison("parameters", (), "", math.inf, SEMANTIC, problem=str(error)),), inadequate)


def _alone(site: Site, here: str, there: str, elsewhere: bool, allowed: float) -> Comparison:
    problem = f"{here} computes this value here, {there} {'elsewhere in the order' if elsewhere else 'never'}"
    return Comparison(site.name, site.value.shape, str(site.value.dtype), math.inf, allowed, problem=problem)


def choose(what: str, chosen: Sequence[str] | None, known: Collection[str]) -> list[str]:
    """The chosen names, once each, in the known order."""
    unknown = [name for name in chosen or () if name not in known]
    if unknown:
        raise UsageError(f"no {what} is called {', '.join(unknown)}; there are: {', '.join(known)}")
    return [name for name in known if chosen is None or name in chosen]


def _runs(name: str, variant: Variant, cases: Sequence[str], progress: Callable[[str, str], object]) -> Iterator[Run]:
    """One variant on all cases, built once; what cannot be built fails on the first and is not tried again."""
    run: Runner | None = None
    for case in cases:
        progress(name, case)
        made = make_case(case, variant.sizes)
        unfit = inadequacies(made, variant.sizes)
        try:
            run = run or variant.build()
            trace = run(made)
            compared = compare_trace(trace)
        except MismatchError as error:
            yield mismatched(name, case, error, unfit)
            if run is None:
                return
            continue
        yield Run(name, case, compared, (*unfit, *trace.inadequate))
