"""What every implementation is tried on: one batch with every kind of row, in several sizes. Imports numpy alone.

Axes: B row, N num_heads, G num_key_value_heads, T position, H head_dim.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32

# Not a multiple of any block; longer than two of the longest, so that a block has neighbours on both sides.
T = 270


class Shape(NamedTuple):
    """Sizes of one case; the window is None for none."""

    num_heads: int
    groups: int
    head_dim: int
    window: int | None


CASES: dict[str, Shape] = {
    "heads of 32": Shape(3, 3, 32, None),
    "heads of 64, shared keys": Shape(4, 2, 64, None),
    "heads of 128": Shape(2, 2, 128, None),
    "heads of 32, window 33": Shape(3, 3, 32, 33),
    "heads of 64, shared keys, window 64": Shape(4, 2, 64, 64),
    "heads of 128, window 7": Shape(2, 2, 128, 7),
}


class Given(NamedTuple):
    """What one case is computed from; the direction is what the context is multiplied with, to have one number."""

    query: Float64[np.ndarray, "B N T H"]
    key: Float64[np.ndarray, "B G T H"]
    value: Float64[np.ndarray, "B G T H"]
    segments: Int32[np.ndarray, "B T"]
    direction: Float64[np.ndarray, "B N T H"]


def segments() -> Int32[np.ndarray, "B T"]:
    """Rows that are full, ragged, packed, holed, one token long and empty."""
    rows = np.zeros((6, T), np.int32)
    rows[0] = 1
    rows[1, : T - 95] = 1
    rows[2, : T - 3] = np.repeat([1, 2, 3, 4], [150, 1, 60, 56])
    rows[3] = np.where(np.arange(T) % 5 == 2, 0, 1)
    rows[4, 0] = 1
    return rows


def draw(shape: Shape, seed: int = 0) -> Given:
    """Normal numbers; at padding too, where they must not matter."""
    rng, rows = np.random.default_rng(seed), segments()
    sizes = [(len(rows), heads, T, shape.head_dim) for heads in (shape.num_heads, shape.groups, shape.groups)]
    query, key, value = (rng.standard_normal(size) for size in sizes)
    return Given(query, key, value, rows, rng.standard_normal(sizes[0]))


def scale(shape: Shape) -> float:
    """Of the scores."""
    return shape.head_dim**-0.5


def inadequacies(shape: Shape) -> tuple[str, ...]:
    """Why a case could not expose what it is made for."""
    rows = segments()
    lengths = [int((row == one).sum()) for row in rows for one in np.unique(row[row > 0])]
    reasons = {
        "no row is empty": (rows == 0).all(axis=1).any(),
        "no row is full": (rows > 0).all(axis=1).any(),
        "no row holds two documents": (rows.max(axis=1) > 1).any(),
        "no document is longer than two windows": shape.window is None or max(lengths) > 2 * shape.window + 1,
    }
    return tuple(reason for reason, met in reasons.items() if not met)
