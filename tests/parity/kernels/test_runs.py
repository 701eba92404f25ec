"""Every implementation computes what the reference does, here or by interpretation, and every planted mistake shows."""

import pytest

from parity.cli import main
from parity.errors import UsageError
from parity.judge.verdict import Verdict, judge
from parity.kernels import lowering
from parity.kernels.bugs import KERNEL_BUGS
from parity.kernels.matrix import CASES, Shape, inadequacies
from parity.kernels.runs import check_kernels, outcomes
from parity.report.record import from_json, to_json
from parity.report.text import headline, render


@pytest.fixture
def no_lowering(monkeypatch):
    """What is lowered has tests of its own."""
    monkeypatch.setattr(lowering, "runs", lambda name: ())


@pytest.mark.slow
def test_what_runs_here_passes_in_float64(no_lowering):
    report = check_kernels(implementations=["windows", "rows"], dtypes=["float64"])
    assert report.verdict is Verdict.PASS, render(report)
    assert {(run.variant, run.case) for run in report.runs} == {
        (("rows" if shape.window is None else "windows"), case) for case, shape in CASES.items()
    }


@pytest.mark.parametrize(
    ("name", "case"), [("pallas", "heads of 64, shared keys"), ("splash", "heads of 32, window 33")]
)
def test_what_is_for_another_device_is_interpreted_and_does_not_pass(no_lowering, name, case):
    report = check_kernels(implementations=[name], cases=[case], dtypes=["float32"])
    (run,) = report.precision
    assert (run.first_to_differ, run.agreed) == (None, Verdict.INTERPRETED)
    assert "PASS" not in render(report)
    assert "interpreted" in render(report)
    assert from_json(to_json(report)) == report


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "cases", "count"),
    [
        ("float32", None, 6 + 3 + 3 + 3 + 6),
        ("bfloat16", ("heads of 32", "heads of 64, shared keys, window 64"), 2 + 1 + 1 + 1 + 2),  # slow to interpret
    ],
)
def test_the_matrix_in_the_deployed_dtypes(no_lowering, dtype, cases, count):
    report = check_kernels(cases=cases, dtypes=[dtype])
    assert len(report.precision) == count
    assert not [run for run in report.precision if run.first_to_differ is not None], render(report)


FEW = ("kernel-backward-documents", "kernel-empty-row")


@pytest.mark.parametrize(
    "name", [pytest.param(bug.name, marks=() if bug.name in FEW else pytest.mark.slow) for bug in KERNEL_BUGS]
)
def test_a_planted_mistake_is_caught_located_and_named(name):
    (outcome,) = outcomes(frozenset([name]))
    assert (outcome.caught, outcome.first, outcome.located, outcome.named) == (True,) * 4, outcome.said


def test_a_matrix_that_could_not_show_a_window_says_so():
    assert not any(inadequacies(shape) for shape in CASES.values())
    assert inadequacies(Shape(1, 1, 32, 200)) == ("no document is longer than two windows",)


def test_the_command_prints_the_report(no_lowering, capsys):
    asked = ["--implementation", "windows", "--case", "heads of 128, window 7", "--dtype", "float64"]
    assert main(["kernels", *asked]) == 0
    assert capsys.readouterr().out.startswith("parity PASS: 1 variant x 1 case, 4 comparisons; worst relative error ")
    assert main(["kernels", "--dtype", "float16"]) == 2


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match=r"^no implementation is called flash"):
        check_kernels(implementations=["flash"])


def test_a_program_is_worth_less_than_what_ran(monkeypatch):
    monkeypatch.setattr(lowering, "lowered", lambda *_: "stablehlo")
    runs = list(lowering.runs("splash"))
    assert [run.case for run in runs] == [f"training step for tpu, heads of {size}" for size in (32, 64, 128)]
    assert judge(runs) is Verdict.LOWERED
    report = check_kernels(implementations=["rows"], cases=["heads of 32, window 33"], dtypes=["float64"])
    assert headline(report).startswith("parity lowered only: ")
