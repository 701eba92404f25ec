"""Ways to plant a mistake in the reference."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from parity.encoder.bugs.model import Patch, Plant
from torch_ref.attention import Attention, Match

LOWEST = torch.finfo(torch.float64).min
Weigh = Callable[[Tensor, Tensor], Tensor]  # masked scores, mask -> weights


def every(model: nn.Module, kind: type) -> list[Any]:
    """All modules of a kind."""
    return [module for module in model.modules() if isinstance(module, kind)]


def set_on(module_type: type, **values: object) -> Plant:
    """Other attributes on every module of a kind."""

    def plant(model: nn.Module, _: Patch) -> None:
        for module in every(model, module_type):
            for name, value in values.items():
                setattr(module, name, value)

    return plant


def zero(ending: str) -> Plant:
    """Parameters that were never loaded: zero, as biases start."""

    def plant(model: nn.Module, _: Patch) -> None:
        for name, parameter in model.named_parameters():
            if name.endswith(ending):
                parameter.data.zero_()

    return plant


def patched(owner: Any, name: str, value: Any) -> Plant:
    """Another function or method."""
    return lambda _, patch: patch.set(owner, name, value)


def wrapped(owner: Any, name: str, around: Callable[[Callable], Callable]) -> Plant:
    """A function or method that uses the right one."""
    return lambda _, patch: patch.set(owner, name, around(getattr(owner, name)))


def swapped(kind: type, one: str, other: str) -> Plant:
    """Two parts in each other's place."""

    def plant(model: nn.Module, _: Patch) -> None:
        for module in every(model, kind):
            first, second = getattr(module, one), getattr(module, other)
            setattr(module, one, second)
            setattr(module, other, first)

    return plant


def matched(scores_to_weights: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], scale: float = 1.0) -> Plant:
    """Another way from scores and mask to masked scores and weights, or another scale of the scores."""

    def _match(self: Attention, query_BTNH: Tensor, key_BSNH: Tensor, mask_BTS: Tensor, offset: Tensor | None) -> Match:
        scores_BNTS = query_BTNH.transpose(1, 2) @ key_BSNH.permute(0, 2, 3, 1) / self.divisor * scale
        biased_BNTS = None if offset is None else scores_BNTS + offset
        open_BNTS = scores_BNTS if biased_BNTS is None else biased_BNTS
        return Match(scores_BNTS, biased_BNTS, *scores_to_weights(open_BNTS, mask_BTS[:, None]))

    return patched(Attention, "_match", _match)


def filled(value: float) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Another fill than the lowest value."""

    def scores_to_weights(scores: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        masked = scores.masked_fill(~mask, value)
        return masked, masked.softmax(dim=-1).masked_fill(~mask, 0)

    return scores_to_weights


def masked_as_ever(weigh: Weigh) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The right fill, and other weights."""

    def scores_to_weights(scores: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        masked = scores.masked_fill(~mask, LOWEST)
        return masked, weigh(masked, mask)

    return scores_to_weights
