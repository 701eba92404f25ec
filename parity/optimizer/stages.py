"""Two optimizers, stage by stage: what each computes by itself, and what ours makes of the reference's values.

A step is cut into the count of steps, learning rate, global norm, clipped gradient, first and second moment, update,
parameter and average. Every stage is compared, and computed once more by ours from what the reference computed before
it, so that the stage that is wrong is told from those that inherit it. Sites are named `step3.second_moment.head.bias`;
steps count from 0.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from parity.judge import explain as planting
from parity.judge.check import compare_trace, run_of
from parity.judge.crash import running
from parity.judge.sites import Site
from parity.judge.subject import Difference, Part, Structure, Trace
from parity.judge.verdict import Explanation, Run
from parity.optimizer.settings import CASES

# Steps that both sides have done already, with a random state, and steps that are compared.
START, COMPARED = 3, 6


Arrays = Mapping[str, np.ndarray]


class State(NamedTuple):
    """What goes from one step to the next, under our names. `second` lacks what has no second moment; `average` is
    empty where none is kept."""

    done: int
    params: Arrays
    first: Arrays
    second: Arrays
    average: Arrays


class Step(NamedTuple):
    """Every value of one step, in the order computed; None where an optimizer has no such value."""

    step_count: np.ndarray | None
    learning_rate: np.ndarray
    global_norm: np.ndarray
    clipped_gradient: Arrays
    first_moment: Arrays
    second_moment: Arrays
    update: Arrays
    parameter: Arrays
    average: Arrays

    def state(self, done: int) -> State:
        """What the next step starts from; `done` is the number of steps where the optimizer does not count."""
        counted = done if self.step_count is None else int(self.step_count)
        return State(counted, self.parameter, self.first_moment, self.second_moment, self.average)


# What each stage is computed from: stages of the same step, and of the step before.
_READS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "step_count": ((), ("step_count",)),
    "learning_rate": ((), ()),
    "global_norm": ((), ()),
    "clipped_gradient": (("global_norm",), ()),
    "first_moment": (("clipped_gradient",), ("first_moment", "parameter")),
    "second_moment": (("clipped_gradient",), ("second_moment", "parameter")),
    "update": (("step_count", "learning_rate", "clipped_gradient", "first_moment", "second_moment"), ("parameter",)),
    "parameter": (("update",), ("parameter",)),
    "average": (("parameter",), ("average",)),
}


@runtime_checkable
class Side(Protocol):
    """One framework's optimizer. All arrays are float64 and have our names and layouts."""

    def schedule(self) -> np.ndarray:
        """The learning rate of every step [steps]."""

    def step(self, state: State, gradient: Arrays, step: int) -> Step:
        """One whole step, as training does it."""

    def clip(self, gradient: Arrays) -> tuple[np.ndarray, Arrays]:
        """The global norm, and the clipped gradient."""

    def advance(self, state: State, clipped: Arrays, learning_rate: float) -> Step:
        """What comes after clipping, with any learning rate; the values before it are those given, the average none."""

    def apply(self, params: Arrays, update: Arrays) -> Arrays:
        """The new parameters."""

    def averaged(self, state: State, params: Arrays) -> Arrays:
        """The new average of the parameters that a step comes to from a state; empty where none is kept."""


class Given(NamedTuple):
    """One step of the reference, and what it started from."""

    step: int
    before: State
    gradient: Arrays
    values: Step


def replay(side: Side, given: Given, stage: str) -> Any:
    """One stage of a step, a field of `Step`, computed by `side` from what the reference computed before it."""
    step, before, gradient, values = given
    if stage == "learning_rate":
        return side.schedule()[step : step + 1].reshape(())
    if stage in ("global_norm", "clipped_gradient"):
        return side.clip(gradient)[stage == "clipped_gradient"]
    if stage == "parameter":
        return side.apply(before.params, values.update)
    if stage == "average":
        return side.averaged(before, values.parameter)
    if stage == "update":
        before = _leading_to(side, given)
    moved = side.advance(before, values.clipped_gradient, float(values.learning_rate))
    return getattr(moved, stage)


def _leading_to(side: Side, given: Given) -> State:
    """The state from which a step of `side` comes to the moments of the reference, whatever they are.

    A moment after a step is a straight line over the moment before it, and two points of it give all.
    """
    _, before, _, values = given
    ends = []
    for start in (np.zeros_like, np.ones_like):
        moments = [{name: start(array) for name, array in moment.items()} for moment in (before.first, before.second)]
        state = before._replace(first=moments[0], second=moments[1])
        ends.append(side.advance(state, values.clipped_gradient, float(values.learning_rate)))
    led = [
        {name: (wanted[name] - zero[name]) / (one[name] - zero[name]) for name in wanted}
        for wanted, zero, one in (
            (values.first_moment, ends[0].first_moment, ends[1].first_moment),
            (values.second_moment, ends[0].second_moment, ends[1].second_moment),
        )
    ]
    done = before.done if values.step_count is None else int(values.step_count) - 1
    return before._replace(done=done, first=led[0], second=led[1])


class Candidate(NamedTuple):
    """A reference with a known mistake in it."""

    mistake: str
    side: Side


class Suspects(NamedTuple):
    """A reference without a mistake, and one with each mistake that can be made, by name."""

    clean: Side
    planted: Mapping[str, Candidate]


def compare(name: str, case: str, sides: tuple[Side, Side], start: State, suspects: Suspects) -> Run:
    """Runs both sides from one state, compares them stage by stage, and explains what differs.

    Args:
        name, case: of the variant, and of the magnitude of the gradients.
        sides: ours and the reference.
        start: what both have come to after `START` steps.
        suspects: what to explain a difference by.
    """
    ours, theirs = sides
    gradients = [draw(start.params, CASES[case], seed) for seed in range(COMPARED)]
    with running("JAX"):
        actual = _run(ours, start, gradients)
    with running("torch"):
        expected = _run(theirs, start, gradients)
    # A learning rate is a share of the highest; on its way down it is left with few digits of its own.
    highest = float(theirs.schedule().max())
    scales = {f"step{given.step}.learning_rate": highest for given in expected}

    def replayed() -> tuple[Site, ...]:
        with running("JAX"):
            again = [
                given._replace(values=Step(**{stage: replay(ours, given, stage) for stage in Step._fields}))
                for given in expected
            ]
        return _sites(ours, again)

    unfit = ("no gradient was clipped",) if case == "gradient-1" and not any(map(_is_clipped, expected)) else ()
    explainer = Explainer(sides, expected, suspects)
    part = Part(_sites(ours, actual), _sites(theirs, expected), replayed, scales, explainer.explain)
    reads = {site.name: _reads(site.name, part.expected) for site in part.expected}
    trace = Trace((part,), unfit, lambda: Structure(reads, lambda _: ""))
    return run_of(name, case, compare_trace(trace, replay=True), unfit)


def draw(like: Arrays, scale: float, seed: int) -> dict[str, np.ndarray]:
    """Normal numbers of one magnitude."""
    rng = np.random.default_rng(seed)
    return {name: scale * rng.standard_normal(array.shape) for name, array in like.items()}


def _run(side: Side, state: State, gradients: Sequence[Arrays]) -> list[Given]:
    """Steps one after the other, each from what the side itself has come to."""
    made = []
    for step, gradient in enumerate(gradients, START):
        values = side.step(state, gradient, step)
        made.append(Given(step, state, gradient, values))
        state = values.state(step + 1)
    return made


def _is_clipped(given: Given) -> bool:
    return any((given.values.clipped_gradient[name] != array).any() for name, array in given.gradient.items())


def _sites(side: Side, made: Sequence[Given]) -> tuple[Site, ...]:
    """The whole schedule, then every value of every step."""
    found = [Site("schedule", side.schedule())]
    for given in made:
        for stage, value in zip(Step._fields, given.values, strict=True):
            arrays = value if isinstance(value, Mapping) else {} if value is None else {"": value}
            found += [Site(f"step{given.step}.{stage}.{name}".rstrip("."), arrays[name]) for name in sorted(arrays)]
    return tuple(found)


def _parse(site: str) -> tuple[int, str, str]:
    """Step, stage and parameter; the whole schedule is a stage of step 0."""
    found = re.fullmatch(r"step(\d+)\.(\w+)\.?(.*)", site)
    return (int(found[1]), found[2], found[3]) if found else (0, site, "")


def _reads(site: str, among: Sequence[Site]) -> tuple[str, ...]:
    """The sites that one is computed from."""
    step, stage, name = _parse(site)
    here, before = _READS.get(stage, ((), ()))
    wanted = [(step, one) for one in here] + [(step - 1, one) for one in before]
    names = {f"step{when}.{one}" + ending for when, one in wanted for ending in ("", f".{name}")}
    return tuple(other.name for other in among if other.name in names)


class Explainer:
    """Tries mistakes on the stages that differ.

    Args:
        sides: ours and the reference, which differ.
        made: the reference's steps.
        suspects: what to try.
    """

    def __init__(self, sides: tuple[Side, Side], made: Sequence[Given], suspects: Suspects):
        self._sides, self._suspects = sides, suspects
        self._made = {given.step: given for given in made}
        self._found: dict[tuple[int, str], tuple[Explanation, ...]] = {}

    def explain(self, differences: Sequence[Difference], _: Sequence[Difference]) -> list[tuple[Explanation, ...]]:
        """The mistakes that explain each difference and all others of its stage and step, the best first."""
        return [self._stage(*_parse(difference.site)[:2]) for difference in differences]

    def _stage(self, step: int, stage: str) -> tuple[Explanation, ...]:
        if (step, stage) not in self._found:
            ours, theirs = (self._of(side, step, stage) for side in self._sides)
            clean = self._of(self._suspects.clean, step, stage)
            wrong = (
                (planting.Suspect(name, one.mistake), self._of(one.side, step, stage))
                for name, one in self._suspects.planted.items()
            )
            residual = functools.partial(_residual, like=theirs)
            self._found[step, stage] = planting.explain(wrong, clean, (ours, theirs), residual)
        return self._found[step, stage]

    def _of(self, side: Side, step: int, stage: str) -> Arrays:
        """What a side makes of one stage of the reference's step; the reference, what it did make.

        Of a stage that is a single number, those of all steps together: one number alone names nothing.
        """
        if stage == "schedule":
            return {"": side.schedule()}
        value = self._at(side, step, stage)
        if value is None or isinstance(value, Mapping):
            return value or {}
        return {"": np.stack([self._at(side, one, stage) for one in self._made])}

    def _at(self, side: Side, step: int, stage: str) -> Any:
        given = self._made[step]
        return getattr(given.values, stage) if side is self._sides[1] else replay(side, given, stage)


def _residual(one: Arrays, other: Arrays, like: Arrays) -> float:
    """The largest difference relative to the scale of its array."""
    with np.errstate(all="ignore"):
        ratios = [np.abs(one[name] - other[name]).max() / np.abs(like[name]).max() for name in like]
    return float(np.max(ratios))
