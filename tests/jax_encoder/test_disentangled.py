"""Disentangled attention: ranges of distances, in both frameworks and in transformers' DeBERTa."""

import numpy as np
import pytest
import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from jax_encoder.disentangled import rows
from torch_ref.disentangled import row

DISTANCES = np.arange(-3000, 3001)[None]


@pytest.mark.parametrize(
    ("count", "max_distance"), [(8, 4), (8, 9), (16, 11), (16, 40), (20, 24), (64, 50), (512, 512), (512, 2048)]
)
def test_rows_are_those_of_the_reference_and_of_deberta(count, max_distance):
    ours = rows(DISTANCES, count, max_distance)
    ahead = torch.from_numpy(DISTANCES)
    assert np.array_equal(ours, row(ahead, count, max_distance).numpy())
    theirs = make_log_bucket_position(ahead, count // 2, max_distance).long() + count // 2
    assert np.array_equal(ours, theirs.clamp(0, count - 1).numpy())
    assert (ours.min(), ours.max()) == (0, count - 1)


@pytest.mark.parametrize("function", [rows, lambda ahead, *table: row(torch.from_numpy(ahead), *table).numpy()])
def test_a_whole_number_belongs_to_the_range_that_it_ends(function):
    """Ranges of 5 to 8, 9 to 16 and 17 to 32: transformers rounds the logarithms, and may put one too high."""
    ends = np.array([[0, 1, 4, 5, 8, 9, 16, 17, 32, 33, -4, -5, -8, -9, -32, -33]])
    expected = [8, 9, 12, 13, 13, 14, 14, 15, 15, 15, 4, 3, 3, 2, 1, 0]
    assert function(ends, 16, 33).tolist() == [expected]
