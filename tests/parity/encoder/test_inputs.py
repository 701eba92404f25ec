"""What both sides are given is the same, whoever is given it."""

import numpy as np
import pytest

from parity.cases.case import CASE_NAMES, make_case
from parity.encoder.inputs import Inputs
from parity.encoder.variants import sizes_of, variants

FORM = variants()["post"]
TRAINED = ("ragged", "left-padding", "one-token", "packed", "longer-than-window", "low-variance")


def inputs_of(case: str) -> Inputs:
    return Inputs.of(make_case(case, sizes_of(FORM.config)), FORM)


def test_rows_by_segments_are_also_run_as_in_training():
    assert tuple(name for name in CASE_NAMES if inputs_of(name).as_in_training) == TRAINED


@pytest.mark.parametrize("case", TRAINED)
def test_training_is_given_the_positions_that_the_reference_is_given(case):
    """A row's only token may stand behind its first column: its position is 0 all the same."""
    inputs = inputs_of(case)
    np.testing.assert_array_equal(inputs.batch().positions, inputs.for_torch()["positions_BT"])
    np.testing.assert_array_equal(inputs.batch().positions, inputs.for_jax()["positions_BT"])
