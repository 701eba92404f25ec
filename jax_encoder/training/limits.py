"""Options that are refused, by name and value. Standard library only."""

import math

from jax_encoder.errors import InputError


def flag(name: str) -> str:
    """A field as the command line has it, without its dashes."""
    return name.replace("_", "-")


def at_least(name: str, value: int, least: int) -> None:
    """Raises InputError for a field that is below its least value."""
    if value < least:
        raise InputError(f"--{flag(name)} must be at least {least}, got {value}")


def within(name: str, value: float | int, *, above: float | int, below: float | int) -> None:
    """Raises InputError for an option that is not within two bounds."""
    if not above < value < below:
        bound = f" and below {below}" if below < math.inf else " and finite"
        raise InputError(f"--{flag(name)} must be above {above}{bound}, got {value}")
