"""What a lowered training step holds."""

import pytest

from jax_encoder.kernels import table
from parity.kernels import lowering
from parity.kernels.lowering import LENGTH, lowered, square_arrays


@pytest.mark.parametrize(
    ("name", "platform", "kernel"),
    [
        ("pallas", "gpu", "triton"),
        ("splash", "tpu", "tpu_custom_call"),
        ("windows", "gpu", ""),
        ("rows", "tpu", ""),
    ],
)
def test_a_training_step_has_the_kernel_and_no_scores(name, platform, kernel):
    program = lowered(name, platform, 64)
    assert kernel in program
    assert square_arrays(program, LENGTH) == ()


def test_scores_would_be_seen():
    assert f"2x2x{LENGTH}x{LENGTH}" in square_arrays(lowered(table.EINSUM, "gpu", 32), LENGTH)
    assert square_arrays("tensor<2x8x8xf32> tensor<8xf32> tensor<16x9xbf16> tensor<8x2xi1>", 8) == ("16x9", "2x8x8")


def test_a_program_with_scores_fails(monkeypatch):
    monkeypatch.setattr(lowering, "lowered", lambda *_: f"stablehlo tensor<{LENGTH}x{LENGTH}xf32>")
    run = next(iter(lowering.runs("splash")))
    assert run.first_to_differ == 0
