"""Errors are seen, whichever value has them."""

import jax
import numpy as np
import pytest

from benchmarks.gpu.precision import Values, errors, same_bits


def test_errors_are_relative_and_no_number_is_not_small():
    exact = Values(np.float64(2.0), {"a": np.array([3.0, 0.0]), "b": {"c": np.array([[4.0]])}})
    assert errors(exact, exact) == (0.0, 0.0)
    other = Values(np.float64(2.2), {"a": np.array([3.0, 0.5]), "b": {"c": np.array([[4.0]])}})
    assert errors(other, exact) == (pytest.approx(0.1), pytest.approx(0.1))
    spoilt = exact._replace(gradients={"a": np.array([3.0, np.nan]), "b": {"c": np.array([[4.0]])}})
    assert not errors(spoilt, exact)[1] <= 1e300


def test_a_device_draws_what_it_draws():
    assert same_bits(*jax.devices("cpu"), *jax.devices("cpu"))
