"""Runs a subject's variants on its cases, compares every site, and finds where differences are made."""

import difflib
import functools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parity.cases.adequacy import inadequacies
from parity.cases.case import CASE_NAMES, Case, make_case
from parity.errors import MismatchError, UsageError
from parity.judge.compare import SEMANTIC, Comparison, compare
from parity.judge.crash import SideError
from parity.judge.inert import Candidates, outputs
from parity.judge.locate import culprits, feedable
from parity.judge.residual import describe, worst_elements
from parity.judge.sites import Site, collect
from parity.judge.subject import Difference, Drawing, Explain, Part, Runner, Structure, Subject, Trace, Variant
from parity.judge.verdict import Culprit, Explanation, Report, Run

FLOAT64 = np.dtype(np.float64)

# Culprits that are looked at closely, and entries of each that are shown.
_EXPLAINED, _ELEMENTS = 8, 8

Progress = Callable[[str, str], object]


class Compared(NamedTuple):
    """All comparisons of one trace; see `parity.judge.verdict.Run`."""

    comparisons: tuple[Comparison, ...]
    replayed: tuple[Comparison, ...] = ()
    culprits: tuple[Culprit, ...] = ()
    inert: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def differing(self) -> tuple[Comparison, ...]:
        """What differs and matters."""
        return tuple(one for one in self.comparisons if not one.agrees and one.site not in self.inert)


def check(
    subject: Subject,
    *,
    variants: Sequence[str] | None = None,
    cases: Sequence[str] | None = None,
    progress: Progress = lambda variant, case: None,
) -> Report:
    """Compares both sides at every site, in float64, on every chosen variant and case.

    The first case of every variant, and every case that fails, is also replayed block by block. A run in which a side
    raises is an error of its own; the others go on.

    Args:
        subject: the two programs.
        variants: names; None takes all that are checked by default.
        cases: names; None takes all.
        progress: called with the variant's and the case's name before each run.

    Raises:
        UsageError: a name is unknown.
    """
    chosen, cases = chosen_variants(subject, variants), choose("case", cases, CASE_NAMES)
    return report_of(subject, tuple(run for name in chosen for run in check_variant(subject, name, cases, progress)))


def check_variant(subject: Subject, name: str, cases: Sequence[str], progress: Progress) -> tuple[Run, ...]:
    """One variant on some cases, all by known names, and what it draws by itself."""
    variant = subject.variants()[name]
    with subject.session():
        runs = tuple(_runs(name, variant, cases, progress))
        drawn = variant.draws(name) if isinstance(variant, Drawing) else None
    return runs if drawn is None else (*runs, drawn)


def report_of(subject: Subject, runs: tuple[Run, ...]) -> Report:
    """What the runs come to, with all that they depended on."""
    preflight = subject.preflight(())
    with subject.session():
        return Report(subject.name, SEMANTIC, dict(subject.environment()), runs, preflight=preflight)


def compare_trace(trace: Trace, *, replay: bool = False) -> Compared:
    """Compares a trace part by part, in the order computed; floats must be float64.

    Args:
        trace: what both sides computed.
        replay: whether to compute every value once more from the reference's although nothing differs.

    Raises:
        MismatchError: a site has no name, or shares it.
        SideError: a side raised; it holds what had been compared before.
    """
    compared: list[Comparison] = []
    try:
        return _compare_parts(trace, compared, replay)
    except SideError as error:
        error.compared = tuple(compared)
        raise


def _compare_parts(trace: Trace, compared: list[Comparison], replay: bool) -> Compared:
    """Compares part by part, into `compared`."""
    replayed: list[Comparison] = []
    fed: dict[str, bool] = {}
    differing: list[tuple[Explain | None, list[Difference]]] = []
    candidates = Candidates()
    for part in trace.parts:
        found = compare_sites(part.actual, part.expected, part.scales)
        compared += found
        candidates.note(part, found)
        theirs = {site.name: site.value for site in part.expected}
        fed |= {site.name: feedable(site.value, theirs[site.name]) for site in part.actual if site.name in theirs}
        if part.replay is not None and (replay or not all(comparison.agrees for comparison in compared)):
            local, differences = _replayed(part, theirs)
            replayed += local
            differing.append((part.explain, differences))
    if trace.structure is None or all(comparison.agrees for comparison in compared):
        return Compared(tuple(compared), tuple(replayed))
    structure = trace.structure()
    inert = candidates.inert(compared, structure.reads)
    mattering = [comparison for comparison in compared if comparison.site not in inert]
    made = culprits(mattering, replayed, fed, structure.reads, structure.aliases)
    return Compared(
        tuple(compared),
        tuple(replayed),
        _look_closely(made, differing, structure),
        inert,
        outputs(compared, structure.reads),
    )


def _replayed(part: Part, theirs: Mapping[str, np.ndarray]) -> tuple[list[Comparison], list[Difference]]:
    """One part computed from the reference's values, compared with them; and both arrays of what differs even so."""
    assert part.replay is not None
    ours = {site.name: site.value for site in part.replay()}
    local = compare_sites(tuple(Site(*site) for site in ours.items()), part.expected, part.scales)
    names = [one.site for one in local if not one.agrees and one.site in ours and one.site in theirs]
    return local, [Difference(name, ours[name], theirs[name]) for name in names]


def compare_sites(
    actual: Sequence[Site], expected: Sequence[Site], scales: Mapping[str, float] | None = None
) -> list[Comparison]:
    """Compares site by site; one that only one side has, or has elsewhere in the order, fails where it stands.

    Raises:
        MismatchError: a site has no name, or shares it.
    """
    actual, expected = collect(actual), collect(expected)
    names = [site.name for site in actual], [site.name for site in expected]
    found: list[Comparison] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, *names, autojunk=False).get_opcodes():
        if tag == "equal":
            for ours, theirs in zip(actual[a:b], expected[c:d], strict=True):
                scale = (scales or {}).get(ours.name, 0.0)
                found.append(compare(ours.name, ours.value, theirs.value, allowed=SEMANTIC, dtype=FLOAT64, scale=scale))
        else:
            found += [_alone(site, "JAX", "torch", site.name in names[1]) for site in actual[a:b]]
            found += [_alone(site, "torch", "JAX", site.name in names[0]) for site in expected[c:d]]
    return found


def attempt(variant: str, case: str, run: Callable[[], Run], inadequate: tuple[str, ...] = ()) -> Run:
    """A run, whatever becomes of it: two sides that cannot be brought together fail, a side that raises is an error.

    Args:
        variant, case: names.
        run: does it.
        inadequate: known beforehand.
    """
    try:
        return run()
    except MismatchError as error:
        return mismatched(variant, case, error, inadequate)
    except SideError as error:
        return Run(variant, case, error.compared, inadequate, crash=error.crash)


def run_of(variant: str, case: str, found: Compared, inadequate: tuple[str, ...] = ()) -> Run:
    """The run of one trace."""
    return Run(variant, case, found.comparisons, inadequate, *found[1:])


def mismatched(variant: str, case: str, error: MismatchError, inadequate: tuple[str, ...] = ()) -> Run:
    """The run of two sides that cannot even be brought together: one failing comparison."""
    return Run(variant, case, (Comparison("parameters", (), "", math.inf, SEMANTIC, problem=str(error)),), inadequate)


def chosen_variants(subject: Subject, names: Sequence[str] | None) -> list[str]:
    """The variants of these names, once each, in the known order; None stands for all that are checked by default.

    Raises:
        UsageError: a name is unknown.
    """
    known = subject.variants()
    return [name for name, one in known.items() if one.by_default] if names is None else choose("variant", names, known)


def choose(what: str, chosen: Sequence[str] | None, known: Collection[str]) -> list[str]:
    """The chosen names, once each, in the known order."""
    unknown = [name for name in chosen or () if name not in known]
    if unknown:
        raise UsageError(f"no {what} is called {', '.join(unknown)}; there are: {', '.join(known)}")
    return [name for name in known if chosen is None or name in chosen]


def _alone(site: Site, here: str, there: str, elsewhere: bool) -> Comparison:
    problem = f"{here} computes this value here, {there} {'elsewhere in the order' if elsewhere else 'never'}"
    return Comparison(site.name, site.value.shape, str(site.value.dtype), math.inf, SEMANTIC, problem=problem)


def _look_closely(
    made: Sequence[Comparison], differing: Sequence[tuple[Explain | None, list[Difference]]], structure: Structure
) -> tuple[Culprit, ...]:
    """Names and describes the first culprits; the rest are only listed."""
    close = {one.site for one in made[:_EXPLAINED]}
    known: dict[str, Difference] = {}
    explanations: dict[str, tuple[Explanation, ...]] = {}
    for explain, differences in differing:
        concerned = [one for one in differences if one.site in close]
        known |= {one.site: one for one in concerned}
        if concerned and explain is not None:
            named = explain(concerned, differences)
            explanations |= dict(zip((one.site for one in concerned), named, strict=True))
    found = []
    for comparison in made:
        site = comparison.site
        culprit = Culprit(site, structure.reads.get(site, ()), comparison)
        if site in known:
            _, actual, expected = known[site]
            culprit = culprit._replace(
                elements=worst_elements(actual, expected, _ELEMENTS),
                explanations=explanations.get(site, ()),
                shape=describe(actual, expected, structure.axes(site), structure.seen_BS),
            )
        found.append(culprit)
    return tuple(found)


def _runs(name: str, variant: Variant, cases: Sequence[str], progress: Progress) -> Iterator[Run]:
    """One variant on all cases, built once; what cannot be built fails on the first and is not tried again."""
    build = functools.cache(variant.build)
    for case in cases:
        progress(name, case)
        made = make_case(case, variant.sizes)
        unfit = inadequacies(made, variant.sizes)
        run = functools.partial(_run, name, build, made, unfit, replay=case == cases[0])
        yield attempt(name, case, run, unfit)
        if not build.cache_info().currsize:
            return


def _run(name: str, build: Callable[[], Runner], case: Case, unfit: tuple[str, ...], *, replay: bool) -> Run:
    """One variant on one case."""
    trace = build()(case)
    found = compare_trace(trace, replay=replay)
    return run_of(name, case.name, found, (*unfit, *trace.inadequate))
