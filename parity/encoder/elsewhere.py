"""Models of other sizes and forms than the matrix has, for every mistake of the catalogue; chosen from random ones.

A mistake whose name depended on the variant that it is tried on would not be found by its name in anybody's model.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parity.encoder.bugs.catalogue import MODEL_BUGS
from parity.encoder.bugs.model import ModelBug
from parity.encoder.form import Form
from parity.encoder.random_config import random_form

EACH = 2  # models that each mistake is tried on
_SEED, _DRAWN = 0, 1000  # enough that even what needs a rare form, as groups of layers, applies to some


class Elsewhere(NamedTuple):
    """One model, and the mistakes to make in it."""

    form: Form
    bugs: tuple[ModelBug, ...]


def elsewhere(bugs: Sequence[ModelBug] = MODEL_BUGS, each: int = EACH) -> tuple[Elsewhere, ...]:
    """As few of the drawn models as will do for every mistake to be made in so many; equal every time.

    A model that is chosen makes JAX compile; so the next is always the one in which most mistakes are still to be made.
    """
    left = {form: {bug.name for bug in MODEL_BUGS if bug.applies(form)} for form in _drawn()}
    wanted = {bug.name: each for bug in MODEL_BUGS}
    chosen: list[Elsewhere] = []
    while any(wanted.values()):
        form = max(left, key=lambda one: _gain(left[one], wanted))
        made = [name for name in left.pop(form) if wanted[name]]
        assert made, f"in no drawn model, these can be made: {[name for name, count in wanted.items() if count]}"
        wanted |= {name: wanted[name] - 1 for name in made}
        chosen.append(Elsewhere(form, tuple(bug for bug in bugs if bug.name in made)))
    return tuple(one for one in chosen if one.bugs)


@functools.cache
def _drawn() -> tuple[Form, ...]:
    rng = np.random.default_rng(_SEED)
    return tuple(dict.fromkeys(random_form(rng) for _ in range(_DRAWN)))


def _gain(applying: set[str], wanted: Mapping[str, int]) -> int:
    return sum(wanted[name] > 0 for name in applying)
