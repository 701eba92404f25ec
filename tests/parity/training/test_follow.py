"""Two runs beside each other when one of them raises, by hand."""

import numpy as np
import pytest

from parity.judge.verdict import Report, Verdict
from parity.training.follow import Laboratory, Result, follow

SITES = ["learning_rate", "loss", "gradient_norm", "parameter w"]


class Walk:
    """A run that goes on as it must, and raises at one of its steps if it is told to."""

    def __init__(self, *, raises_at: int = 0, off: float = 0.0):
        self.done, self.raises_at, self.off = 0, raises_at, off

    def state(self) -> int:
        return self.done

    def step(self) -> Result:
        self.done += 1
        if self.done == self.raises_at:
            raise FloatingPointError(f"at step {self.done}")
        rate, loss, norm = (np.array(value / self.done) for value in (0.5, 3.0, 7.0))
        return Result(rate, loss, norm, {"w": np.arange(1.0, 5.0) * self.done + self.off})


def followed(ours: Walk, theirs: Walk, *, lower: Walk | None = None, ours_again: Walk | None = None) -> Report:
    laboratory = Laboratory(lambda _: (ours_again or Walk()).step(), lambda _: Walk().step(), {}, lambda _: None)
    beside = {"torch float32": lower} if lower else {}
    run, curves = follow(("toy", "3 steps"), (ours, theirs), 3, laboratory, beside)
    return Report("toy", 1e-10, {}, (run,), curves=curves)


def test_nobody_raises():
    report = followed(Walk(), Walk(), lower=Walk())
    assert report.verdict is not Verdict.ERROR
    assert len(report.runs[0].comparisons) == 3 * len(SITES)


@pytest.mark.parametrize("side", ["JAX", "torch", "torch float32"])
def test_a_side_that_raises_ends_the_run_as_an_error(side):
    walks = {"JAX": Walk(), "torch": Walk(), "torch float32": Walk()} | {side: Walk(raises_at=2)}
    report = followed(walks["JAX"], walks["torch"], lower=walks["torch float32"])
    assert report.verdict is Verdict.ERROR
    (run,) = report.runs
    assert (run.crash.side, run.crash.kind, run.crash.message) == (
        side.split()[0],
        "FloatingPointError",
        "at step 2",
    )
    steps = 2 if side == "torch float32" else 1
    assert [one.site for one in run.comparisons] == [f"step {n + 1} {site}" for n in range(steps) for site in SITES]
    assert run.crash.reached == f"step {steps} parameter w"


def test_at_the_first_step_nothing_was_computed_before():
    assert followed(Walk(raises_at=1), Walk()).runs[0].crash.reached == ""


def test_what_is_raised_while_a_step_is_done_again_leaves_what_was_compared():
    (run,) = followed(Walk(off=1.0), Walk(), ours_again=Walk(raises_at=1)).runs
    assert run.crash.side == "JAX"
    assert [one.site for one in run.comparisons if not one.agrees] == ["step 1 parameter w"]
