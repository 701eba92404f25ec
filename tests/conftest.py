"""What every test runs under: float64, strict dtypes and ranks, and shape annotations checked at every call."""

import os
from pathlib import Path

# Two workers on two cores: more threads each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Most of a test is compiling. What XLA's and LLVM's passes gain is speed, and no test measures that; and what one
# process has compiled, the others, and the next run, need not. XLA_FLAGS would end the process at a flag that this
# release of XLA does not know.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import hypothesis
import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)  # parity runs in float64, so that rounding cannot hide a mistake
jax.config.update("jax_default_matmul_precision", "highest")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# The first call of anything jitted compiles, so no example has a deadline; the same examples are drawn every time.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")

# Configs are left out: what they refuse, they refuse themselves, in words of their own. So is what runs a program
# equation by equation: its few lines are called a hundred thousand times, and have no shapes.
ROOT = Path(__file__).parent.parent
LEFT_OUT = ("config", "classifier_config", "presets", "jax_graph", "torch_graph", "sites", "relations", "support")
LEFT_OUT += ("jax_program", "torch_program", "primitives", "loops", "fingerprint", "facts", "functions", "trees")
LEFT_OUT += ("optimizer_config",)
CHECKED = [path for package in ("jax_encoder", "torch_ref", "parity") for path in (ROOT / package).rglob("[!_]*.py")]
install_import_hook(
    [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in CHECKED if path.stem not in LEFT_OUT],
    "beartype.beartype",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--accelerator",
        choices=("gpu", "tpu", "cpu"),
        help="what the tests marked gpu run on; the default is an accelerator, if there is one; cpu tries the tests",
    )


@pytest.fixture(scope="session")
def accelerator(request: pytest.FixtureRequest) -> jax.Device:
    """The device that a test marked gpu is about; without one it is skipped."""
    asked = request.config.getoption("--accelerator")
    if asked is not None:
        return jax.devices(asked)[0]
    device = jax.devices()[0]
    if device.platform == "cpu":
        pytest.skip("JAX sees no accelerator here, only the CPU; --accelerator=cpu tries the test on that")
    return device
