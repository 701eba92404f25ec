"""Numbers that a program holds in fewer digits, read as what they were written for."""

import math
from typing import Any

import numpy as np

# What stands in models and is no short decimal number.
_IRRATIONAL = (
    *(
        math.sqrt(2 / math.pi),
        math.sqrt(2),
        1 / math.sqrt(2),
        math.pi,
        2 * math.pi,
        math.log(2),
        1 / math.log(2),
        math.e,
    ),
    *(root for number in range(2, 1025) for root in (math.sqrt(number), 1 / math.sqrt(number))),
)
_DIGITS = 6


def as_written(value: Any) -> Any:
    """The float64 that a float32 or smaller was rounded from, where it was a short decimal number or a known root.

    >>> float(as_written(np.float32(0.044715)))
    0.044715
    >>> float(as_written(np.float32(0.7978846))) == math.sqrt(2 / math.pi)
    True
    """
    array = np.asarray(value)
    if array.ndim or array.dtype.name not in ("float32", "float16", "bfloat16") or not np.isfinite(array):
        return value
    exact = float(array)
    for one in _IRRATIONAL:
        if math.isclose(one, abs(exact), rel_tol=2e-3) and array.dtype.type(one) == abs(array):
            return np.float64(math.copysign(one, exact))
    short = float(f"{exact:.{_DIGITS}g}")
    return np.float64(short if array.dtype.type(short) == array else exact)
