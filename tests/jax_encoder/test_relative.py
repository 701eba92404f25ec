"""Relative positions: ranges of distances, in both frameworks and in transformers' MPNet."""

import numpy as np
import pytest
import torch
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

from jax_encoder.relative import buckets
from torch_ref.relative import bucket

DISTANCES = np.arange(-3000, 3001)[None]


@pytest.mark.parametrize(("count", "max_distance"), [(4, 4), (4, 9), (8, 20), (8, 64), (16, 50), (32, 128), (64, 128)])
def test_ranges_are_those_of_the_reference_and_of_mpnet(count, max_distance):
    ours = buckets(DISTANCES, count, max_distance)
    offset = torch.from_numpy(DISTANCES)
    assert np.array_equal(ours, bucket(offset, count, max_distance).numpy())
    theirs = MPNetEncoder.relative_position_bucket(offset, num_buckets=count, max_distance=max_distance)
    assert np.array_equal(ours, theirs.numpy())
    assert ours.min() == 0
    assert ours.max() == count - 1


def test_short_distances_have_a_range_each_and_sides_differ():
    assert buckets(np.array([[0, -1, -7, -8, 1, 7, 8, 500]]), 32, 128).tolist() == [[0, 1, 7, 8, 17, 23, 24, 31]]
