"""Our encoders when one of them raises: while it is traced, while it runs, going backward; and the reference."""

import dataclasses

import jax
import pytest

from jax_encoder import masks as jax_masks
from jax_encoder.attention import Attention
from parity.cases.case import make_case
from parity.encoder.bugs.model import ModelBug
from parity.encoder.bugs.plant import patched
from parity.encoder.form import Form
from parity.encoder.outcomes import outcome
from parity.encoder.pair import Pair
from parity.encoder.variants import sizes_of, variants
from parity.judge.check import attempt, compare_trace
from parity.judge.verdict import Run
from torch_ref import masks as torch_masks

SOFTMAX = jax_masks.softmax


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair.build(variants()["post"], whole=False)


def planted(pair: Pair, *, ours=None, theirs=None) -> Run:
    """The run of a pair with our softmax, or the reference's window, replaced."""
    bug = ModelBug(
        name="raises",
        mistake="raises",
        where="",
        plant=patched(torch_masks, "window", theirs),
        in_jax=patched(jax_masks, "softmax", ours),
    )
    broken = pair.with_bug(bug, "JAX" if ours else "torch")

    def run() -> Run:
        return Run("post", "ragged", *compare_trace(broken(make_case("ragged", sizes_of(pair.form.config))))[:1])

    return attempt("post", "ragged", run)


def while_traced(masked_BNTS, mask_BTS):
    return masked_BNTS.reshape(7, 7)


def on_the_host(_):
    raise OSError("the disk is full")


def while_running(masked_BNTS, mask_BTS):
    shape = jax.ShapeDtypeStruct(masked_BNTS.shape, masked_BNTS.dtype)
    return jax.pure_callback(on_the_host, shape, masked_BNTS)


@jax.custom_vjp
def identity(x):
    return x


def backward(_, cotangent):
    raise NotImplementedError("no derivative yet")


identity.defvjp(lambda x: (x, None), backward)


def test_what_is_raised_while_tracing_has_a_line(pair):
    crash = planted(pair, ours=while_traced).crash
    assert (crash.side, crash.kind, crash.reached) == ("JAX", "TypeError", "")
    assert "cannot reshape" in crash.message
    assert crash.where.startswith("tests/parity/encoder/test_crashing_pair.py:")
    assert crash.where.endswith(", in while_traced")
    assert "jax_encoder/attention.py" in crash.traceback


def test_what_is_raised_while_running_has_the_last_value_before_it(pair):
    crash = planted(pair, ours=while_running).crash
    assert crash.side == "JAX"
    assert "the disk is full" in crash.message
    assert crash.reached == "layers.0.attention.masked_scores"


@pytest.mark.slow
def test_what_was_compared_before_the_backward_pass_raised_is_kept(pair):
    run = planted(pair, ours=lambda masked, mask: identity(SOFTMAX(masked, mask)))
    assert (run.crash.side, run.crash.kind) == ("JAX", "NotImplementedError")
    assert run.crash.where.endswith(", in backward")
    assert run.comparisons[-1].site == "mlm"
    assert all(one.agrees for one in run.comparisons)


def test_the_reference_raises(pair):
    crash = planted(pair, theirs=lambda mask, width: mask.view(3)).crash
    assert (crash.side, crash.kind) == ("torch", "RuntimeError")


def test_a_planted_mistake_that_raises_is_caught_and_no_more(pair):
    bug = ModelBug(name="raises", mistake="", where="", plant=patched(torch_masks, "window", lambda mask, _: mask[0]))
    found = outcome(bug, "torch", pair)
    assert (found.caught, found.first, found.located, found.named) == (True, False, False, False)
    assert found.said.startswith("torch raised ")


def fresh(norm_eps: float) -> Form:
    """A form that no program was compiled for yet."""
    form = variants()["post"]
    return form._replace(config=dataclasses.replace(form.config, norm_eps=norm_eps))


def run_of(form: Form) -> Run:
    def compared() -> Run:
        pair = Pair.build(form)
        return Run("post", "ragged", *compare_trace(pair(make_case("ragged", sizes_of(form.config))))[:1])

    return attempt("post", "ragged", compared)


def test_the_compiled_program_raises_where_it_does_equation_by_equation(monkeypatch):
    monkeypatch.setattr(jax_masks, "softmax", while_running)
    assert run_of(fresh(1.7e-6)).crash.reached == "layers.0.attention.masked_scores"


def test_a_side_that_cannot_be_built(monkeypatch):
    def broken(*_, **__):
        raise KeyError("query")

    monkeypatch.setattr(Attention, "__init__", broken)
    crash = run_of(fresh(1.9e-6)).crash
    assert (crash.side, crash.message) == ("JAX", "'query'")
