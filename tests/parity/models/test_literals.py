"""Numbers that a program holds in fewer digits."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from parity.models.literals import as_written


@pytest.mark.parametrize("number", [1e-6, 0.044715, math.sqrt(2 / math.pi), -1 / math.sqrt(96), 0.5, 1e30, math.pi])
def test_what_was_written_is_restored(number):
    assert as_written(np.float32(number)) == number


def test_what_is_no_short_number_keeps_its_value():
    number = np.float32(0.123456789)
    assert as_written(number) == float(number)
    assert as_written(np.asarray(0.1)) == 0.1
    assert np.array_equal(as_written(np.asarray([1, 2])), [1, 2])
    assert as_written(np.float32(np.inf)) == np.inf
    assert as_written(jnp.bfloat16(0.1)) == 0.1
