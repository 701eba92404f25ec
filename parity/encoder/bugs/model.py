"""Mistakes in the model: how they are planted in either encoder, and what exposes them."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jax_encoder.config import EncoderConfig
from parity.judge.bug import Bug


class Patch:
    """Attributes of modules and classes that are to have other values while code runs."""

    def __init__(self) -> None:
        self._changes: list[tuple[Any, str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self._changes)

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Plans another value for an attribute that is there already."""
        self._changes.append((owner, name, value))

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Makes the changes, and takes them back in the end."""
        with contextlib.ExitStack() as undo:
            for owner, name, value in self._changes:
                undo.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, value)
            yield


@dataclasses.dataclass
class JaxPlot:
    """Our encoder before it is built: a plant may replace its config or its parameters, or patch its code.

    Attributes:
        config: of the encoder; another one must have the same parameters.
        params: as our side names and lays them out.
    """

    config: EncoderConfig
    params: dict[str, np.ndarray]

    def configure(self, **changes: Any) -> None:
        """Builds the encoder with other fields."""
        self.config = dataclasses.replace(self.config, **changes)

    def change(self, ending: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
        """Changes every parameter whose name ends so."""
        for name in [name for name in self.params if name.endswith(ending)]:
            self.params[name] = np.ascontiguousarray(function(self.params[name]))

    def swap(self, one: str, other: str) -> None:
        """Swaps parameters, part of a name for part of another."""
        pairs = [(name, name.replace(one, other)) for name in self.params if one in name]
        for first, second in pairs:
            self.params[first], self.params[second] = self.params[second], self.params[first]


Plant = Callable[[Any, Patch], object]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelBug(Bug):
    """A mistake in the forward or backward pass.

    Attributes:
        plant: makes it in a reference (`parity.encoder.sides.TorchSide`) and in the reference's code.
        in_jax: makes it in ours (`JaxPlot`) and in our code; None for a mistake that has no form there.
        variant, case: what exposes it.
        first: a regular expression, matched whole: the first site to differ; None for `where`.
        needs: config fields and the values that the mistake can be made with; a difference in another form is not it.
    """

    plant: Plant
    in_jax: Plant | None = None
    variant: str = "post"
    case: str = "ragged"
    first: str | None = None
    needs: tuple[tuple[str, Any], ...] = ()

    def applies(self, config: EncoderConfig) -> bool:
        """Whether the mistake can be made with this config."""
        return all(getattr(config, name) == value for name, value in self.needs)
