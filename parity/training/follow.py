"""Two training runs beside each other: the first step and value at which they part, and how rounding drives them apart.

Both start from the same parameters and see the same batches and dropout masks. After every step the learning rate,
the loss, the norm of the gradient and every parameter are compared, after some what an evaluation on held-out batches
says of them. Sites are named `step 17 parameter head.bias` and `step 100 evaluation loss`; steps count from 1.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from parity.judge import explain as planting
from parity.judge.compare import SEMANTIC, Comparison, compare
from parity.judge.crash import SideError, running
from parity.judge.residual import describe, worst_elements
from parity.judge.sites import Site
from parity.judge.verdict import Crash, Culprit, Explanation, Run

FLOAT64 = np.dtype(np.float64)

# Entries of a culprit that are shown.
_ELEMENTS = 8

# What an evaluation that is not deterministic is called.
DROPS = "evaluation-drops"

Arrays = Mapping[str, np.ndarray]


class Evaluation(NamedTuple):
    """What held-out batches say of parameters: means over all targets, and how many those are."""

    loss: np.ndarray
    accuracy: np.ndarray
    targets: np.ndarray


class Result(NamedTuple):
    """What one step was, and the parameters that it led to; names and layouts are torch's.

    `evaluation` is of these parameters, without dropout; None after a step that is not evaluated.
    """

    learning_rate: np.ndarray
    loss: np.ndarray
    gradient_norm: np.ndarray
    parameter: Arrays
    evaluation: Evaluation | None = None


@runtime_checkable
class Side(Protocol):
    """One framework's training run."""

    def step(self) -> Result:
        """Does one more step."""


@runtime_checkable
class Reference(Side, Protocol):
    """A run whose state can be taken out."""

    def state(self) -> Any:
        """All that the next step depends on, as it is now."""


class Suspect(NamedTuple):
    """The reference with a known mistake in it; `step` does the step that follows a state."""

    mistake: str
    step: Callable[[Any], Result]


class Laboratory(NamedTuple):
    """Single steps from a state of the reference: ours, that of a reference without a mistake, and those with one.

    `undropped` evaluates the parameters of a result of ours by ours with every rate at 0.
    """

    ours: Callable[[Any], Result]
    clean: Callable[[Any], Result]
    suspects: Mapping[str, Suspect]
    undropped: Callable[[Result], Evaluation]


class Followed(NamedTuple):
    """A run of comparisons, and figures by step."""

    run: Run
    curves: dict[str, tuple[float, ...]]


def follow(
    name: tuple[str, str],
    sides: tuple[Side, Reference],
    steps: int,
    laboratory: Laboratory,
    lower: Mapping[str, Side],
    progress: Callable[[int], object] = lambda step: None,
) -> Followed:
    """Runs both sides step by step until they part, and others in a lower precision beside them.

    Args:
        name: of the variant and the case.
        sides: ours and the reference, in float64.
        steps: how many at most.
        laboratory: finds out what made a difference.
        lower: runs whose distance from the reference is recorded, by name, which begins with their framework's.
        progress: called with the number of each step before it.
    """
    ours, theirs = sides
    comparisons: list[Comparison] = []
    replayed: list[Comparison] = []
    culprits: tuple[Culprit, ...] = ()
    curves: dict[str, list[float]] = {}
    scales = Scales()
    crash: Crash | None = None
    try:
        for step in range(1, steps + 1):
            progress(step)
            before = theirs.state()
            actual, expected = _step("JAX", ours, comparisons), _step("torch", theirs, comparisons)
            scales.add(expected)
            compared = compare_results(step, actual, expected, scales)
            comparisons += compared
            if not all(comparison.agrees for comparison in compared):
                replayed, culprits = _investigate(step, before, expected, scales, laboratory)
                break
            for what, side in {"JAX float64": None, **lower}.items():
                lowered = actual if side is None else _step(what.split()[0], side, comparisons)
                for measure, distance in distances(lowered, expected).items():
                    curves.setdefault(f"{measure}, {what}", []).append(distance)
    except SideError as error:
        crash = error.crash
    run = Run(*name, tuple(comparisons), replayed=tuple(replayed), culprits=culprits, crash=crash)
    return Followed(run, {what: tuple(values) for what, values in curves.items()})


def _step(name: str, side: Side, comparisons: list[Comparison]) -> Result:
    """One more step of a side, after what was compared before."""
    with running(name, lambda: comparisons[-1].site if comparisons else ""):
        return side.step()


def allowed(step: int) -> float:
    """The largest error that rounding may have left after so many steps.

    What a step adds by itself is no more than in a check of one pass, and it adds up: after 100 steps of the encoders
    of `python -m parity training` the largest error was 4e-13. From there on the bound grows with the steps, up to a
    thousandth of what the smallest mistake on record leaves.
    """
    return min(max(SEMANTIC, SEMANTIC * step / 100), 10 * SEMANTIC)


class Scales:
    """The least scale of every value.

    A learning rate is a share of the highest so far. A parameter is judged by at least the sum of all learning rates so
    far, as far as Adam can have moved it: the bias of all keys alike, say, which changes no softmax, is moved by
    rounding alone and has no digits in common. A step with nothing to predict has a loss and a gradient of 0, which
    nats are a scale for.
    """

    def __init__(self) -> None:
        self.rate, self.reach, self.nothing = 0.0, 0.0, False

    def add(self, result: Result) -> None:
        """Takes note of a step."""
        self.rate = max(self.rate, float(result.learning_rate))
        self.reach += float(result.learning_rate)
        self.nothing = float(result.loss) == 0

    def of(self, site: str) -> float:
        """The least scale of one value; an accuracy is a share of 1."""
        if site.endswith(" learning_rate"):
            return self.rate
        if site.endswith((" loss", " gradient_norm")):
            return float(self.nothing)
        return self.reach if " parameter " in site else float(site.endswith(" accuracy"))


def sites(step: int, result: Result) -> Iterator[Site]:
    """The values of one step, in the order computed."""
    for field, value in zip(Result._fields[:3], result[:3], strict=True):
        yield Site(f"step {step} {field}", value)
    for name, array in result.parameter.items():
        yield Site(f"step {step} parameter {name}", array)
    if result.evaluation is not None:
        for field, value in result.evaluation._asdict().items():
            yield Site(f"step {step} evaluation {field}", value)


def compare_results(step: int, actual: Result, expected: Result, scales: Scales) -> list[Comparison]:
    """Compares one step's values; parameters must have the same names."""
    return [
        compare(
            theirs.name,
            ours.value,
            theirs.value,
            allowed=allowed(step),
            dtype=FLOAT64,
            scale=scales.of(theirs.name),
        )
        for ours, theirs in zip(sites(step, actual), sites(step, expected), strict=True)
    ]


def distances(actual: Result, expected: Result) -> dict[str, float]:
    """How far a run is from the reference: its loss in nats, its parameters relative to their common norm."""
    squares = [
        (np.square(actual.parameter[name].astype(np.float64) - array).sum(), np.square(array).sum())
        for name, array in expected.parameter.items()
    ]
    apart, whole = np.sum(squares, axis=0)
    return {
        "loss": abs(float(actual.loss) - float(expected.loss)),
        "parameters": float(np.sqrt(apart / whole)),
    }


def _investigate(
    step: int, before: Any, expected: Result, scales: Scales, laboratory: Laboratory
) -> tuple[list[Comparison], tuple[Culprit, ...]]:
    """Does one step again from the reference's own state: what still differs is made in this step."""
    with running("JAX"):
        actual = laboratory.ours(before)
    with running("torch"):
        clean = laboratory.clean(before)
    replayed = compare_results(step, actual, expected, scales)
    made = list(_made(replayed))
    wrong = ((planting.Suspect(name, mistake), take(before)) for name, (mistake, take) in laboratory.suspects.items())
    residual = functools.partial(_residual, scales=scales)
    explanations = planting.explain(wrong, clean, (actual, expected), residual)
    if all(" evaluation " in comparison.site for comparison, _ in made) and residual(actual, clean) > SEMANTIC:
        with running("JAX"):
            undropped = actual._replace(evaluation=laboratory.undropped(actual))
        explanations += _dropping(undropped, clean, residual, laboratory)
    ours, theirs = (dict(sites(step, result)) for result in (actual, expected))
    return replayed, tuple(
        Culprit(
            comparison.site,
            reads,
            comparison,
            worst_elements(ours[comparison.site], theirs[comparison.site], _ELEMENTS),
            explanations,
            describe(ours[comparison.site], theirs[comparison.site]),
        )
        for comparison, reads in made
    )


def _dropping(
    undropped: Result, clean: Result, residual: Callable[[Result, Result], float], laboratory: Laboratory
) -> tuple[Explanation, ...]:
    """Whether ours drops in evaluation, by whatever key: it agrees once there is nothing to drop."""
    left = residual(undropped, clean)
    return (Explanation(DROPS, laboratory.suspects[DROPS].mistake, "JAX", left),) if left <= SEMANTIC else ()


def _made(replayed: list[Comparison]) -> Iterator[tuple[Comparison, tuple[str, ...]]]:
    """What differs although what it is computed from agrees, and the names of that."""
    rate, loss, norm, *rest = replayed
    parameters = tuple(one for one in rest if " parameter " in one.site)
    for comparison in replayed:
        reads: tuple[Comparison, ...] = (
            () if comparison in (rate, loss) else (loss,) if comparison is norm else (rate, norm)
        )
        if " evaluation " in comparison.site:
            reads = parameters
        if not comparison.agrees and all(one.agrees for one in reads):
            yield comparison, tuple(one.site for one in reads)


def _residual(one: Result, other: Result, scales: Scales) -> float:
    """The largest relative error of any value of a step."""
    pairs = zip(sites(0, one), sites(0, other), strict=True)
    compared = [compare(a.name, a.value, b.value, allowed=SEMANTIC, scale=scales.of(a.name)) for a, b in pairs]
    return max(comparison.error for comparison in compared)
