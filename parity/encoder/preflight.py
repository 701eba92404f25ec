"""What decides precision in JAX and in torch, here and now."""

import os
import platform
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from parity.encoder.deployed import session
from parity.preflight import Sides, compiler_flags, mantissa_bits, products
from parity.verdict import Setting


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
    with session(dtype):
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
