"""Arrays to make a difference in, with pairwise different sizes."""

import numpy as np
from hypothesis import strategies as st

LOWEST = float(np.finfo(np.float64).min)
SHAPE, AXES = (5, 13, 3, 8), "BTNH"
LENGTHS = np.array([13, 10, 7, 4, 2])
SEEN_BT = np.arange(13) < LENGTHS[:, None]


def drawn(seed: int, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


SEEDS = st.integers(0, 2**32)
PLACES = st.integers(0, len(SHAPE) - 1)
