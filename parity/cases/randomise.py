"""Draws every parameter at random: zero biases and unit scales hide every mistake in what touches them."""

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from parity.errors import MismatchError

Kind = Literal["kernel", "bias", "scale", "table"]


class Rule(NamedTuple):
    """How parameters of one kind are drawn.

    Attributes:
        name: a regular expression, matched whole.
        kind: "kernel": normal of variance 1 / fan_in, so that activations stay of order 1 however deep the network.
            "bias": either sign, magnitude 0.1 to 0.5, never near 0.
            "scale": 0.5 to 0.9 or 1.1 to 1.5, never near 1.
            "table": standard normal.
        fan_in: of kernels, over how many entries a product sums.
    """

    name: str
    kind: Kind
    fan_in: int | None = None


def randomise(shapes: Mapping[str, tuple[int, ...]], rules: Sequence[Rule], seed: int) -> dict[str, np.ndarray]:
    """Draws float64 parameters; each depends on the seed and its own name and shape only.

    Raises:
        MismatchError: names that do not match exactly one rule, all in one message, or a kernel's rule without fan_in.
    """
    fitting = {name: [rule for rule in rules if re.fullmatch(rule.name, name)] for name in shapes}
    wrong = [
        f"  {name} matches {', '.join(rule.name for rule in found) or 'none'}"
        for name, found in fitting.items()
        if len(found) != 1
    ]
    if wrong:
        raise MismatchError("\n".join(["every parameter must match exactly one rule:", *wrong]))
    return {
        name: _draw(fitting[name][0], np.random.default_rng((seed, zlib.crc32(name.encode()))), shape)
        for name, shape in shapes.items()
    }


def _draw(rule: Rule, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    if rule.kind == "table":
        return np.asarray(rng.standard_normal(shape))
    if rule.kind == "kernel":
        if not rule.fan_in:
            raise MismatchError(f"the rule {rule.name} is for kernels and needs fan_in, got {rule.fan_in!r}")
        return np.asarray(rng.standard_normal(shape) / math.sqrt(rule.fan_in))
    around = 1.0 if rule.kind == "scale" else 0.0
    return np.asarray(around + rng.choice([-1.0, 1.0], shape) * rng.uniform(0.1, 0.5, shape))
