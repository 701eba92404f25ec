"""Where values lie if many devices compute: the model says what a value is, and whoever has placed it says where.

A model that runs on one device says it to nobody.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax
from jaxtyping import Array, Float

from jax_encoder.kernels.sight import Attend
from jax_encoder.params import Params

Tree = TypeVar("Tree")


@runtime_checkable
class Placement(Protocol):
    """What a model asks for."""

    def whole(self, params: Any) -> Any:
        """Parameters as a device computes with them, gathered from those that have a share of each."""

    def stored(self, params: Any) -> Any:
        """Parameters, or their gradients, as they are kept: of each a device has its share."""

    def stream(self, x_BTD: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """A residual stream, laid out as all of them are."""

    def attend(self, attend: Attend) -> Attend:
        """Attention by a kernel that a compiler cannot split, run by every device on its own rows and heads."""

    @property
    def gathers(self) -> bool:
        """Whether `whole` gathers anything."""


_PLACEMENT: ContextVar[Placement | None] = ContextVar("placement", default=None)


@contextmanager
def used(placement: Placement | None) -> Iterator[None]:
    """Programs traced meanwhile are for devices that values are placed on so; None is for one device."""
    token = _PLACEMENT.set(placement)
    try:
        yield
    finally:
        _PLACEMENT.reset(token)


def whole(params: Tree) -> Tree:
    """Parameters as a device computes with them."""
    placement = _PLACEMENT.get()
    return params if placement is None else placement.whole(params)


def whole_outside_layers(params: Params) -> Params:
    """Parameters of a model as a device computes with them, but for those of layers, each of which gathers its own."""
    encoder = {name: part for name, part in params["encoder"].items() if name != "layers"}
    layers = {"layers": params["encoder"]["layers"]} if "layers" in params["encoder"] else {}
    gathered = whole({**params, "encoder": encoder})
    return {**gathered, "encoder": {**gathered["encoder"], **layers}}


def stored(params: Tree) -> Tree:
    """Parameters, or their gradients, as they are kept."""
    placement = _PLACEMENT.get()
    return params if placement is None else placement.stored(params)


def stream(x_BTD: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    """A residual stream between two layers."""
    placement = _PLACEMENT.get()
    return x_BTD if placement is None else placement.stream(x_BTD)


def split_by_hand(attend: Attend) -> Attend:
    """Attention by a kernel."""
    placement = _PLACEMENT.get()
    return attend if placement is None else placement.attend(attend)


def shared() -> bool:
    """Whether rows and words lie on many devices."""
    return _PLACEMENT.get() is not None


def gathers() -> bool:
    """Whether layers gather their parameters, and are to run in a loop, out of which no compiler takes a gather: taken
    out of that over micro-batches, all layers would be gathered at once."""
    placement = _PLACEMENT.get()
    return placement is not None and placement.gathers


def forgetful(layer: Callable[..., Any]) -> Callable[..., Any]:
    """The body of a loop over layers, whose gathered parameters are not kept for the backward pass, but gathered again.

    Args:
        layer: calls `whole`.
    """
    return jax.checkpoint(layer, policy=_kept, prevent_cse=False) if gathers() else layer


def _kept(primitive: Any, *_: Any, **parameters: Any) -> bool:
    # All but what a gather is made of: then the backward pass computes nothing again, and gathers once more.
    within = parameters.get("call_jaxpr")  # of a function with a derivative of its own
    names = [primitive.name] if within is None else [one.primitive.name for one in within.eqns]
    return "sharding_constraint" not in names
