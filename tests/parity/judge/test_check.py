import dataclasses
import math

import numpy as np
import pytest

from parity.cases.case import CASE_NAMES, make_case
from parity.errors import MismatchError, UsageError
from parity.judge.check import check, compare_trace
from parity.judge.sites import Site
from parity.judge.subject import Part, Structure, Subject, Trace, Variant
from parity.judge.verdict import Explanation, Verdict, vacuities
from tests.parity import helpers as toy

SITES = [
    "total",
    "norm",
    "attention.key",
    "attention.scores",
    "attention.masked_scores",
    "attention.weights",
    "context",
]


def run(case=None, **plant) -> tuple:
    """Checks the toy with something planted; all cases unless one is named."""
    report = check(toy.ToySubject({"toy": toy.ToyVariant(**plant)}), cases=case and [case])
    first = next(
        ((one.case, one.comparisons[one.first_to_differ]) for one in report.runs if one.first_to_differ is not None),
        None,
    )
    return report, first


def test_the_toy_is_a_subject():
    assert isinstance(toy.ToySubject(), Subject)
    assert isinstance(toy.ToyVariant(), Variant)


def test_two_forms_of_one_function_agree_everywhere():
    report = check(toy.ToySubject())
    assert report.verdict is Verdict.PASS
    assert [(one.variant, one.case) for one in report.runs] == [
        (name, case) for name in ("one", "two") for case in CASE_NAMES
    ]
    assert all([comparison.site for comparison in one.comparisons] == SITES for one in report.runs)
    assert report.environment == {"numpy": np.__version__}


def test_the_session_surrounds_everything_and_is_left():
    subject = toy.ToySubject()
    check(subject, cases=["ragged"], progress=lambda variant, case: subject.log.append(f"{variant} {case}"))
    assert subject.log == ["enter", "one ragged", "leave", "enter", "two ragged", "leave", "enter", "leave"]


def test_what_is_not_checked_by_default_is_checked_by_name():
    subject = toy.ToySubject({"small": toy.ToyVariant(), "large": toy.ToyVariant(by_default=False)})
    assert {run.variant for run in check(subject, cases=["ragged"]).runs} == {"small"}
    assert {run.variant for run in check(subject, variants=["large"], cases=["ragged"]).runs} == {"large"}


def test_names_choose_in_the_known_order_and_once():
    report = check(toy.ToySubject(), variants=["two", "one", "two"], cases=["packed", "ragged"])
    assert [(one.variant, one.case) for one in report.runs] == [
        (v, c) for v in ("one", "two") for c in ("ragged", "packed")
    ]


def test_unknown_names_list_the_known():
    with pytest.raises(UsageError, match=r"^no variant is called three, four; there are: one, two$"):
        check(toy.ToySubject(), variants=["one", "three", "four"])
    with pytest.raises(UsageError, match=r"^no case is called raged; there are: ragged, holes, left-padding, "):
        check(toy.ToySubject(), cases=["raged"])


def replaced(**values):
    return lambda case: dataclasses.replace(
        case, **{name: change(getattr(case, name)) for name, change in values.items()}
    )


def scaled(name: str, factor: float):
    return lambda params: params | {name: params[name] * factor}


def site_changed(name: str, change):
    return lambda sites: tuple(Site(site.name, change(site.value)) if site.name == name else site for site in sites)


MISTAKES = {
    "bias dropped": ({"break_params": scaled("key.bias", 0.0)}, "ragged", "attention.key"),
    "kernel transposed": (
        {"break_params": lambda params: params | {"key.weight": params["key.weight"].T.copy()}},
        "ragged",
        "attention.key",
    ),
    "scale off by 1e-9": ({"break_params": scaled("norm.weight", 1 + 1e-9)}, "ragged", "norm"),
    "one value off by 1e-9": (
        {"break_sites": site_changed("context", lambda x: np.where(x == x.max(), x * (1 + 1e-9), x))},
        "ragged",
        "context",
    ),
    "inverted mask": ({"break_case": replaced(mask_BTS=np.logical_not)}, "ragged", "total"),
    "transposed mask": (
        {"break_case": replaced(mask_BTS=lambda m: m.swapaxes(1, 2))},
        "holes",
        "attention.masked_scores",
    ),
    "positions not restarted": ({"break_case": replaced(positions_BT=lambda _: None)}, "left-padding", "total"),
    "axes swapped": (
        {"break_sites": site_changed("attention.scores", lambda x: x.swapaxes(1, 2).copy())},
        "ragged",
        "attention.scores",
    ),
    "not finite": (
        {"break_sites": site_changed("attention.weights", lambda x: np.where(x == 0, np.nan, x))},
        "ragged",
        "attention.weights",
    ),
    "float32": ({"break_sites": site_changed("norm", lambda x: x.astype(np.float32))}, "ragged", "norm"),
    "cropped": ({"break_sites": site_changed("norm", lambda x: x[:, :-1].copy())}, "ragged", "norm"),
    "squeezed": ({"break_sites": site_changed("norm", lambda x: x[None].copy())}, "ragged", "norm"),
}


@pytest.mark.parametrize(("plant", "case", "site"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_fails_first_where_it_was_made(plant, case, site):
    report, first = run(**plant)
    assert report.verdict is Verdict.FAIL_SEMANTIC
    assert (first[0], first[1].site) == (case, site)


def test_a_transposed_mask_passes_every_case_whose_mask_is_symmetric():
    report, _ = run(**MISTAKES["transposed mask"][0])
    assert [one.case for one in report.runs if one.first_to_differ is not None] == ["holes", "fully-masked-row"]


def test_a_site_that_torch_lacks_fails_in_its_place():
    _, (_, comparison) = run("ragged", break_sites=lambda sites: sites[:2] + sites[3:])
    assert (comparison.site, comparison.error) == ("attention.key", math.inf)
    assert comparison.problem == "JAX computes this value here, torch never"


def test_a_site_that_jax_lacks_fails_in_its_place():
    extra = Site("dropout", np.ones(2))
    report, (_, comparison) = run("ragged", break_sites=lambda sites: (*sites[:2], extra, *sites[2:]))
    assert (comparison.site, comparison.problem) == ("dropout", "torch computes this value here, JAX never")
    assert len(report.runs[0].comparisons) == 8


def test_another_order_fails():
    report, (_, comparison) = run("ragged", break_sites=lambda sites: (sites[1], sites[0], *sites[2:]))
    assert comparison.problem == "torch computes this value here, JAX elsewhere in the order"
    others = [one.problem for one in report.runs[0].comparisons if one.problem]
    assert others[1] == "JAX computes this value here, torch elsewhere in the order"


def test_all_sites_missing_on_one_side_fails():
    report, (_, comparison) = run("ragged", break_sites=lambda sites: ())
    assert comparison.site == "total"
    assert report.verdict is Verdict.FAIL_SEMANTIC


def test_a_comparison_that_was_never_called_is_vacuous():
    case = make_case("ragged", toy.sizes())
    assert compare_trace(Trace((Part((), ()),))).comparisons == ()
    nothing = dataclasses.make_dataclass(
        "Nothing", ["sizes"], namespace={"by_default": True, "build": lambda self: lambda case: Trace((Part((), ()),))}
    )
    report = check(toy.ToySubject({"toy": nothing(toy.sizes())}), cases=[case.name])
    assert report.verdict is Verdict.VACUOUS
    assert vacuities(report.runs) == ("no site was compared (toy, ragged)",)


def test_an_output_compared_with_itself_fails():
    sites = (Site("output", np.arange(6.0).reshape(2, 3)),)
    [comparison] = compare_trace(Trace((Part(sites, sites),))).comparisons
    assert comparison.problem == "both sides give the same memory: an array was compared with itself"


def test_doubled_sites_are_refused():
    twice = (Site("a", np.ones(2)), Site("a", np.ones(2)))
    with pytest.raises(MismatchError, match=r"doubled: \['a'\]"):
        compare_trace(Trace((Part(twice, twice),)))
    report, (_, comparison) = run("ragged", break_sites=lambda sites: (*sites, sites[0]))
    assert (comparison.site, report.verdict) == ("parameters", Verdict.FAIL_SEMANTIC)


def test_parameters_that_do_not_fit_fail_once_and_the_next_variant_is_still_checked():
    forms = {"broken": toy.ToyVariant(rows=toy.ROWS[:-1]), "whole": toy.ToyVariant()}
    report = check(toy.ToySubject(forms))
    assert [one.case for one in report.variants["broken"]] == ["ragged"]
    [comparison] = report.runs[0].comparisons
    assert comparison.problem.splitlines() == [
        "the parameters of the two sides are not one to one:",
        "  JAX's norm.scale [8] must match exactly one row, matches none",
        "  nothing makes torch's norm.weight [8]",
    ]
    assert len(report.variants["whole"]) == len(CASE_NAMES)


def test_what_does_not_fit_on_one_case_fails_there_only():
    def refuse(word_VD, rest_BTD, case, eps):
        if case.name == "packed":
            raise MismatchError("no table for packed rows")
        return word_VD.copy()

    report, (case, comparison) = run(prepare=refuse)
    assert (case, comparison.problem) == ("packed", "no table for packed rows")
    assert len(report.runs) == len(CASE_NAMES)


def test_what_the_binding_finds_inadequate_is_vacuous():
    report, first = run("nan-padding", prepare=lambda word_VD, *_: word_VD.copy())
    assert first is None
    assert vacuities(report.runs) == ("the row of the poisoned token, 60, is not NaN (toy, nan-padding)",)


def test_a_case_that_cannot_expose_is_vacuous():
    report, first = run("longer-than-window", sizes=toy.sizes(windows=(12,)))
    assert first is None
    assert report.verdict is Verdict.VACUOUS
    assert vacuities(report.runs)[0].startswith("no query may attend to a key at distance 13, where a window of 12")


def test_an_error_of_the_binding_is_not_taken_for_one_of_a_side():
    def crash(*_):
        raise ZeroDivisionError("a bug in the binding")

    subject = toy.ToySubject({"toy": toy.ToyVariant(prepare=crash)})
    with pytest.raises(ZeroDivisionError, match="a bug in the binding"):
        check(subject)
    assert subject.log == ["enter", "leave"]


def chain(*, actual, expected, local) -> Trace:
    """Three values, each computed from the one before; `local` is what ours computes from the reference's."""
    names = ("a", "b", "c")

    def sites(values):
        return tuple(Site(name, np.array(value)) for name, value in zip(names, values, strict=True))

    reads = {"a": (), "b": ("a",), "c": ("b",)}
    explanation = Explanation("doubled", "twice as much", "JAX", 0.0)
    structure = Structure(reads, lambda site: "D")

    def explain(differences, differing):
        return [(explanation,) for _ in differences]

    part = Part(sites(actual), sites(expected), lambda: sites(local), explain=explain)
    return Trace((part,), structure=lambda: structure)


AGREEING = ([1.0, 2.0, 4.0], [2.0, 3.0, 5.0], [3.0, 5.0, 9.0])


def test_a_difference_is_told_from_what_inherits_it():
    doubled = ([1.0, 2.0, 4.0], [4.0, 6.0, 10.0], [5.0, 8.0, 14.0])
    compared = compare_trace(chain(actual=doubled, expected=AGREEING, local=(*doubled[:2], AGREEING[2])))
    assert [one.site for one in compared.comparisons if not one.agrees] == ["b", "c"]
    assert [one.site for one in compared.replayed if not one.agrees] == ["b"]
    [culprit] = compared.culprits
    assert (culprit.site, culprit.reads) == ("b", ("a",))
    assert culprit.explanations[0].bug == "doubled"
    assert culprit.elements[0].actual == 2 * culprit.elements[0].expected
    assert culprit.shape == ("JAX is 2 x torch",)


def test_nothing_is_replayed_without_need_unless_it_is_asked_for():
    trace = chain(actual=AGREEING, expected=AGREEING, local=AGREEING)
    assert compare_trace(trace).replayed == ()
    assert [one.site for one in compare_trace(trace, replay=True).replayed] == ["a", "b", "c"]


def test_what_arises_between_the_blocks_has_no_culprit():
    other = ([1.0, 2.0, 4.0], [4.0, 6.0, 10.0], [5.0, 8.0, 14.0])
    compared = compare_trace(chain(actual=other, expected=AGREEING, local=AGREEING))
    assert [one.site for one in compared.comparisons if not one.agrees] == ["b", "c"]
    assert compared.culprits == ()


def test_a_value_that_cancels_is_judged_by_what_flowed_in():
    def verdict(actual, scale):
        part = Part((Site("g", np.array([actual])),), (Site("g", np.array([1e-17])),), scales={"g": scale})
        return compare_trace(Trace((part,))).comparisons[0]

    assert not verdict(-3e-17, 0.0).agrees
    assert verdict(-3e-17, 0.5).agrees
    assert verdict(-3e-17, 0.5).scale == 0.5
    assert not verdict(1e-9, 0.5).agrees
