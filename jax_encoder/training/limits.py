"""What a number on the command line must be. Standard library only."""

import math

from jax_encoder.errors import InputError


def flag(name: str) -> str:
    """An option as it is typed, without its dashes."""
    return name.replace("_", "-")


def at_least(name: str, value: int, least: int) -> None:
    """Raises InputError for a value that is less."""
    if value < least:
        raise InputError(f"--{flag(name)} must be at least {least}, got {value}")


def within(option: str, value: float, *, above: float | int, below: float | int) -> None:
    """Raises InputError for a value that is not between the two; infinity as a bound allows all that is finite."""
    if not above < value < below:
        bound = f" and below {below}" if below < math.inf else " and finite"
        raise InputError(f"--{option} must be above {above}{bound}, got {value}")
