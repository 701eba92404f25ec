"""One trace in several parts: when a part is replayed, what is looked at closely, and what a mismatch looks like."""

import dataclasses
import math

import numpy as np
import pytest

from parity.cases.case import Case
from parity.errors import MismatchError
from parity.judge.check import attempt, check, compare_sites, compare_trace, mismatched, run_of
from parity.judge.compare import SEMANTIC, Comparison
from parity.judge.sites import Site
from parity.judge.subject import Part, Structure, Trace
from parity.judge.verdict import Explanation, Run, Verdict
from tests.parity import helpers as toy

VALUES = np.array([1.0, 2.0, 4.0, 7.0])


def sites(*names: str, **changed: np.ndarray) -> tuple[Site, ...]:
    """The same values under every name, but for some."""
    return tuple(Site(name, changed.get(name, VALUES + len(name)).copy()) for name in names)


def part(*names: str, ours=None, local=None, explain=None) -> Part:
    """One part whose values read nothing, as ours has it by itself and on what it is fed."""
    return Part(sites(*names, **(ours or {})), sites(*names), lambda: sites(*names, **(local or {})), explain=explain)


def compared(*parts: Part, replay: bool = False, reads=None, seen_BS=None, axes=lambda site: "D"):
    structure = Structure(reads or {}, axes, seen_BS=seen_BS)
    return compare_trace(Trace(parts, structure=lambda: structure), replay=replay)


WRONG = 3 * VALUES


def test_parts_are_replayed_from_the_first_difference_on():
    found = compared(part("a", "b"), part("c", ours={"c": WRONG}), part("d"))
    assert [one.site for one in found.comparisons] == ["a", "b", "c", "d"]
    assert [one.site for one in found.replayed] == ["c", "d"]
    assert [one.site for one in compared(part("a"), part("b"), replay=True).replayed] == ["a", "b"]
    assert compared(part("a"), part("b")).replayed == ()


def test_a_part_that_cannot_be_replayed_is_compared_all_the_same():
    bare = part("a", ours={"a": WRONG})._replace(replay=None)
    found = compared(bare, part("b"))
    assert [one.agrees for one in found.comparisons] == [False, True]
    assert [one.site for one in found.replayed] == ["b"]
    assert found.culprits == ()


def test_without_a_structure_there_are_no_culprits():
    wrong = part("a", ours={"a": WRONG}, local={"a": WRONG})
    assert compare_trace(Trace((wrong,))).culprits == ()
    assert [one.site for one in compare_trace(Trace((wrong,))).replayed] == ["a"]
    assert [one.site for one in compared(wrong).culprits] == ["a"]


def test_a_structure_is_not_asked_for_where_all_agrees():
    def asked():
        raise AssertionError("nothing differs")

    assert compare_trace(Trace((part("a"),), structure=asked), replay=True).culprits == ()


def test_what_a_replay_gives_of_one_side_alone_is_no_difference():
    wrong = {"a": WRONG, "b": WRONG}
    lacking = part("a", "b", ours=wrong, local=wrong)._replace(replay=lambda: sites("a", "c", **wrong))
    found = compared(lacking)
    assert [(one.site, one.problem[:30]) for one in found.replayed] == [
        ("a", ""),
        ("c", "JAX computes this value here, t"[:30]),
        ("b", "torch computes this value here"),
    ]
    assert [culprit.site for culprit in found.culprits] == ["a", "b"]
    assert [culprit.shape for culprit in found.culprits][1] == ()  # there is nothing to describe


def test_what_was_computed_before_counts_as_fed_only_if_it_could_be():
    reads = {"b": ("a",)}
    wrong = {"b": WRONG}
    first = part("a")
    assert [one.site for one in compared(first, part("b", ours=wrong, local=wrong), reads=reads).culprits] == ["b"]
    reshaped = Part(sites("a", a=VALUES[None]), sites("a"), lambda: sites("a", a=VALUES[None]))
    found = compared(reshaped, part("b", ours=wrong, local=wrong), reads=reads)
    assert [one.site for one in found.culprits] == ["a"]  # b may be wrong because a could not be fed


def test_eight_culprits_are_looked_at_and_eight_elements_of_each_shown():
    names = [f"v{i}" for i in range(9)]
    many = {name: np.arange(12.0) ** 2 + 1 for name in names}
    explained = []

    def explain(differences, differing):
        explained.extend(one.site for one in differences)
        return [(Explanation("squared", one.site, "JAX", 0.0),) for one in differences]

    wrong = Part(
        tuple(Site(name, many[name] * 2) for name in names),
        tuple(Site(name, many[name]) for name in names),
        lambda: tuple(Site(name, many[name] * 2) for name in names),
        explain=explain,
    )
    culprits = compared(wrong).culprits
    assert [one.site for one in culprits] == names
    assert explained == names[:8]
    assert [len(one.elements) for one in culprits] == [8] * 8 + [0]
    assert [one.shape for one in culprits] == [("JAX is 2 x torch",)] * 8 + [()]
    assert [one.explanations[0].mistake for one in culprits[:8]] == names[:8]
    assert culprits[8].explanations == ()


def test_a_part_without_explanations_has_culprits_all_the_same():
    explained = part(
        *("c", "d"),
        ours={"d": WRONG},
        local={"d": WRONG},
        explain=lambda differences, differing: [(Explanation("it", "it", "JAX", 0.0),) for _ in differences],
    )
    found = compared(part("a", "b", ours={"a": WRONG}, local={"a": WRONG}), explained).culprits
    assert [(one.site, len(one.explanations)) for one in found] == [("a", 0), ("d", 1)]


def test_who_explains_is_told_what_differs_on_what_it_was_fed():
    told = []

    def explain(differences, differing):
        told.append(([one.site for one in differences], {one.site for one in differing}))
        return [() for _ in differences]

    # c inherits a difference, d differs only on what it is fed
    ours, local = {"b": WRONG, "c": WRONG}, {"b": WRONG, "d": WRONG}
    compared(part("a", "b", "c", "d", ours=ours, local=local, explain=explain))
    assert told == [(["b"], {"b", "d"})]


def test_nobody_is_asked_to_explain_what_is_no_culprit():
    def asked(_):
        raise AssertionError("there is nothing to explain")

    assert compared(part("a", explain=asked), replay=True).culprits == ()
    inherited = part("b", ours={"b": WRONG}, explain=asked)
    assert compared(inherited).culprits == ()


def test_a_difference_is_described_by_the_axes_and_the_mask_of_its_case():
    seen_BS = np.arange(4) < np.array([[3], [2]])
    values = np.arange(1.0, 9.0).reshape(2, 4)
    wrong = np.where(seen_BS, values, 2 * values)
    one = Part((Site("a", wrong),), (Site("a", values),), lambda: (Site("a", wrong.copy()),))
    (culprit,) = compared(one, seen_BS=seen_BS, axes=lambda site: {"a": "BT"}[site]).culprits
    assert culprit.shape == (
        "they differ only at positions that are padding, at every one",
        "there: JAX is 2 x torch",
    )


def test_what_a_culprit_reads_is_told_where_it_is_known():
    wrong = {"a": WRONG, "b": WRONG}
    found = compared(part("a", "b", ours=wrong, local=wrong), reads={"b": ("a",)}).culprits
    assert [(one.site, one.reads) for one in found] == [("a", ()), ("b", ("a",))]


def test_sites_are_compared_in_the_order_in_which_both_have_them():
    found = compare_sites(sites("a", "x", "b"), sites("a", "b", "y"))
    assert [(one.site, one.problem) for one in found] == [
        ("a", ""),
        ("x", "JAX computes this value here, torch never"),
        ("b", ""),
        ("y", "torch computes this value here, JAX never"),
    ]
    assert found[1] == Comparison("x", (4,), "float64", math.inf, SEMANTIC, problem=found[1].problem)
    moved = compare_sites(sites("a", "b", "c"), sites("b", "c", "a"))
    assert [(one.site, one.problem) for one in moved] == [
        ("a", "JAX computes this value here, torch elsewhere in the order"),
        ("b", ""),
        ("c", ""),
        ("a", "torch computes this value here, JAX elsewhere in the order"),
    ]


def test_floats_must_be_float64_and_are_judged_by_the_constant():
    (single,) = compare_sites(sites("a", a=VALUES.astype(np.float32)), sites("a", a=VALUES.astype(np.float32)))
    assert single.problem == "both sides give float32, must be float64"
    (scaled,) = compare_sites(sites("a"), sites("a"), {"a": 64.0, "b": 1.0})
    assert (scaled.scale, scaled.allowed) == (64.0, SEMANTIC)
    small = {"a": VALUES / 64}
    for scales in (None, {"b": 1.0}):
        (own,) = compare_sites(sites("a", **small), sites("a", **small), scales)
        assert own.scale == 7 / 64


def test_two_sides_that_cannot_be_brought_together_are_one_failing_comparison():
    run = mismatched("post", "ragged", MismatchError("no row for x"), ("too short",))
    assert run == Run(
        "post",
        "ragged",
        (Comparison("parameters", (), "", math.inf, SEMANTIC, problem="no row for x"),),
        ("too short",),
    )
    assert not run.comparisons[0].agrees


def refuse() -> Run:
    raise MismatchError("no row for x")


def test_a_run_is_attempted():
    run = toy.run_of(toy.agreeing("a"))
    assert attempt("one", "ragged", lambda: run) is run
    assert attempt("one", "ragged", refuse, ("x",)) == mismatched(
        "one", "ragged", MismatchError("no row for x"), ("x",)
    )


def test_the_run_of_a_trace_has_all_that_was_found():
    found = compared(part("a", ours={"a": WRONG}, local={"a": WRONG}))
    run = run_of("one", "ragged", found, ("x",))
    assert (run.variant, run.case, run.inadequate) == ("one", "ragged", ("x",))
    assert (run.comparisons, run.replayed, run.culprits) == (found.comparisons, found.replayed, found.culprits)
    assert (run.inert, run.outputs) == (found.inert, found.outputs)


@dataclasses.dataclass(frozen=True)
class Replayed(toy.ToyVariant):
    """A variant that can be replayed, and counts how often it is built."""

    built: list = dataclasses.field(default_factory=list)

    def build(self):
        self.built.append(1)
        run = super().build()

        def replayed(case: Case) -> Trace:
            trace = run(case)
            (only,) = trace.parts
            copies = tuple(Site(site.name, site.value.copy()) for site in only.actual)
            return trace._replace(parts=(only._replace(replay=lambda: copies),))

        return replayed


def test_the_first_case_of_a_variant_is_replayed_and_it_is_built_once():
    variant = Replayed()
    report = check(toy.ToySubject({"toy": variant}), cases=["ragged", "holes", "packed"])
    assert report.verdict is Verdict.PASS
    assert [(run.case, bool(run.replayed)) for run in report.runs] == [
        *(("ragged", True), ("holes", False), ("packed", False))
    ]
    assert variant.built == [1]


def test_the_report_says_what_was_compared_and_by_which_constant():
    report = check(toy.ToySubject(), variants=["one"], cases=["ragged"])
    assert (report.subject, report.allowed) == ("a head against itself", SEMANTIC)
    assert [setting.name for setting in report.preflight] == ["numpy", "dtypes"]
    assert report.preflight[1].jax == ""


@pytest.mark.parametrize(("own", "told"), [((), ()), (("x",), ("x",))])
def test_reasons_of_the_binding_stand_beside_those_of_the_case(own, told):
    def build(self):
        return lambda case: Trace((), own)

    odd = dataclasses.make_dataclass("Odd", ["sizes"], namespace={"by_default": True, "build": build})
    (run,) = check(toy.ToySubject({"toy": odd(toy.sizes())}), cases=["ragged"]).runs
    assert run.inadequate == told
