"""A side that raises is an error of its own, with its place; a harness that raises is a mistake of the harness."""

import pickle

import numpy as np
import pytest

from parity.cases.case import CASE_NAMES
from parity.errors import MismatchError, UsageError
from parity.judge import check as checking
from parity.judge.check import check, compare_trace
from parity.judge.crash import SideError, running, summary
from parity.judge.sites import Site
from parity.judge.subject import Part, Trace
from parity.judge.verdict import Crash, Report, Verdict, vacuities
from tests.parity import helpers as toy


def raises(*_, **__):
    raise IndexError("index 7 is out of bounds\nfor axis 0")


def on_packed_rows(params, case):
    return raises() if case.name == "packed" else toy.run_batched(params, case)


def test_a_side_that_raises_on_one_case_is_an_error_there_and_the_others_go_on():
    report = check(toy.ToySubject({"bad": toy.ToyVariant(ours=on_packed_rows), "good": toy.ToyVariant()}))
    assert report.verdict is Verdict.ERROR
    (run,) = report.crashed
    assert (run.variant, run.case, run.comparisons) == ("bad", "packed", ())
    assert (run.crash.side, run.crash.kind) == ("JAX", "IndexError")
    assert run.crash.message == "index 7 is out of bounds\nfor axis 0"
    assert run.crash.where.startswith("tests/parity/judge/test_crash.py:")
    assert run.crash.where.endswith(", in raises")
    assert run.crash.traceback.startswith("Traceback (most recent call last):\n")
    assert run.crash.traceback.endswith("IndexError: index 7 is out of bounds\nfor axis 0\n")
    assert all(line.startswith("  ") for line in run.crash.traceback.splitlines()[1:-2])
    assert len(report.runs) == 2 * len(CASE_NAMES)
    assert all(len(one.comparisons) == 7 for one in report.runs if one is not run)
    assert vacuities(report.runs) == ()


def test_the_reference_may_be_the_one_that_raises():
    (run,) = check(toy.ToySubject({"toy": toy.ToyVariant(break_case=raises)}), cases=["ragged"]).runs
    assert run.crash.side == "torch"


def test_an_error_outweighs_a_difference():
    forms = {"differs": toy.ToyVariant(break_params=toy.without_key_bias), "raises": toy.ToyVariant(ours=raises)}
    report = check(toy.ToySubject(forms), cases=["ragged"])
    assert report.verdict is Verdict.ERROR
    assert [run.first_to_differ for run in report.runs] == [2, None]


def test_what_cannot_be_built_is_not_tried_again():
    class Unbuilt(toy.ToyVariant):
        def build(self):
            with running("JAX"):
                raises()

    report = check(toy.ToySubject({"unbuilt": Unbuilt(), "good": toy.ToyVariant()}))
    assert [run.case for run in report.runs if run.variant == "unbuilt"] == ["ragged"]
    assert len(report.runs) == 1 + len(CASE_NAMES)


def parts():
    yield Part((Site("a", np.arange(3.0)),), (Site("a", np.arange(3.0)),))
    with running("torch"):
        raises()


def test_what_had_been_compared_before_is_kept():
    with pytest.raises(SideError, match="torch raised IndexError: index 7 is out of bounds") as caught:
        compare_trace(Trace(parts()))
    assert [one.site for one in caught.value.compared] == ["a"]


def test_an_error_of_the_judge_is_not_taken_for_one_of_a_side(monkeypatch):
    monkeypatch.setattr(checking, "compare", raises)
    with pytest.raises(IndexError, match="index 7"):
        check(toy.ToySubject(), cases=["ragged"])


@pytest.mark.parametrize("kind", [MismatchError, UsageError, KeyboardInterrupt])
def test_what_says_whose_it_is_passes(kind):
    with pytest.raises(kind, match="as it is"), running("JAX"):
        raise kind("as it is")


def test_the_inner_side_is_the_one_that_raised():
    with pytest.raises(SideError) as caught, running("torch"), running("JAX"):
        raises()
    assert caught.value.crash.side == "JAX"


def test_the_last_value_is_asked_for_and_may_not_be_found():
    for reached, found in ((lambda: "layers.0.attention.key", "layers.0.attention.key"), (raises, "")):
        with pytest.raises(SideError) as caught, running("JAX", reached):
            raises()
        assert caught.value.crash.reached == found


def test_of_the_last_value_nothing_is_known_unless_somebody_can_find_it():
    with pytest.raises(SideError) as caught, running("JAX"):
        raises()
    assert caught.value.crash.reached == ""


def where(file: str, **module: str) -> str:
    """The place that is told of a line that raises in a file, the only one of its module."""
    line = compile("with running('JAX'): (1).gone", file, "exec")
    with pytest.raises(SideError, match="gone") as caught:
        exec(line, {"running": running, **module})
    return caught.value.crash.where


LIBRARIES = ("parity", "jax", "jaxlib", "flax", "optax", "torch", "numpy", "jaxtyping", "beartype", "contextlib")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_alone_has_no_place(library):
    assert where(f"/site-packages/{library}/core.py", __name__=f"{library}.core") == ""
    assert (
        where(f"/site-packages/{library}s/core.py", __name__=f"{library}s.core") == f"{library}s/core.py:1, in <module>"
    )


def test_a_place_is_told_from_the_package_on():
    assert where("/home/model/src/model/layers/norm.py", __name__="model.layers.norm") == (
        "model/layers/norm.py:1, in <module>"
    )
    assert where("/home/model/model/norm.py", __name__="model.norm") == "model/norm.py:1, in <module>"
    assert where("/home/src/norm.py", __name__="__main__") == "norm.py:1, in <module>"


def test_code_without_a_file_or_a_module_has_no_place():
    assert where("<string>", __name__="model.norm") == ""
    assert where("/home/model/norm.py") == ""


def test_summaries():
    assert summary(Crash("JAX", "ValueError", "\n  a\nb")) == "JAX raised ValueError: a"
    assert summary(Crash("torch", "AssertionError", "")) == "torch raised AssertionError"


def test_it_crosses_to_another_process():
    crash = Crash("JAX", "ValueError", "a")
    assert pickle.loads(pickle.dumps(SideError(crash))).crash == crash


def test_verdicts_of_some_runs():
    crashed = toy.run_of(crash=Crash("JAX", "ValueError", "a"))
    assert Report("toy", 1e-10, {}, (crashed, toy.run_of(toy.agreeing("a"), case="packed"))).verdict is Verdict.ERROR
