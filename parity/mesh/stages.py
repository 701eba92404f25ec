"""What a training run over devices comes to, stage by stage: a step, the state saved and read again, another step.

Sites are named `step 1 loss`, `step 1 gradient head.bias`, `restored parameter head.bias`; names and
layouts of parameters are torch's. A gradient is the clipped one, which the optimizer's moments tell.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

Arrays = Mapping[str, np.ndarray]


class State(NamedTuple):
    """Parameters and the optimizer's moments, by name."""

    params: Arrays
    first: Arrays
    second: Arrays


class Stage(NamedTuple):
    """Named values, in the order computed; those of one stage are made from those of the stages before it."""

    values: dict[str, np.ndarray]


def of_step(number: int, measured: tuple[np.ndarray, np.ndarray], before: State, after: State, b1: float) -> Stage:
    """What one step was.

    Args:
        number: counted from 1.
        measured: the mean loss and the norm of its gradient.
        before, after: the states.
        b1: the decay of the first moment.
    """
    gradients = {name: (after.first[name] - b1 * before.first[name]) / (1 - b1) for name in after.first}
    values = {f"step {number} loss": measured[0], f"step {number} gradient_norm": measured[1]}
    values |= {f"step {number} gradient {name}": array for name, array in gradients.items()}
    return Stage(values | {f"step {number} parameter {name}": array for name, array in after.params.items()})


def of_restored(state: State) -> Stage:
    """What was read again."""
    fields = zip(("parameter", "first_moment", "second_moment"), state, strict=True)
    return Stage({f"restored {what} {name}": array for what, arrays in fields for name, array in arrays.items()})


def reads(site: str, among: Sequence[str]) -> tuple[str, ...]:
    """The sites of its own stage that a value is computed from.

    >>> reads("step 1 parameter head.bias", ["step 1 loss", "step 1 gradient_norm", "step 1 gradient head.bias"])
    ('step 1 gradient_norm', 'step 1 gradient head.bias')
    """
    if site.startswith("restored"):
        return ()
    number = " ".join(site.split(" ")[:2])
    what, _, name = site.removeprefix(f"{number} ").partition(" ")
    wanted = {
        "gradient_norm": (f"{number} loss",),
        "gradient": (f"{number} gradient_norm",),
        "parameter": (f"{number} gradient_norm", f"{number} gradient {name}"),
    }.get(what, ())
    return tuple(one for one in among if one in wanted)


def scales(stage: Stage) -> dict[str, float]:
    """The least scale of every gradient, the largest of all: one that cancels to zero is judged by what cancelled."""
    gradients = {name: array for name, array in stage.values.items() if " gradient " in name}
    largest = max((float(np.abs(array).max()) for array in gradients.values()), default=0.0)
    return dict.fromkeys(gradients, largest)
