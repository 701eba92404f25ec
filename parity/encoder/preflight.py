"""What decides precision in JAX and in torch, here and now, with a warning where it is not what a comparison needs."""

import os
import platform
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from parity.encoder.session import in_dtype
from parity.judge.verdict import Setting

Multiply = Callable[[np.ndarray, np.ndarray], np.ndarray]

# Of the mantissa, the leading one included.
FULL = {"float32": 24, "float64": 53}
_KNOWN = {8: "bfloat16", 11: "TF32", 24: "float32"}

_SIZE = 128  # large enough for the kernels that large products run on

_REMEDIES = {
    "float32": {
        "JAX": 'set jax_default_matmul_precision="highest" (or the variable JAX_DEFAULT_MATMUL_PRECISION)',
        "torch": 'call torch.set_float32_matmul_precision("highest")',
    },
    "float64": {
        "JAX": "set jax_enable_x64=True (or the variable JAX_ENABLE_X64=1)",
        "torch": "use a device that has float64",
    },
}
_FAST_MATH = ("fast_math", "fast_min_max")


def preflight(dtypes: tuple[str, ...] = ()) -> tuple[Setting, ...]:
    """Versions and settings, and what the matrix products of both really keep; call it outside of any session.

    float64 is measured as the check runs it, float32 as JAX and torch are set.

    Args:
        dtypes: that are checked beside float64.
    """
    float64, float32 = (_measured(dtype) for dtype in ("float64", "float32"))
    checked = ", ".join(("float64", *dtypes))
    config: Any = jax.config
    return (
        Setting("version", jax.__version__, torch.__version__),
        Setting("device", jax.devices()[0].device_kind, f"{torch.get_default_device()} ({platform.machine()})"),
        Setting("checked in", checked, checked),
        Setting("float64 by default", f"jax_enable_x64={config.jax_enable_x64}", "-"),
        Setting("float32 products, set to", config.jax_default_matmul_precision or "default", _torch_setting()),
        Setting("threads", str(os.cpu_count()), str(torch.get_num_threads())),
        compiler_flags(os.environ),
        float32,
        float64,
    )


def _measured(dtype: str) -> Setting:
    with in_dtype(dtype):
        return products(
            dtype, Sides(*(mantissa_bits(multiply, dtype) for multiply in (multiply_in_jax, multiply_in_torch)))
        )


def _torch_setting() -> str:
    """torch.set_float32_matmul_precision and allow_tf32 set these; neither can be read back once somebody has."""
    backends: Any = torch.backends
    found = {"cuda": backends.cuda.matmul, "cudnn": backends.cudnn.conv, "cpu": backends.mkldnn.matmul}
    return ", ".join(f"{name} {backend.fp32_precision}" for name, backend in found.items())


def multiply_in_jax(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """As the encoder does, at the precision that is set."""
    return np.asarray(jnp.matmul(jnp.asarray(left), jnp.asarray(right)))


def multiply_in_torch(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """As the reference does."""
    return (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()


class Sides(NamedTuple):
    """One thing on both sides."""

    jax: int
    torch: int


def mantissa_bits(multiply: Multiply, dtype: str) -> int:
    """How many binary digits of its operands a matrix product really keeps, the leading one included.

    Every entry of one operand has some number of digits, the last of them a 1; the other operand is the identity. The
    product keeps so many digits if it gives every entry with up to so many back, as left and as right operand.

    Args:
        multiply: of two square arrays of `dtype`, in any float dtype at least as wide.
        dtype: "float32" or "float64".
    """
    rng, identity = np.random.default_rng(0), np.eye(_SIZE, dtype=dtype)
    digits = 1 + np.arange(_SIZE) % FULL[dtype]
    # Odd numbers of exactly so many digits, brought between 1 and 2; drawn, so that no two parts of a split hold them.
    drawn = rng.integers(0, 2 ** (digits - 1), (_SIZE, _SIZE), np.int64)
    values = np.ldexp((drawn | 1 | 2 ** (digits - 1)).astype(np.float64), 1 - digits).astype(dtype)
    kept = np.ones(_SIZE, bool)
    for left, right in ((values, identity), (identity, values)):
        kept &= (multiply(left, right).astype(np.float64) == values.astype(np.float64)).all(axis=0)
    return int(min(digits[~kept], default=FULL[dtype] + 1)) - 1


def products(dtype: str, bits: Sides) -> Setting:
    """What the matrix products of both sides keep, as `mantissa_bits` found, and what to do if that is not all."""
    warnings = [
        f"{side} multiplies {dtype} in {_name(kept)}: {_REMEDIES[dtype][side]}"
        for side, kept in (("JAX", bits.jax), ("torch", bits.torch))
        if kept < FULL[dtype]
    ]
    jax, torch = (f"{kept} of {FULL[dtype]} digits" for kept in bits)
    return Setting(f"{dtype} products, measured", jax, torch, "; ".join(warnings))


def compiler_flags(environment: Mapping[str, str]) -> Setting:
    """The flags that XLA is given; some let it compute other numbers than are written."""
    flags = environment.get("XLA_FLAGS", "").split()
    loose = [flag for flag in flags if any(flag.lower().endswith((name, f"{name}=true")) for name in _FAST_MATH)]
    warning = f"XLA_FLAGS has {' '.join(loose)}, which gives up digits for speed: leave it out" if loose else ""
    return Setting("compiler flags", " ".join(flags) or "none", "-", warning)


def _name(bits: int) -> str:
    return f"{_KNOWN[bits]} ({bits} binary digits)" if bits in _KNOWN else f"{bits} binary digits"
