"""Mistakes that implementations of attention make, made in ours."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jax_encoder.kernels import blocks, einsum
from jax_encoder.kernels.sight import Attend, Sight
from jax_encoder.masks import from_segments, within_window
from parity.encoder.bugs.model import Patch
from parity.judge.bug import Bug

_ANYWHERE = "context|query_gradient|key_gradient|value_gradient"
_BACKWARD = "query_gradient|key_gradient|value_gradient"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelBug(Bug):
    """A mistake between query, key and value and what a query gathers.

    Attributes:
        plant: makes an implementation that has it.
        case: what exposes it.
        windowed: whether it can be made with a window alone.
    """

    plant: Callable[[], Attend]
    case: str
    windowed: bool = False


def _without_the_next_block() -> Attend:
    """Blocks of a window that see the block before them and themselves."""
    neighbours = blocks._with_neighbours

    def without_next(x: Any, *, axis: int) -> Any:
        wide = neighbours(x, axis=axis)
        kept = jax.lax.slice_in_dim(wide, 0, 2 * x.shape[axis + 1], axis=axis + 1)
        return jnp.concatenate([kept, jnp.zeros_like(x)], axis=axis + 1)

    def attend(query: Any, key: Any, value: Any, sight: Sight, scale: float) -> Any:
        patch = Patch()
        patch.set(blocks, "_with_neighbours", without_next)
        with patch.active():
            return blocks.windows(query, key, value, sight, scale)

    return attend


def _another_backward(wrong: Callable[[Sight], Sight]) -> Attend:
    """Right forward; the gradients are those of another sight."""

    def attend(query: Any, key: Any, value: Any, sight: Sight, scale: float) -> Any:
        @jax.custom_vjp
        def run(query: Any, key: Any, value: Any) -> Any:
            return einsum.attend(query, key, value, sight, scale)

        def forward(*given: Any) -> Any:
            return run(*given), given

        def backward(given: Any, cotangent: Any) -> Any:
            return jax.vjp(lambda q, k, v: einsum.attend(q, k, v, wrong(sight), scale), *given)[1](cotangent)

        run.defvjp(forward, backward)
        return run(query, key, value)

    return attend


def _documents_joined(sight: Sight) -> Sight:
    return sight._replace(segments=(sight.segments != 0).astype(sight.segments.dtype))


def _scaled_twice() -> Attend:
    return lambda query, key, value, sight, scale: einsum.attend(query, key, value, sight, scale**2)


def _window_short() -> Attend:
    def attend(query: Any, key: Any, value: Any, sight: Sight, scale: float) -> Any:
        narrow = None if sight.window is None else sight.window - 1
        return einsum.attend(query, key, value, sight._replace(window=narrow), scale)

    return attend


def _keys_tiled() -> Attend:
    def attend(query: Any, key: Any, value: Any, sight: Sight, scale: float) -> Any:
        times = query.shape[1] // key.shape[1]
        key, value = (jnp.tile(x, (1, times, 1, 1)) for x in (key, value))
        return einsum.attend(query, key, value, sight, scale)

    return attend


def _filled(query: Any, key: Any, sight: Sight, scale: float) -> tuple[Any, Any]:
    """Scores in base 2, as kernels have them, and who sees whom."""
    seen = within_window(from_segments(sight.segments), sight.window)[:, None]
    return math.log2(math.e) * scale * jnp.einsum("BNTH,BNSH->BNTS", query, key), seen


def _fill_overflows() -> Attend:
    """The lowest finite number is turned to base 2 with the scores, becomes -inf, and -inf - -inf is no number."""

    def attend(query: Any, key: Any, value: Any, sight: Sight, scale: float) -> Any:
        scores, seen = _filled(query, einsum.shared(key, query.shape[1]), sight, scale)
        lowest = jnp.asarray(jnp.finfo(scores.dtype).min, scores.dtype)
        scores = jnp.where(seen, scores, math.log2(math.e) * lowest)
        half = scores.shape[-1] // 2
        # Two blocks of keys, one after the other: a query that sees nothing of the first has -inf as its maximum.
        first = scores[..., :half].max(-1, keepdims=True)
        last = jnp.maximum(first, scores[..., half:].max(-1, keepdims=True))
        weights = jnp.concatenate(
            [jnp.exp2(scores[..., :half] - first) * jnp.exp2(first - last), jnp.exp2(scores[..., half:] - last)], -1
        )
        context = jnp.einsum("BNTS,BNSH->BNTH", weights, einsum.shared(value, query.shape[1]))
        return context / weights.sum(-1, keepdims=True)

    return attend


def _nothing_by_nothing() -> Attend:
    """A query that sees nothing has weights that sum to 0, and is divided by that."""

    def attend(query: Any, key: Any, value: Any, sight: Sight, scale: float) -> Any:
        scores, seen = _filled(query, einsum.shared(key, query.shape[1]), sight, scale)
        scores = jnp.where(seen, scores, jnp.finfo(scores.dtype).min)
        weights = jnp.where(seen, jnp.exp2(scores - scores.max(-1, keepdims=True)), 0)
        context = jnp.einsum("BNTS,BNSH->BNTH", weights, einsum.shared(value, query.shape[1]))
        return context / weights.sum(-1, keepdims=True)

    return attend


KERNEL_BUGS: tuple[KernelBug, ...] = (
    KernelBug(
        name="kernel-block-missing",
        mistake="a block of queries does not see the block of keys after it",
        where=_ANYWHERE,
        plant=_without_the_next_block,
        windowed=True,
        case="heads of 32, window 33",
    ),
    KernelBug(
        name="kernel-window-short",
        mistake="the window ends one key too early",
        where=_ANYWHERE,
        plant=_window_short,
        case="heads of 32, window 33",
    ),
    KernelBug(
        name="kernel-backward-documents",
        mistake="the backward pass ignores the segments",
        where=_BACKWARD,
        plant=lambda: _another_backward(_documents_joined),
        case="heads of 32",
    ),
    KernelBug(
        name="kernel-backward-window",
        mistake="the backward pass ignores the window",
        where=_BACKWARD,
        plant=lambda: _another_backward(lambda sight: sight._replace(window=None)),
        case="heads of 32, window 33",
    ),
    KernelBug(
        name="kernel-scaled-twice",
        mistake="the kernel scales a query that was scaled before",
        where=_ANYWHERE,
        plant=_scaled_twice,
        case="heads of 32",
    ),
    KernelBug(
        name="kernel-keys-tiled",
        mistake="shared keys and values are repeated in turn, not for neighbouring heads",
        where=_ANYWHERE,
        plant=_keys_tiled,
        case="heads of 64, shared keys",
    ),
    KernelBug(
        name="kernel-fill-overflows",
        mistake="a mask's fill overflows to -inf in base 2",
        where=_ANYWHERE,
        plant=_fill_overflows,
        case="heads of 32",
    ),
    KernelBug(
        name="kernel-empty-row",
        mistake="a query that sees nothing is divided by the sum of its weights, 0",
        where=_BACKWARD,
        plant=_nothing_by_nothing,
        case="heads of 32",
    ),
)
