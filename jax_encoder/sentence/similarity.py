"""How alike vectors are, as sentence-transformers computes it.

Axes: I and J texts, P width.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

_LEAST_LENGTH = 1e-12


def _unit(x_IP: np.ndarray) -> np.ndarray:
    return x_IP / np.maximum(np.linalg.norm(x_IP, axis=-1, keepdims=True), _LEAST_LENGTH)


def _by_rows(distance: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A distance from differences, one row at a time: all at once would be as large as I times J times P."""
    return lambda a_IP, b_JP: -np.stack([distance(row - b_JP) for row in a_IP])


SIMILARITIES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "cosine": lambda a_IP, b_JP: _unit(a_IP) @ _unit(b_JP).T,
    "dot": lambda a_IP, b_JP: a_IP @ b_JP.T,
    "euclidean": _by_rows(lambda difference: np.sqrt(np.square(difference).sum(axis=-1))),
    "manhattan": _by_rows(lambda difference: np.abs(difference).sum(axis=-1)),
}


def similarity(name: str, a_IP: Float[np.ndarray, "I P"], b_JP: Float[np.ndarray, "J P"]) -> Float[np.ndarray, "I J"]:
    """Larger is more alike; distances are negative."""
    return SIMILARITIES[name](a_IP, b_JP)
