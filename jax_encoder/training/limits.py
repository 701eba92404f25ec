"""Numbers that an option can be, and what is said of others. Standard library only."""

import math

from jax_encoder.errors import InputError


def flag(name: str) -> str:
    """A field as it is typed."""
    return name.replace("_", "-")


def at_least(name: str, value: int, least: int) -> None:
    """Raises InputError for less."""
    if value < least:
        raise InputError(f"--{flag(name)} must be at least {least}, got {value}")


def within(option: str, value: float | int, *, above: float | int, below: float | int) -> None:
    """Raises InputError for a value on a bound, or beyond."""
    if not above < value < below:
        bound = f" and below {below}" if below < math.inf else " and finite"
        raise InputError(f"--{option} must be above {above}{bound}, got {value}")
