"""Compares two models: the values that leave them, then, where these differ, all that they compute on the way."""

import dataclasses
import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parity.errors import MismatchError, UsageError
from parity.judge.compare import SEMANTIC, Comparison, compare
from parity.judge.crash import SideError, running
from parity.judge.verdict import Crash, Run
from parity.models import adequacy
from parity.models import weights as tables
from parity.models.align import align
from parity.models.diagnose import Ends, diagnose, side_of_case
from parity.models.facts import same
from parity.models.page import write
from parity.models.program import Cotangents, Program
from parity.models.rerun import Both
from parity.models.result import Case, Result
from parity.models.side import Arrays, Side
from parity.models.text import render

WEIGHTS = ("as they are", "randomise")
Compared = tuple[Comparison, Ends]
_SEED = 20240229


class Report(Result):
    """What a comparison found; printed, its first line is the verdict."""

    def __str__(self) -> str:
        return render(self)

    def save(self, path: str | Path) -> None:
        """Writes the report: a page if the name ends in .html, else text."""
        write(self, Path(path))


def compare_models(
    ours: Side,
    theirs: Side,
    inputs: Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]],
    *,
    weights: str = "as they are",
    backward: bool = False,
    memory: int | None = None,
) -> Report:
    """Compares two models on the same inputs, in float64.

    Args:
        ours: `parity.jax(...)` or `parity.torch(...)`.
        theirs: the reference, likewise.
        inputs: arrays by name; or several such, one a case.
        weights: "as they are", or "randomise": theirs are drawn at random, and ours are given the same.
        backward: whether gradients are compared, too.
        memory: bytes that parameters may take in float64; None asks the system.

    Raises:
        UsageError: the request cannot be carried out.
    """
    if weights not in WEIGHTS:
        raise UsageError(f"weights must be 'as they are' or 'randomise', got {weights!r}")
    cases = [inputs] if isinstance(inputs, Mapping) else list(inputs)
    if not cases or not all(cases):
        raise UsageError("there is no input: give arrays by name, inputs={'x': ...}")
    _fits((ours, theirs), backward, memory)
    labels = _labels(ours, theirs)
    pairing = _Pairing(ours, theirs, labels, weights == "randomise")
    arrays = [{name: np.asarray(value) for name, value in case.items()} for case in cases]
    found = [pairing.case(f"case {number}", one, backward) for number, one in enumerate(arrays, 1)]
    versions = {name: importlib.metadata.version(name) for name in {ours.framework.lower(), theirs.framework.lower()}}
    return Report(labels, tuple(found), pairing.table, pairing.problems, pairing.drawn, versions)


def _labels(ours: Side, theirs: Side) -> tuple[str, str]:
    """What the two are called: their frameworks, or which of the two they are."""
    same = ours.framework == theirs.framework
    return ("ours", "theirs") if same else (ours.framework, theirs.framework)


def _fits(sides: Sequence[Side], backward: bool, memory: int | None) -> None:
    """Refuses what would not fit into memory in float64."""
    needed = sum(value.nbytes for side in sides for value in side.params.values()) * (3 if backward else 2)
    free = memory if memory is not None else _available()
    if needed > free:
        raise UsageError(
            f"the parameters of both sides in float64 need {needed:,} bytes, of {free:,} that are free: "
            f"compare fewer layers, or one block after the other"
        )


def _available() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    found = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 0)
    return found or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class _Pairing:
    """Both sides with the parameters that they run with."""

    def __init__(self, ours: Side, theirs: Side, labels: tuple[str, str], drawn: bool) -> None:
        self.sides, self.labels, self.drawn = (ours, theirs), labels, drawn
        found = tables.match(ours.params, theirs.params)
        # A table of positions that one side keeps and the other computes is no parameter that is missing.
        left = [tuple(name for name in names if name not in side.buffers) for names, side in (
            (found.ours, ours), (found.theirs, theirs))]  # fmt: skip
        self.table = dataclasses.replace(found, ours=left[0], theirs=left[1])
        every = tables.problems(self.table, ours.params, theirs.params, labels)
        self.problems = tuple(every) if ours.params and theirs.params else ()
        self.params: tuple[Arrays, Arrays] = (dict(ours.params), dict(theirs.params))
        if drawn:
            self._draw()

    def _draw(self) -> None:
        """Draws theirs, and lays them out as ours."""
        if self.table.ours or self.table.theirs:
            raise UsageError(
                "weights='randomise' needs the same parameters on both sides:\n" + "\n".join(self.problems)
            )
        self.params = tables.draw(self.table, *self.params, np.random.default_rng(_SEED))

    def case(self, name: str, inputs: Arrays, backward: bool) -> Case:
        """Compares on one input."""
        reasons = [*adequacy.inadequacies(inputs), *adequacy.blind_parameters(self.params[1])]
        try:
            programs = self._run(inputs, backward)
            compared = self._compared(programs)
        except SideError as error:
            return Case(Run("pair", name, (), crash=error.crash))
        except MismatchError as error:
            problem = Comparison("outputs", (), "", np.inf, SEMANTIC, problem=str(error))
            return Case(Run("pair", name, (problem,), tuple(reasons)))
        run = Run("pair", name, tuple(one for one, _ in compared), tuple(reasons))
        alignment = align(*programs)
        sides = tuple(side_of_case(alignment, side) for side in (0, 1))
        if run.first_to_differ is None:
            return Case(run, sides)
        changing = self._changing(inputs, programs)
        if changing:
            crash = Crash(
                changing, "NonDeterminism", "two runs on the same input differ, and no random numbers are drawn"
            )
            return Case(Run("pair", name, (), crash=crash), sides)
        ends = [end for _, end in compared]
        both = Both(self._reruns(inputs, backward), self._ends, self.labels)
        return Case(run, sides, diagnose(both, alignment, ends))

    def _changing(self, inputs: Arrays, programs: tuple[Program, Program]) -> str:
        """Which side gives another result when it runs again, though it draws nothing at random; empty if neither."""
        for side, label in enumerate(self.labels):
            program = programs[side]
            if program.random:
                continue
            with running(label):
                again = self.sides[side].run(inputs, self.params[side])
            for name, index in program.outputs.items():
                if not same(program.results[index], again.results[again.outputs[name]]):
                    return label
        return ""

    def _compared(self, programs: tuple[Program, Program]) -> list[Compared]:
        return [*_outputs(programs), *self._gradients(programs)]

    def _ends(self, *programs: Program) -> list[Ends]:
        ours, theirs = programs
        return [end for _, end in self._compared((ours, theirs))]

    def _reruns(self, inputs: Arrays, backward: bool) -> Any:
        """Either side again, with values given."""
        seeds = self._seeds if backward else (None, None)

        def run(side: int) -> Callable[[Mapping[int, np.ndarray]], Program]:
            return lambda given: self.sides[side].run(inputs, self.params[side], seeds[side], given)

        return run(0), run(1)

    def _run(self, inputs: Arrays, backward: bool) -> tuple[Program, Program]:
        """Theirs first: their outputs' names say which cotangent each gets."""
        ours, theirs = self.sides
        names: list[str] = []
        self._seeds = (_seeds(names), _seeds(names))
        with running(self.labels[1]):
            their_program = theirs.run(inputs, self.params[1], self._seeds[1] if backward else None)
        names += their_program.outputs
        with running(self.labels[0]):
            return ours.run(inputs, self.params[0], self._seeds[0] if backward else None), their_program

    def _gradients(self, programs: tuple[Program, Program]) -> list[Compared]:
        """Of every input, and of every parameter that has a row."""
        ours, theirs = programs
        if not ours.gradients and not theirs.gradients:
            return []
        found = []
        grads = [{name: one.results[index] for name, index in one.gradients.items()} for one in programs]
        for row in self.table.rows:
            here, there = (0, 1) if row.ours else (1, 0)
            names = {here: (row.whole,), there: row.parts}
            if any(name in self.sides[side].buffers for side in (0, 1) for name in names[side]):
                continue
            shape = self.params[here][row.whole].shape
            whole = grads[here].get(row.whole, np.zeros(shape))
            parts = [grads[there].get(name, np.zeros(self.params[there][name].shape)) for name in row.parts]
            pair = (whole, row.join(parts, shape))
            name = f"d/d({row.whole if row.ours else ' + '.join(row.parts)})"
            judged = _judged(name, *(pair if row.ours else pair[::-1]), _summed(programs, names))
            found.append((judged, _gradient_ends(programs, names, judged.agrees)))
        for name in [name for name in grads[0] if name not in self.params[0]]:
            if name in grads[1]:
                both = {0: (name,), 1: (name,)}
                judged = _judged(f"d/d({name})", grads[0][name], grads[1][name], _summed(programs, both))
                found.append((judged, _gradient_ends(programs, both, judged.agrees)))
        return found


def _summed(programs: tuple[Program, Program], names: Mapping[int, Sequence[str]]) -> float:
    """The magnitude of what gradients were summed from."""
    prints = [
        programs[side].nodes[programs[side].gradients[name]].print
        for side in (0, 1)
        for name in names[side]
        if name in programs[side].gradients
    ]
    return max((one.scale for one in prints if one is not None), default=0.0)


def _gradient_ends(programs: tuple[Program, Program], names: Mapping[int, Sequence[str]], agrees: bool) -> Ends:
    """Where gradients stand in both programs."""
    ours, theirs = (
        tuple(programs[side].gradients[name] for name in names[side] if name in programs[side].gradients)
        for side in (0, 1)
    )
    return Ends(ours, theirs, agrees, backward=True)


def _outputs(programs: tuple[Program, Program]) -> list[Compared]:
    """Outputs of one name, or in their order if the names are others.

    Raises:
        MismatchError: they are not as many.
    """
    ours, theirs = ({name: one.results[index] for name, index in one.outputs.items()} for one in programs)
    if not ours or len(ours) != len(theirs):
        raise MismatchError(
            f"one side gives {len(ours)} arrays ({', '.join(ours) or 'none'}), the other {len(theirs)} "
            f"({', '.join(theirs) or 'none'}): return the same from both, with a lambda around either"
        )
    pairs = [(name, name) for name in theirs] if ours.keys() == theirs.keys() else list(zip(ours, theirs, strict=True))
    found = []
    for one, other in pairs:
        judged = _judged(one if one == other else f"{one} / {other}", ours[one], theirs[other])
        numbers = (programs[0].outputs[one],), (programs[1].outputs[other],)
        found.append((judged, Ends(*numbers, judged.agrees, backward=False)))
    return found


def _judged(name: str, actual: np.ndarray, expected: np.ndarray, scale: float = 0.0) -> Comparison:
    if actual.dtype.kind in "iu" and expected.dtype.kind in "iu":
        actual, expected = actual.astype(np.int64), expected.astype(np.int64)
    return compare(name, actual, np.array(expected), allowed=SEMANTIC, scale=scale)


def _seeds(names: Sequence[str]) -> Cotangents:
    """The same cotangent for an output on both sides: by its name if the reference has it, else by its place."""

    def seed(name: str, place: int, shape: tuple[int, ...]) -> np.ndarray:
        return np.random.default_rng([_SEED, names.index(name) if name in names else place]).normal(size=shape)

    return seed
