"""Small functions that models are made of, in the forms that people confuse; each in words, and as NumPy computes it.

A value that one of them makes of what goes in, to the last digits, is told to be that function.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parity.judge.relations import number

Arrays = Mapping[str, np.ndarray]


class Known(NamedTuple):
    """A function of a value.

    Attributes:
        family: those of one family stand in one another's place.
        words: what it is.
        compute: its value.
        params: names of the parameters that it takes, in their order.
    """

    family: str
    words: str
    compute: Callable[[], np.ndarray]
    params: tuple[str, ...] = ()


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[np.float64])(x) if x.size else x


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1.0) / (1 + np.exp(-np.abs(x)))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _tanh_gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


_SELU = 1.6732632423543772, 1.0507009873554805

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exact GELU": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "tanh GELU": _tanh_gelu,
    "quick GELU": lambda x: x * _sigmoid(1.702 * x),
    "ReLU": lambda x: np.maximum(x, 0),
    "SiLU": lambda x: x * _sigmoid(x),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "squared ReLU": lambda x: np.maximum(x, 0) ** 2,
    "ReLU6": lambda x: np.clip(x, 0, 6),
    "leaky ReLU": lambda x: np.where(x < 0, 0.01 * x, x),
    "ELU": lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    "SELU": lambda x: _SELU[1] * np.where(x < 0, _SELU[0] * np.expm1(np.minimum(x, 0)), x),
    "softplus": _softplus,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hard swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "the absolute value": np.abs,
    "the square": np.square,
    "the negative": np.negative,
    "a sine": np.sin,
    "a cosine": np.cos,
    "an exponential": np.exp,
}
_EPSILONS = (0.0, 1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3)


def activations(x: np.ndarray) -> Iterator[Known]:
    """Of one value entry by entry."""
    for words, function in ACTIVATIONS.items():
        yield Known("activation", words, lambda function=function: function(x))  # type: ignore[misc]


def norms(x: np.ndarray, vectors: Arrays, numbers: Sequence[float]) -> Iterator[Known]:
    """Layer and RMS norms, with every place of epsilon, over the last axis, then others; with and without affine."""
    epsilons = [*dict.fromkeys([*(one for one in numbers if 0 < one < 0.1), *_EPSILONS])]
    for axis in (-1, *range(x.ndim - 1)):
        over = "" if axis == -1 else f" over axis {axis}"
        for words, plain in _plain_norms(x, axis, epsilons):
            for rest, names in _affine(x.shape[axis], vectors):
                shape = [-1 if place == axis % x.ndim else 1 for place in range(x.ndim)]
                values = [vectors[name].reshape(shape) for name in names]
                yield Known("norm", f"{words}{over}{rest}", _scaled(plain, rest, values), names)
            if axis != -1:
                break  # elsewhere one form says enough


def _plain_norms(x: np.ndarray, axis: int, epsilons: Sequence[float]) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    apart, size = x - x.mean(axis, keepdims=True), x.shape[axis]
    variance, square = np.square(apart).mean(axis, keepdims=True), np.square(x).mean(axis, keepdims=True)
    for epsilon in epsilons:
        with_it = f"with epsilon {epsilon:g}"
        yield f"layer norm {with_it}", lambda e=epsilon: apart / np.sqrt(variance + e)  # type: ignore[misc]
        yield f"RMS norm {with_it}", lambda e=epsilon: x / np.sqrt(square + e)  # type: ignore[misc]
        if size > 1:
            unbiased = variance * size / (size - 1)
            words = f"layer norm {with_it}, variance divided by {size - 1} for {size}"
            yield words, lambda e=epsilon, v=unbiased: apart / np.sqrt(v + e)  # type: ignore[misc]
        if epsilon:
            outside = f"with epsilon {epsilon:g} added to the standard deviation"
            yield f"layer norm {outside}", lambda e=epsilon: apart / (np.sqrt(variance) + e)  # type: ignore[misc]
            yield f"RMS norm {outside}", lambda e=epsilon: x / (np.sqrt(square) + e)  # type: ignore[misc]
            words = f"layer norm {with_it} or more of variance"
            yield words, lambda e=epsilon: apart / np.sqrt(np.maximum(variance, e))  # type: ignore[misc]


_BOTH, _SCALE, _BIAS, _NEITHER = "", ", without bias", ", without scale", ", without scale and bias"
_OFFSET = ", with 1 + the scale, without bias"


def _affine(size: int, vectors: Arrays) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What comes after a norm, and the parameters for it: the whole first."""
    fitting = [name for name, one in vectors.items() if one.size == size]
    for names in itertools.permutations(fitting, 2):
        yield _BOTH, names
    for name in fitting:
        for words in (_SCALE, _BIAS, _OFFSET):
            yield words, (name,)
    yield _NEITHER, ()


def _scaled(plain: Callable[[], np.ndarray], words: str, values: Sequence[np.ndarray]) -> Callable[[], np.ndarray]:
    def compute() -> np.ndarray:
        value = plain()
        if words in (_BOTH, _SCALE):
            value = value * values[0]
        if words == _OFFSET:
            value = value * (1 + values[0])
        return value + values[-1] if words in (_BOTH, _BIAS) else value

    return compute


def softmaxes(x: np.ndarray) -> Iterator[Known]:
    """Over each axis, the last first; and what stands in its place."""
    for axis in (-1, *range(x.ndim - 1)):
        over = "the last axis" if axis == -1 else f"axis {axis}"

        def softmax(axis: int = axis) -> np.ndarray:
            powers = np.exp(x - x.max(axis, keepdims=True))
            return np.asarray(powers / powers.sum(axis, keepdims=True))

        yield Known("softmax", f"a softmax over {over}", softmax)
        yield Known("softmax", f"a log softmax over {over}", lambda axis=axis: np.log(softmax(axis)))  # type: ignore[misc]


def biases(x: np.ndarray, vectors: Arrays) -> Iterator[Known]:
    """A parameter added, or multiplied, along the last axes."""
    for name, one in vectors.items():
        count = next((n for n in range(1, x.ndim + 1) if math.prod(x.shape[-n:]) == one.size), 0)
        if count and one.size > 1:
            shaped = one.reshape(x.shape[-count:])
            yield Known("bias", "a bias", lambda shaped=shaped: x + shaped, (name,))  # type: ignore[misc]
            yield Known("bias", "a bias taken away", lambda shaped=shaped: x - shaped, (name,))  # type: ignore[misc]
            yield Known("bias", "a factor", lambda shaped=shaped: x * shaped, (name,))  # type: ignore[misc]


def products(x: np.ndarray, params: Arrays) -> Iterator[Known]:
    """A kernel, as it is or transposed, with a bias and without."""
    for name, kernel in params.items():
        if kernel.ndim < 2 or x.shape[-1] > kernel.size or kernel.size % x.shape[-1]:
            continue
        size, out = x.shape[-1], kernel.size // x.shape[-1]
        for matrix, turned in ((kernel.reshape(size, out), ""), (kernel.reshape(out, size).T, " transposed")):
            fitting = [other for other, one in params.items() if one.size == out and other != name]
            for bias in (*fitting, None):
                words = f"a product with a kernel{' without bias' * (bias is None)}"
                names = (f"{name}{turned}", *([bias] if bias is not None else []))
                yield Known("product", words, _product(x, matrix, params[bias] if bias else None), names)


def _product(x: np.ndarray, matrix: np.ndarray, bias: np.ndarray | None) -> Callable[[], np.ndarray]:
    return lambda: x @ matrix if bias is None else x @ matrix + bias.reshape(-1)


def rows(y: np.ndarray, table: np.ndarray) -> str:
    """Which rows of a table a value is made of, if it is; else nothing."""
    if table.ndim != 2 or y.ndim < 2 or y.shape[-1] != table.shape[1]:
        return ""
    flat = y.reshape(-1, table.shape[1])
    apart = np.abs(flat[:, None, :] - table[None]).max(-1)
    if apart.min(1).max() > 1e-10 * np.abs(table).max():
        return ""
    found = apart.argmin(1)
    return f"rows {', '.join(map(str, found[:8]))}{', ...' * (len(found) > 8)}"


def pools(x: np.ndarray, masks: Arrays) -> Iterator[Known]:
    """Of rows of positions, one value each."""
    if x.ndim != 3:
        return
    yield Known("pooling", "the first position", lambda: x[:, 0])
    yield Known("pooling", "the last position", lambda: x[:, -1])
    yield Known("pooling", "the mean of all positions", lambda: x.mean(1))
    yield Known("pooling", "the largest of all positions", lambda: x.max(1))
    yield Known("pooling", "the sum of all positions", lambda: x.sum(1))
    for name, mask in masks.items():
        if mask.shape == x.shape[:2] and mask.any():
            weights = (mask != 0).astype(np.float64)[..., None]
            total = np.maximum(weights.sum(1), 1e-9)
            words = f"the mean of the positions where {name} holds"
            yield Known("pooling", words, lambda w=weights, t=total: (x * w).sum(1) / t)  # type: ignore[misc]


def scaled(x: np.ndarray, y: np.ndarray) -> str:
    """`times 0.5`, if one value is the other times a number other than 1; else nothing."""
    if x.shape != y.shape or not np.isfinite(x).all() or not np.isfinite(y).all():
        return ""
    square = float((x * x).sum())
    factor = float((x * y).sum()) / square if square else 0.0
    if not factor or abs(factor - 1) < 1e-9 or np.abs(y - factor * x).max() > 1e-10 * np.abs(y).max():
        return ""
    return f"times {number(factor)}"


def filled(x: np.ndarray, y: np.ndarray, masks: Arrays) -> str:
    """What a mask does, if one value is the other but for entries that are filled with one number; else nothing."""
    if x.shape != y.shape:
        return ""
    for name, mask in masks.items():
        spread = _spread(mask, x.shape)
        if spread is not None and np.array_equal(x + spread, y) and spread.any():
            return f"{name} added as it is"
    kept = np.abs(np.where(np.isfinite(x - y), x - y, np.inf)) <= 1e-10 * np.abs(x[np.isfinite(x)]).max(initial=1.0)
    rest = y[~kept]
    if not kept.any() or not rest.size or not (rest == rest[0]).all():
        return ""
    where = [
        f" where {name} is {'false' if inside else 'true'}"
        for name, mask in masks.items()
        for inside in (True, False)
        if _spread(mask, y.shape) is not None and np.array_equal(_spread(mask, y.shape) == inside, kept)
    ]
    return f"filled with {rest[0]:g}{where[0] if where else f' at {rest.size:,} of {y.size:,} entries'}"


def _spread(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """A mask over the last axis, or over queries and keys, at every entry."""
    bits = mask != 0
    if bits.ndim == 2 and len(shape) > 2 and bits.shape == (shape[0], shape[-1]):
        bits = bits.reshape(shape[0], *(1,) * (len(shape) - 2), shape[-1])
    try:
        return np.broadcast_to(bits, shape)
    except ValueError:
        return None
