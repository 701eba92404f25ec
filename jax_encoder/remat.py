"""What a training step computes again on its way back, in place of keeping it: memory for time.

Reference: Chen et al. (2016), https://arxiv.org/abs/1604.06174
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax

NONE = "none"
# What JAX may keep of a layer beside what enters it.
_POLICIES: dict[str, Callable[..., bool] | None] = {
    NONE: jax.checkpoint_policies.everything_saveable,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "all": None,
}
WAYS = tuple(_POLICIES)
_WANTED: ContextVar[str] = ContextVar("remat", default=NONE)


@contextmanager
def rematerialised(how: str) -> Iterator[None]:
    """Programs traced meanwhile keep of each layer what `how` says; their values and derivatives are the same.

    Their layers run in a loop, also those of an encoder that has them spelled out; a layer of another structure than
    the rest is in none, and is kept.

    Args:
        how: "none" computes nothing again. "dots" keeps the products of activations and kernels, and computes norms,
            activations, scores and weights again. "all" keeps what enters a layer, and nothing else.

    Raises:
        ValueError: another word.
    """
    if how not in WAYS:
        raise ValueError(f"remat must be one of {', '.join(WAYS)}, got {how!r}")
    token = _WANTED.set(how)
    try:
        yield
    finally:
        _WANTED.reset(token)


def wanted() -> bool:
    """Whether anything is to be computed again."""
    return _WANTED.get() != NONE


def of_body(body: Callable[..., Any]) -> Callable[..., Any]:
    """The body of a loop over layers as is wanted."""
    # Without barriers, which only a function outside of a loop needs.
    return jax.checkpoint(body, policy=_POLICIES[_WANTED.get()], prevent_cse=False)
