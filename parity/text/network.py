"""What an encoder of transformers is fed, and how it counts positions.

Axes: I texts, T columns.
"""

import inspect
from typing import Any

import torch

from parity.errors import MismatchError
from parity.text.recipe import Counting

# Parts that are given positions.
_PARTS = ("position_embeddings", "rotary_emb", "rotary_embeddings")


class _SeenError(Exception):
    """Carries positions out of a network that need not go on."""

    def __init__(self, positions: torch.Tensor):
        super().__init__("positions were seen")
        self.positions = positions


def fed(network: Any, features: dict[str, Any]) -> dict[str, Any]:
    """What of a batch a network takes."""
    names = ("input_ids", "attention_mask", *(("token_type_ids",) if takes_types(network) else ()))
    return {name: features[name] for name in names if name in features}


def takes_types(network: Any) -> bool:
    """Whether it has token types; a class that can have some may be made without."""
    named = "token_type_ids" in inspect.signature(network.forward).parameters
    return named and getattr(network.config, "type_vocab_size", None) != 0


def counting(network: Any) -> Counting:
    """How it counts positions; what is given none knows distances alone."""
    part = _counter(network)
    if not isinstance(part, torch.nn.Embedding):
        return "distances"
    return "columns" if part.padding_idx is None else "tokens"


def first_row(network: Any) -> int:
    """The row of its table that stands for position 0; the padding token's number is one less."""
    index = getattr(_counter(network), "padding_idx", None)
    return 0 if index is None else index + 1


def most(network: Any) -> int | None:
    """Tokens that it has positions for; None if there is no end to them."""
    largest = getattr(network.config, "max_position_embeddings", None)
    return None if largest is None else largest - first_row(network)


def positions_of(network: Any, features: dict[str, Any]) -> torch.Tensor:
    """The position that it gives to each column of a batch, [I, T], counted from 0; where it knows distances alone,
    the column.

    Raises:
        MismatchError: it has a part for positions, and gives it none.
    """
    part, shape = _counter(network), features["input_ids"].shape
    if not isinstance(part, torch.nn.Embedding):
        return torch.arange(shape[1]).expand(shape)

    def seen(part: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        raise _SeenError(next(one for one in (*given, *named.values()) if isinstance(one, torch.Tensor)))

    hook = part.register_forward_pre_hook(seen, with_kwargs=True)
    try:
        with torch.no_grad():
            network(**fed(network, features))
    except _SeenError as found:
        return found.positions.expand(shape) - first_row(network)
    finally:
        hook.remove()
    raise MismatchError(f"{type(network).__name__} has a table of positions and does not look them up")


def _counter(network: Any) -> Any:
    """The part that is given positions; None if there is none."""
    parts = (part for name, part in network.named_modules() if name.split(".")[-1] in _PARTS)
    return next((part for part in parts if part is not None), None)
