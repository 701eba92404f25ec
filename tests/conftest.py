"""What every test runs under: float64, strict dtypes and ranks, and shape annotations checked at every call."""

import os

import jax
from jaxtyping import install_import_hook

# Two workers on two cores: more threads each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

jax.config.update("jax_enable_x64", True)  # parity runs in float64, so that rounding cannot hide a mistake
jax.config.update("jax_default_matmul_precision", "highest")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

install_import_hook(["jax_encoder", "torch_ref", "parity"], "beartype.beartype")
