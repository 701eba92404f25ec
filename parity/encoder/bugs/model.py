"""Mistakes in the model: how they are planted in either encoder, and what exposes them."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jax_encoder.config import EncoderConfig
from parity.encoder.bugs.applies import Applies, always
from parity.encoder.form import Form
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
    """Our model before it is built: a plant may replace its form or its parameters, or patch its code.

    Attributes:
        form: of the model; another one must have the same parameters.
        params: as our side names and lays them out.
    """

    form: Form
    params: dict[str, np.ndarray]

    @property
    def config(self) -> EncoderConfig:
        return self.form.config

    def configure(self, **changes: Any) -> None:
        """Builds the encoder with other fields."""
        self.form = self.form._replace(config=dataclasses.replace(self.form.config, **changes))

    def classify(self, **changes: Any) -> None:
        """Builds the classifier with other fields."""
        assert self.form.classifier is not None, "only a form with a classifier is given another"
        self.form = self.form._replace(classifier=dataclasses.replace(self.form.classifier, **changes))

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
        applies: whether it can be made in a form and is a mistake there; a difference in another form is not it.
    """

    plant: Plant
    in_jax: Plant | None = None
    variant: str = "post"
    case: str = "ragged"
    first: str | None = None
    applies: Applies = always
