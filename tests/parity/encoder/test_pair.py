"""The claim itself: in every variant and case both frameworks compute the same function."""

import dataclasses

import jax
import numpy as np
import pytest
import torch

from parity.cases.case import CASE_NAMES
from parity.encoder import variants as encoder_variants
from parity.encoder.form import Form
from parity.encoder.pair import Pair
from parity.encoder.subject import subject
from parity.errors import MismatchError
from parity.judge.check import check
from parity.judge.compare import SEMANTIC
from parity.judge.locate import is_derivative
from parity.judge.verdict import Verdict
from parity.report.text import headline
from tests.parity.encoder.options import covering

VARIANTS = encoder_variants.variants()
CONFIGS = {name: form.config for name, form in VARIANTS.items()}
FAST = ("post", "modernbert")  # between them: most parts, a peeled first layer, windows, scanned and rotary
# The whole matrix is `python -m parity check`, which CI runs too; here, every value of every option, and every case.
RUNS = [pytest.param(name, CASE_NAMES[:2], id=f"{name}-fast") for name in FAST] + [
    pytest.param(name, CASE_NAMES if name in FAST else CASE_NAMES[:1], id=name, marks=pytest.mark.slow)
    for name in sorted({*covering(VARIANTS), *FAST})
]


@pytest.mark.parametrize(("name", "cases"), RUNS)
def test_both_frameworks_compute_the_same_function(name, cases):
    report = check(subject(), variants=[name], cases=cases)
    assert report.verdict is Verdict.PASS, headline(report)
    for run in report.runs:
        for comparison in (one for one in (*run.comparisons, *run.replayed) if not one.by_chance):
            # Backward, a norm multiplies the rounding of a nearly constant token once more; and losses are sums.
            room = 20 if is_derivative(comparison.site) or not comparison.shape else 100
            assert comparison.error * room < SEMANTIC, f"{comparison.error} at {comparison.site} leaves too little room"
    replayed = {run.case for run in report.runs if run.replayed}
    assert replayed == {CASE_NAMES[0]}


@pytest.mark.slow
def test_dropout_masks_are_the_same_in_both_and_do_drop():
    pair = Pair.build(VARIANTS["post-dropout"])
    config = dataclasses.replace(CONFIGS["post-dropout"], attention_dropout=0.0, residual_dropout=0.0)
    plain = Pair.build(Form(config))
    with_dropout, without = pair.compare("ragged"), plain.compare("ragged")
    assert all(c.agrees for c in with_dropout)
    assert with_dropout[-1].expected != without[-1].expected


def test_parameters_that_are_not_one_to_one_are_refused():
    form = Form.trained(CONFIGS["post"], deployed=True)
    trained = Pair.build(form).params
    assert all(c.agrees for c in Pair.build(form, trained).compare("ragged"))
    trained["head.extra"] = np.zeros(3)
    del trained["head.bias"]
    with pytest.raises(MismatchError) as error:
        Pair.build(form, trained)
    assert "JAX's head.extra is unknown" in str(error.value)
    assert "JAX's head.bias is missing" in str(error.value)


def test_a_session_leaves_everything_as_it_was():
    before = jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision, torch.get_num_threads()
    jax.config.update("jax_enable_x64", False)
    try:
        with subject().session():
            assert jax.numpy.ones(1).dtype == np.float64
            assert torch.get_num_threads() == 1
        assert not jax.config.jax_enable_x64
    finally:
        jax.config.update("jax_enable_x64", before[0])
    assert before == (jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision, torch.get_num_threads())


def test_parameters_that_are_not_finite_are_refused():
    form = Form.trained(CONFIGS["post"], deployed=True)
    trained = Pair.build(form).params
    trained["head.bias"] = trained["head.bias"].copy()
    trained["head.bias"][[3, 7]] = np.nan, np.inf
    with pytest.raises(MismatchError) as error:
        Pair.build(form, trained)
    assert str(error.value).splitlines() == [
        "the parameters themselves are not finite; nothing can be compared:",
        "  head.bias: 2 of 61 entries",
    ]


def test_encoders_of_full_size_are_checked_by_name_only():
    known = subject().variants()
    by_name = {name for name, variant in known.items() if not variant.by_default}
    assert by_name == set(encoder_variants.PRESETS)
    assert known["bert_base"].sizes.length == encoder_variants.T
