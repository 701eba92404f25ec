"""The trainer's step over devices of every shape, beside the plain loop of the reference."""

import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from jax_encoder.training.mesh import MeshShape
from parity.encoder.bugs.model import Patch
from parity.encoder.subject import EncoderSubject
from parity.judge import explain as planting
from parity.judge.check import attempt, choose
from parity.judge.compare import SEMANTIC, Comparison, compare
from parity.judge.outcome import Outcome, judged
from parity.judge.residual import describe, worst_elements
from parity.judge.verdict import Culprit, Explanation, Report, Run
from parity.mesh import jax_side
from parity.mesh.bugs import MESH_BUGS, SHAPE, MeshBug
from parity.mesh.course import DEVICES, FORMS, Course, course, shapes
from parity.mesh.devices import simulated
from parity.mesh.stages import Stage, reads, scales
from parity.mesh.torch_side import Recipe, Reference

FLOAT64 = np.dtype(np.float64)
_ELEMENTS = 8

Progress = Callable[[str, str], object]
Stages = Sequence[Stage]


class Bench:
    """The reference of one form, and all mistakes that can be made in it."""

    def __init__(self, form: str):
        self.course: Course = course(form)
        self.form, self.reference = form, Reference(self.course)

    @functools.cached_property
    def right(self) -> Stages:
        """What the reference computes."""
        return self.reference.run(Recipe())

    def mistaken(self, bug: MeshBug, shape: MeshShape) -> Stages:
        """What it computes with a mistake."""
        return self.reference.run(bug.plant(self.reference, shape))

    def ours(self, shape: MeshShape) -> Stages:
        """What our side computes over devices."""
        return jax_side.run(self.course, shape, self.reference)

    def compared(self, shape: MeshShape, ours: Stages, theirs: Stages) -> Run:
        """Compares stage by stage, up to the first that differs, and explains what does."""
        comparisons: list[Comparison] = []
        culprits: tuple[Culprit, ...] = ()
        found: list[Comparison] = []
        for number, (actual, expected) in enumerate(zip(ours, theirs, strict=True)):
            found = compare_stage(actual, expected)
            comparisons += found
            if not all(one.agrees for one in found):
                culprits = self._culprits(number, found, shape, (actual, expected))
                break
        inadequate = tuple(self.inadequacies(shape))
        replayed = tuple(found) if culprits else ()
        return Run(str(shape), self.form, tuple(comparisons), inadequate, replayed, culprits)

    def inadequacies(self, shape: MeshShape) -> Iterator[str]:
        """What these steps could not have shown."""
        for batch in self.course.batches:
            parts = batch.weights.reshape(self.course.config.accumulate, shape.rows, -1).sum(axis=2)
            if shape.rows > 1 and (parts == parts[:, :1]).all():
                yield "all groups of devices have equally many targets: it does not matter how they are weighed"
        norms = [array for stage in self.right for name, array in stage.values.items() if name.endswith("_norm")]
        if not any(norm > self.course.config.optimizer.clip_norm for norm in norms):
            yield "no gradient was clipped"

    def _culprits(
        self, number: int, found: Sequence[Comparison], shape: MeshShape, sides: tuple[Stage, Stage]
    ) -> tuple[Culprit, ...]:
        """What differs although what it is computed from agrees."""
        names = [one.site for one in found]
        agreeing = {one.site for one in found if one.agrees}
        explanations = self._explained(number, shape, sides)
        ours, theirs = (stage.values for stage in sides)
        made = []
        for one in found:
            sources = reads(one.site, names)
            if not one.agrees and agreeing.issuperset(sources):
                actual, expected = ours[one.site], theirs[one.site]
                elements = worst_elements(actual, expected, _ELEMENTS)
                made.append(Culprit(one.site, sources, one, elements, explanations, describe(actual, expected)))
        return tuple(made)

    def _explained(self, number: int, shape: MeshShape, sides: tuple[Stage, Stage]) -> tuple[Explanation, ...]:
        wrong = (
            (planting.Suspect(bug.name, bug.mistake), self.mistaken(bug, shape)[number])
            for bug in MESH_BUGS
            if bug.applies(shape)
        )
        return planting.explain(wrong, self.right[number], sides, _residual)


def compare_stage(actual: Stage, expected: Stage) -> list[Comparison]:
    """Compares one stage's values; both sides must have the same names."""
    least = scales(expected)
    return [
        compare(name, actual.values[name], array, allowed=SEMANTIC, dtype=FLOAT64, scale=least.get(name, 0.0))
        for name, array in expected.values.items()
    ]


def _residual(one: Stage, other: Stage) -> float:
    """The largest relative error of any value of a stage."""
    return max(comparison.error for comparison in compare_stage(one, other))


@functools.cache
def bench_of(form: str) -> Bench:
    """The bench of a form, whose reference runs once."""
    return Bench(form)


def run(part: tuple[str, str]) -> Run:
    """One shape on one form; there must be as many devices."""
    name, form = part

    def compared() -> Run:
        bench, shape = bench_of(form), shapes()[name]
        return bench.compared(shape, bench.ours(shape), bench.right)

    with EncoderSubject().session():
        return attempt(name, form, compared)


def planned(names: Sequence[str] | None, forms: Sequence[str] | None) -> list[tuple[str, str]]:
    """Every chosen shape on every chosen form.

    Raises:
        UsageError: a name is unknown.
    """
    chosen = choose("mesh", names, shapes()), choose("case", forms, FORMS)
    return [(shape, form) for shape in chosen[0] for form in chosen[1]]


def check_mesh(
    names: Sequence[str] | None = None,
    forms: Sequence[str] | None = None,
    progress: Progress = lambda variant, case: None,
) -> Report:
    """Compares the step over devices of every chosen shape, in a process that has so many, in float64.

    Raises:
        UsageError: a name is unknown.
    """
    runs = simulated(run, planned(names, forms), devices=DEVICES, progress=lambda part: progress(*part))
    environment = {**EncoderSubject().environment(), "devices": f"{DEVICES} simulated"}
    subject = "the training step of jax_encoder over devices against torch_ref on one"
    return Report(subject, SEMANTIC, environment, tuple(runs))


def outcomes(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Makes every mistake on purpose, in the reference and in ours, and asks the check about it; None takes all."""
    chosen = [bug.name for bug in MESH_BUGS if names is None or bug.name in names]
    for found in simulated(outcome, chosen, devices=SHAPE.devices):
        yield from found


def outcome(name: str) -> list[Outcome]:
    """One mistake, made in the reference and then in ours; there must be as many devices as `SHAPE` has."""
    bug = next(one for one in MESH_BUGS if one.name == name)
    with EncoderSubject().session():
        return [in_reference(bug, SHAPE, _sound()), in_ours(bug, SHAPE)]


@functools.cache
def _sound() -> Stages:
    return bench_of("bert").ours(SHAPE)


def in_reference(bug: MeshBug, shape: MeshShape, ours: Stages) -> Outcome:
    """What the check says of a mistake in the reference."""
    bench = bench_of("bert")
    return judged(bug, "torch", "mesh", bench.compared(shape, ours, bench.mistaken(bug, shape)))


def in_ours(bug: MeshBug, shape: MeshShape) -> Outcome:
    """What it says of one in ours."""
    bench, patch = bench_of("bert"), Patch()
    bug.in_jax(patch, shape)
    with patch.active():
        jax.clear_caches()  # traced anew, with the mistake in it
        ours = bench.ours(shape)
    jax.clear_caches()
    return judged(bug, "JAX", "mesh", bench.compared(shape, ours, bench.right))
