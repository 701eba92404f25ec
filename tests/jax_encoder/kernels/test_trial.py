"""A kernel that this device gets wrong, or cannot run, is not taken, and the run says why."""

import jax
import jax.numpy as jnp
import pytest

from jax_encoder.kernels import blocks, einsum, pallas_gpu, table
from jax_encoder.kernels.table import Implementation, Layer, choose
from jax_encoder.kernels.trial import trial

LAYER = Layer(platform="cpu", dtype="float32", head_dim=16, length=1024, window=None, relative=None, drops=False)


def raises(*given):
    raise RuntimeError("no such instruction\nand a long trace")


def off_in_the_backward_pass(query, key, value, sight, scale):
    """Right forward; the value's gradient is twice what it should be."""
    doubled = 2 * value - jax.lax.stop_gradient(value)
    return einsum.attend(query, key, doubled, sight, scale)


WRONG = {
    "raises": (raises, "it fails on this device (RuntimeError: no such instruction)"),
    "scaled": (lambda *given: 1.01 * einsum.attend(*given), "its output is off by "),
    "no number": (lambda *given: jnp.nan * einsum.attend(*given), "its output is off by nan"),
    "backward": (off_in_the_backward_pass, "its gradient of the value is off by 1e+00"),
}


@pytest.mark.parametrize(("attend", "why"), WRONG.values(), ids=WRONG)
def test_what_a_device_gets_wrong_is_not_taken(attend, why, monkeypatch):
    tried = Implementation(lambda _: attend, ("cpu",), lambda _: "", lambda _: "", tried=True)
    monkeypatch.setattr(table, "IMPLEMENTATIONS", {**table.IMPLEMENTATIONS, "pallas": tried})
    choice = choose(LAYER)
    assert choice.name == "rows"
    assert why in choice.why


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_a_device_gets_right_is_taken(dtype):
    """Also where the caller is tracing a program, which the trial must be no part of."""
    found = []

    @jax.jit
    def traced(x):
        found.append(trial(lambda _: blocks.rows, dtype, 16, None))
        return x

    assert jax.make_jaxpr(traced)(1.0).eqns[0].params["jaxpr"].eqns == []
    assert found == [""]
    assert trial(lambda _: blocks.windows, dtype, 16, 32) == ""


def test_a_kernel_of_jax_passes_by_its_meaning():
    assert trial(lambda _: pallas_gpu.attend_by(True), "float32", 32, None) == ""


def test_a_kernel_for_another_device_is_not_tried(monkeypatch):
    tried = Implementation(lambda _: raises, ("tpu",), lambda _: "", lambda _: "", tried=True)
    monkeypatch.setattr(table, "IMPLEMENTATIONS", {**table.IMPLEMENTATIONS, "splash": tried})
    assert choose(LAYER._replace(platform="tpu")).name == "splash"
