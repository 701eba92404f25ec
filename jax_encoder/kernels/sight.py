"""What the implementations of attention are told of the rows."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Sight(NamedTuple):
    """Who sees whom in packed rows: a query sees the keys of its document, as far as the window reaches.

    Attributes:
        segments: 0 for padding, which sees nothing and is seen by nobody, else the number of the document within its
            row.
        window: how many keys to each side a query sees, by column; None sees all. Static: a program has one.
    """

    segments: Int[Array, "B T"]
    window: int | None


Heads = Float[Array, "B heads T H"]
# Query, key and value, head-major; who sees whom; the scale of the scores -> what every query gathers.
Attend = Callable[[Heads, Heads, Heads, Sight, float], Heads]


def padded(x: Array, multiple: int, *, axis: int) -> Array:
    """An axis filled up with zeros to a multiple of what a kernel takes; as segments, they are padding."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = (0, -x.shape[axis] % multiple)
    return jnp.pad(x, widths)
