"""What is known of a mistake in an optimizer."""

import dataclasses
from collections.abc import Callable

from parity.judge.bug import Bug
from parity.optimizer.torch_side import Recipe

UPDATE = r"step\d+\.update\..*"
RATE = r"schedule|step\d+\.learning_rate"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerBug(Bug):
    """A mistake between the gradient and the new parameter.

    Attributes:
        plant: makes it in a recipe of the reference.
        optimizers: in which it can be made.
        variant, case: what exposes it; the case is the magnitude of the gradients.
    """

    plant: Callable[[Recipe], Recipe]
    optimizers: tuple[str, ...] = ("adamw",)
    variant: str = "adamw-cosine"
    case: str = "gradient-1"
