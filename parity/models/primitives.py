"""JAX's primitives computed by NumPy, in float64: no compiler waits for every new shape.

Each does what JAX's own does on arrays of one dtype (`tests/parity/models/test_primitives.py` compares them). Those
that stand in no table here are run by JAX.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]
Rule = Callable[[Arrays, Mapping[str, Any]], np.ndarray]


def _erf(values: np.ndarray) -> np.ndarray:
    from scipy import special

    return np.asarray(special.erf(values))


def _broadcast(arrays: Arrays, params: Mapping[str, Any]) -> np.ndarray:
    shape = [1] * len(params["shape"])
    for axis, size in zip(params["broadcast_dimensions"], arrays[0].shape, strict=True):
        shape[axis] = size
    return np.broadcast_to(arrays[0].reshape(shape), params["shape"])


def _dot_general(arrays: Arrays, params: Mapping[str, Any]) -> np.ndarray:
    (ours, theirs), ((sum_a, sum_b), (batch_a, batch_b)) = arrays, params["dimension_numbers"]
    free_a = [i for i in range(ours.ndim) if i not in (*sum_a, *batch_a)]
    free_b = [i for i in range(theirs.ndim) if i not in (*sum_b, *batch_b)]
    left = ours.transpose(*batch_a, *free_a, *sum_a)
    right = theirs.transpose(*batch_b, *sum_b, *free_b)
    batch = left.shape[: len(batch_a)]
    summed = math.prod(ours.shape[i] for i in sum_a)
    rows, columns = [ours.shape[i] for i in free_a], [theirs.shape[i] for i in free_b]
    product = left.reshape(*batch, math.prod(rows), summed) @ right.reshape(*batch, summed, math.prod(columns))
    return product.reshape(*batch, *rows, *columns)


def _select(arrays: Arrays, _: Mapping[str, Any]) -> np.ndarray:
    which, *cases = arrays
    return np.choose(np.broadcast_to(which, cases[0].shape).astype(np.int64), cases)


def _slice(arrays: Arrays, params: Mapping[str, Any]) -> np.ndarray:
    steps = params["strides"] or (1,) * arrays[0].ndim
    ends = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
    return arrays[0][tuple(slice(*one) for one in ends)]


def _iota(_: Arrays, params: Mapping[str, Any]) -> np.ndarray:
    shape, axis = params["shape"], params["dimension"]
    along = np.arange(shape[axis], dtype=params["dtype"]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return np.broadcast_to(along, shape)


def _reduction(function: Callable[..., Any]) -> Rule:
    return lambda arrays, params: np.asarray(function(arrays[0], axis=tuple(map(int, params["axes"]))))


def _cumsum(arrays: Arrays, params: Mapping[str, Any]) -> np.ndarray:
    (values,), axis = arrays, params["axis"]
    return np.flip(np.cumsum(np.flip(values, axis), axis), axis) if params["reverse"] else np.cumsum(values, axis)


def _power(arrays: Arrays, params: Mapping[str, Any]) -> np.ndarray:
    base, exponent = (*arrays, params["y"]) if "y" in params else arrays
    return (
        np.asarray(np.power(base.astype(np.float64), exponent))
        if base.dtype.kind == "f"
        else np.asarray(base**exponent)
    )


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add, "add_any": np.add, "sub": np.subtract, "mul": np.multiply, "neg": np.negative, "exp": np.exp,
    "exp2": np.exp2, "log": np.log, "log1p": np.log1p, "expm1": np.expm1, "tanh": np.tanh, "sin": np.sin, "cos": np.cos,
    "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "square": np.square, "abs": np.abs, "sign": np.sign,
    "floor": np.floor, "ceil": np.ceil, "max": np.maximum, "min": np.minimum, "erf": _erf,
    "logistic": lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))),
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "is_finite": np.isfinite, "copy": np.copy, "copy_p": np.copy, "stop_gradient": np.copy,
    "optimization_barrier": np.copy, "reduce_precision": np.copy,
}  # fmt: skip

_RULES: dict[str, Rule] = {
    "integer_pow": _power,
    "pow": _power,
    "select_n": _select,
    "slice": _slice,
    "iota": _iota,
    "dot_general": _dot_general,
    "broadcast_in_dim": _broadcast,
    "transpose": lambda arrays, params: arrays[0].transpose(params["permutation"]),
    "reshape": lambda arrays, params: arrays[0].reshape(params["new_sizes"]),
    "squeeze": lambda arrays, params: arrays[0].squeeze(tuple(params["dimensions"])),
    "expand_dims": lambda arrays, params: np.expand_dims(arrays[0], tuple(params["dimensions"])),
    "concatenate": lambda arrays, params: np.concatenate(arrays, params["dimension"]),
    "rev": lambda arrays, params: np.flip(arrays[0], tuple(params["dimensions"])),
    "cumsum": _cumsum,
    "reduce_sum": _reduction(np.sum),
    "reduce_max": _reduction(np.max),
    "reduce_min": _reduction(np.min),
    "reduce_and": _reduction(np.all),
    "reduce_or": _reduction(np.any),
}  # fmt: skip

_LOGICAL: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "and": (np.logical_and, np.bitwise_and),
    "or": (np.logical_or, np.bitwise_or),
    "xor": (np.logical_xor, np.bitwise_xor),
    "not": (np.logical_not, np.bitwise_not),
}


def known(name: str, arrays: Arrays) -> bool:
    """Whether NumPy computes this one as JAX does, for arrays of these dtypes."""
    if any(one.dtype.kind not in "fbiu" for one in arrays):
        return False
    if name == "div":
        return arrays[0].dtype.kind == "f"
    return name in _ELEMENTWISE or name in _RULES or name in _LOGICAL or name == "convert_element_type"


def compute(name: str, arrays: Arrays, params: Mapping[str, Any]) -> np.ndarray:
    """One result, of the dtype that the arrays have or that the primitive is told."""
    with np.errstate(all="ignore"):
        if name == "div":
            return np.asarray(np.divide(*arrays))
        if name == "convert_element_type":
            return arrays[0].astype(params["new_dtype"])
        if name in _LOGICAL:
            return np.asarray(_LOGICAL[name][arrays[0].dtype != np.bool_](*arrays))
        if name in _ELEMENTWISE:
            return np.asarray(_ELEMENTWISE[name](*arrays))
        return _RULES[name](arrays, params)
