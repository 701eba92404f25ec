"""Memory that stays a process' own, in processes of their own: what is set holds until the end."""

import subprocess
import sys

import pytest

from jax_encoder import memory

# Its result is 64 MB, given back at once.
PROGRAM = """
import resource, sys
import jax, jax.numpy as jnp
from jax_encoder.memory import keep_memory

if sys.argv[1] == "kept":
    keep_memory()
doubled = jax.jit(lambda x: 2 * x)
x = jnp.ones(2**24)
for _ in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    jax.block_until_ready(doubled(x))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(memory._mallopt() is None, reason="glibc's")
def test_a_program_that_runs_again_has_its_pages_already():
    new, kept = (
        int(subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True).stdout)
        for how in ("new", "kept")
    )
    assert new > 10_000  # of 4 kB
    assert kept < 100
