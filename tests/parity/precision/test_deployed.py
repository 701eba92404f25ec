"""The claim in the deployed dtypes: our rounding is no worse than torch's, and what is worse is told as precision."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jax_encoder.norm
from parity.cases.case import CASE_NAMES, make_case
from parity.encoder import weights
from parity.encoder.preflight import preflight
from parity.encoder.session import in_dtype
from parity.encoder.variants import sizes_of, variants
from parity.errors import UsageError
from parity.judge.rounding import ExplainedRun, measure
from parity.judge.verdict import Report, Verdict
from parity.precision import deployed
from parity.precision import runs as precision_tier
from parity.precision.bugs import PRECISION_BUGS
from parity.precision.deployed import Deployed
from parity.precision.runs import LEFT_OUT, outcomes, precision_runs, random_forms, report_on
from parity.report.text import headline, render
from tests.parity.encoder.options import covering

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

VARIANTS = variants()
BUGS = {bug.name: bug for bug in PRECISION_BUGS}
FAST = ("modernbert",)


def subset(name: str):
    return {name: VARIANTS[name]}


def failing(runs) -> list[str]:
    return [f"{e.site} ({run.variant}, {run.case}, {run.dtype})" for run in runs for e in run.errors if not e.agrees]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, marks=() if name in FAST else pytest.mark.slow)
        for dtype, names in (("float32", [*VARIANTS]), ("bfloat16", sorted({*covering(VARIANTS), *FAST})))
        for name in names
    ],
)
def test_our_rounding_is_no_worse_than_torchs(name, dtype):
    some = ("holes", "low-variance", "nan-padding")
    cases = {"post": CASE_NAMES, "modernbert": some}.get(name, some[:1])
    runs = precision_runs(subset(name), cases, [dtype])
    assert [run.case for run in runs] == [case for case in cases if case not in LEFT_OUT.get(dtype, {})]
    assert not failing(runs)
    assert {run.dtype for run in runs} == {dtype}
    assert all(len(run.errors) > 35 for run in runs)
    assert sum(error.ours > 0 for run in runs for error in run.errors) > 30  # something was rounded


@pytest.mark.slow
def test_random_encoders_raise_no_false_alarm():
    for dtype in ("float32", "bfloat16"):
        assert not failing(precision_runs(random_forms(2, seed=1), CASE_NAMES, [dtype]))


def test_what_is_left_out_says_nothing():
    [(dtype, [(case, reason)])] = [(dtype, list(cases.items())) for dtype, cases in LEFT_OUT.items()]
    assert "both sides' errors reach 0.6" in reason
    with in_dtype(dtype):
        form = VARIANTS["post"]
        pair = Deployed.build(form, dtype)
        errors = measure(pair.trace(make_case(case, sizes_of(form.config)), pair.program()), dtype)
    worst = max(errors, key=lambda error: error.theirs)
    assert worst.theirs > 0.6
    assert worst.ours > 0.6


def test_no_side_rounds_its_parameters():
    with in_dtype("bfloat16"):
        pair = Deployed.build(VARIANTS["modernbert"], "bfloat16")
        state = jax.tree.leaves(pair._params(pair.params[deployed.WORD]))
    for array in pair.params.values():
        assert np.array_equal(np.asarray(jnp.asarray(array, jnp.bfloat16), np.float64), array)
    assert {leaf.dtype for leaf in state} == {jnp.dtype(jnp.float32)}
    total = sum(array.astype(np.float64).sum() for array in map(np.asarray, state))
    for side, dtype in ((pair.reference, torch.float64), (pair.theirs, torch.bfloat16)):
        values = list(side.state_dict().values())
        assert {value.dtype for value in values} == {dtype}
        assert math.isclose(sum(value.double().sum().item() for value in values), total, rel_tol=1e-9)


def test_a_prepared_word_table_is_not_rounded_either():
    with in_dtype("float32"):
        pair = Deployed.build(VARIANTS["post"], "float32")
        trace = pair.trace(make_case("low-variance", sizes_of(pair.form.config)), pair.program())
    for side in trace:
        assert side[0].name == "embedding.word"
        assert np.array_equal(side[0].value.astype(np.float64), trace.reference[0].value)


def test_a_session_leaves_everything_as_it_was():
    before = jax.config.jax_enable_x64, torch.get_num_threads()
    with in_dtype("float32"):
        assert jnp.ones(1).dtype == np.float32
        assert torch.get_num_threads() == 1
        with in_dtype("float64"):
            assert jnp.ones(1).dtype == np.float64
    assert before == (jax.config.jax_enable_x64, torch.get_num_threads())


def test_an_unknown_dtype_is_refused():
    with pytest.raises(UsageError, match=r"^no precision tier for float8; there are: float32, bfloat16$"):
        precision_runs({}, CASE_NAMES, ["float32", "float8"])


def test_parameters_that_do_not_fit_fail_closed(monkeypatch):
    monkeypatch.setattr(deployed, "rows", lambda config: weights.rows(config)[1:])
    seen = []
    runs = precision_runs(subset("post"), CASE_NAMES, ["float32"], lambda *where: seen.append(where))
    assert seen == [("post in float32", "ragged")]
    assert failing(runs) == ["parameters (post, ragged, float32)"]
    assert headline(Report("", 1e-10, {}, (), runs)).startswith("parity FAIL precision at parameters in float32")


@pytest.mark.slow
def test_only_the_first_failure_of_a_dtype_is_explained():
    runs = precision_runs(subset("post"), ("ragged", "holes"), ["float32"], bug=BUGS["norm-low-precision"])
    assert [isinstance(run, ExplainedRun) for run in runs] == [True, False]
    assert [run.first_to_differ for run in runs] == [runs[0].first_to_differ] * 2


def report_of(name: str, variant: str = "post") -> Report:
    return report_on(BUGS[name], VARIANTS[variant], "ragged")


@pytest.mark.slow
def test_tf32_products_are_told_as_precision():
    report = report_of("matmul-tf32")
    assert report.verdict is Verdict.FAIL_PRECISION
    lines = render(report).splitlines()
    assert lines[0].startswith("parity FAIL precision at layers.0.attention.query in float32, first of ")
    assert "JAX's error " in lines[0]
    assert lines[1].endswith("so the function is the same: this is precision or configuration")
    assert lines[2].startswith(
        "  looks like: matrix products in TF32: operands keep 11 of float32's 24 digits (matmul-tf32"
    )


@pytest.mark.slow
def test_products_that_cut_digits_off_have_the_same_name():
    report = report_on(dataclasses.replace(BUGS["matmul-tf32"], cuts=True), VARIANTS["post"], "ragged")
    [run] = report.precision
    assert [one.bug for one in run.explanations] == ["matmul-tf32"]
    assert run.explanations[0].residual < 1e-6


@pytest.mark.slow
def test_what_our_program_does_without_any_mistake_is_not_called_one(monkeypatch):
    """A cast in our own code is in every program that the mistakes are planted in: none of them explains it."""
    monkeypatch.setattr(jax_encoder.norm, "at_least_float32", lambda dtype: jnp.dtype(jnp.bfloat16))
    [run] = precision_runs(subset("relu"), ["ragged"], ["float32"])
    precision_tier._with_each_bug.cache_clear()
    assert run.errors[run.first_to_differ].site == "embedding.norm"
    assert not isinstance(run, ExplainedRun)


def test_float32_for_float64_is_told_as_another_function():
    report = report_of("x64-off")
    assert headline(report).startswith("parity FAIL semantic at embedding.word, first of ")
    assert report.runs[0].comparisons[0].problem == "JAX gives float32[5, 13, 20], torch gives float64[5, 13, 20]"


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["post"])
def test_every_loss_of_digits_is_caught_at_its_site_and_named(variant):
    found = list(outcomes(variant=variant))
    assert [one.bug for one in found] == list(BUGS)
    for one in found:
        assert (one.caught, one.first, one.located) == (True, True, None), one
        assert one.named is (True if BUGS[one.bug].tier is Verdict.FAIL_PRECISION else None), one


@pytest.mark.slow
def test_a_trial_that_misses_says_so():
    """Digits that bfloat16 does not have cannot be lost there: nothing differs, so nothing is caught or located."""
    harmless = dataclasses.replace(BUGS["logits-bf16"], asked="bfloat16", digits=24, where="head.logits")
    report = report_on(harmless, VARIANTS["post"], "ragged")
    assert report.verdict is not Verdict.FAIL_PRECISION
    assert precision_tier._first_site(report) == ""


def test_the_preflight_measures_what_products_keep():
    settings = {setting.name: setting for setting in preflight(("bfloat16",))}
    assert settings["checked in"].jax == "float64, bfloat16"
    assert settings["version"].torch == torch.__version__
    for name, digits in (("float64 products, measured", 53), ("float32 products, measured", 24)):
        assert (settings[name].jax, settings[name].torch) == (f"{digits} of {digits} digits",) * 2
        assert settings[name].warning == ""
