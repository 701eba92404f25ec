import ml_dtypes
import numpy as np
import pytest

from parity.encoder.preflight import Sides, compiler_flags, mantissa_bits, products
from parity.judge.verdict import Setting


def rounded(x: np.ndarray, digits: int) -> np.ndarray:
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.rint(np.ldexp(mantissa, digits)), exponent - digits)


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 24), ("float64", 53)])
def test_a_full_product_keeps_every_digit(dtype, digits):
    assert mantissa_bits(np.matmul, dtype) == digits


@pytest.mark.parametrize("digits", [8, 11, 16, 23])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_operands_that_are_rounded_are_found_out(dtype, digits):
    assert mantissa_bits(lambda left, right: rounded(left, digits) @ rounded(right, digits), dtype) == digits


def test_one_rounded_operand_is_enough():
    assert mantissa_bits(lambda left, right: rounded(left, 11) @ right, "float32") == 11
    assert mantissa_bits(lambda left, right: left @ rounded(right, 11), "float32") == 11


def test_cutting_off_is_found_out_like_rounding():
    def cut(x):
        return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)

    assert mantissa_bits(lambda left, right: cut(left) @ cut(right), "float32") == 8


def test_a_product_in_several_passes_is_not_taken_for_one_of_all_digits():
    def split(x):
        high = x.astype(ml_dtypes.bfloat16).astype(np.float32)
        return high, (x - high).astype(ml_dtypes.bfloat16).astype(np.float32)

    def three_passes(left, right):
        (high, low), (other_high, other_low) = split(left), split(right)
        return high @ other_high + high @ other_low + low @ other_high

    assert 15 < mantissa_bits(three_passes, "float32") < 20


def test_float32_for_float64_keeps_24_digits():
    assert mantissa_bits(lambda a, b: a.astype(np.float32) @ b.astype(np.float32), "float64") == 24


def test_a_product_of_nothing_keeps_nothing():
    assert mantissa_bits(lambda left, right: left @ right * np.nan, "float32") == 0


def test_full_products_need_no_warning():
    assert products("float32", Sides(24, 24)) == Setting(
        "float32 products, measured", "24 of 24 digits", "24 of 24 digits"
    )


@pytest.mark.parametrize(
    ("dtype", "bits", "warning"),
    [
        (
            "float32",
            Sides(11, 24),
            'JAX multiplies float32 in TF32 (11 binary digits): set jax_default_matmul_precision="highest" '
            "(or the variable JAX_DEFAULT_MATMUL_PRECISION)",
        ),
        (
            "float32",
            Sides(24, 8),
            "torch multiplies float32 in bfloat16 (8 binary digits): call "
            'torch.set_float32_matmul_precision("highest")',
        ),
        (
            "float64",
            Sides(24, 53),
            "JAX multiplies float64 in float32 (24 binary digits): set jax_enable_x64=True "
            "(or the variable JAX_ENABLE_X64=1)",
        ),
        ("float64", Sides(53, 17), "torch multiplies float64 in 17 binary digits: use a device that has float64"),
    ],
)
def test_a_warning_says_what_is_wrong_and_what_to_set(dtype, bits, warning):
    assert products(dtype, bits).warning == warning


def test_both_sides_are_warned_of():
    assert products("float32", Sides(11, 11)).warning.count("TF32") == 2


@pytest.mark.parametrize(
    ("flags", "loose"),
    [
        ("", ""),
        ("--xla_force_host_platform_device_count=8", ""),
        ("--xla_cpu_enable_fast_math=false", ""),
        ("--a=1 --xla_cpu_enable_fast_math=true", "--xla_cpu_enable_fast_math=true"),
        ("--xla_gpu_enable_fast_min_max", "--xla_gpu_enable_fast_min_max"),
    ],
)
def test_flags_that_give_up_digits_are_warned_of(flags, loose):
    setting = compiler_flags({"XLA_FLAGS": flags})
    assert setting.jax == (flags or "none")
    assert setting.warning == (f"XLA_FLAGS has {loose}, which gives up digits for speed: leave it out" if loose else "")


def test_no_flags_at_all():
    assert compiler_flags({}) == Setting("compiler flags", "none", "-")
