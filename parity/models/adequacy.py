"""Whether an input, and the parameters, could expose a mistake; where they could not, agreement is no proof."""

from collections.abc import Iterator, Mapping

import numpy as np

_NAMED = 3  # parameters that are listed by name


def inadequacies(inputs: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Why one case could not expose a mistake; empty if it could."""
    return tuple(reason for name, value in inputs.items() for reason in _of(name, np.asarray(value)))


def _of(name: str, value: np.ndarray) -> Iterator[str]:
    if value.ndim == 0:
        return
    is_mask = value.dtype == np.bool_ or "mask" in name
    if not value.size:
        yield f"{name} is empty"
    elif is_mask and value.all():
        yield f"{name} hides nothing"
    elif is_mask and not value.any():
        yield f"{name} hides everything"
    elif (value == value.flat[0]).all() and value.size > 1:
        yield f"{name} is {value.flat[0]} throughout"
    elif value.ndim > 1 and value.shape[0] == 1 and not is_mask:
        yield f"{name} has one row: a batch would show what mixes rows"
    elif value.ndim > 1 and value.shape[0] > 1 and (value == value[:1]).all() and not _is_index(value):
        yield f"all rows of {name} are equal"


def _is_index(value: np.ndarray) -> bool:
    """Positions count up: they are the same in every row, as they should be."""
    return value.dtype.kind in "iu" and value.ndim == 2 and bool((np.diff(value, axis=1) == 1).all())


def blind_parameters(params: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Why parameters could not expose a mistake that touches them."""
    single = [name for name, value in params.items() if value.size > 1 and (value == value.flat[0]).all()]
    if not single:
        return ()
    shown = ", ".join(f"{name} = {float(params[name].flat[0]):g}" for name in single[:_NAMED])
    more = f" and {len(single) - _NAMED:,} more" if len(single) > _NAMED else ""
    count = "a parameter holds" if len(single) == 1 else f"{len(single):,} parameters hold"
    return (f"{count} one number throughout ({shown}{more}): give them values, or say weights='randomise'",)
