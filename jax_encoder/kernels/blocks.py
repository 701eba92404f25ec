"""Attention in blocks of queries, in plain XLA: memory that grows with T and not with its square, on every platform.

Nothing but query, key and value is kept for the backward pass, which computes the scores of a block again.

Axes: B batch, N num_heads, G num_key_value_heads, T query position, S key position, H head_dim, C block, q query within
its block, k key that a block sees.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jax_encoder.kernels.einsum import shared, weigh
from jax_encoder.kernels.sight import Sight, padded

# Queries to a block where keys are all of a row.
BLOCK = 128


def windows(
    query_BNTH: Float[Array, "B N T H"],
    key_BGSH: Float[Array, "B G S H"],
    value_BGSH: Float[Array, "B G S H"],
    sight: Sight,
    scale: float,
) -> Float[Array, "B N T H"]:
    """Blocks as long as the window, all at once, each with its own keys, those before and those after it.

    Raises:
        ValueError: there is no window.
    """
    window = sight.window
    if window is None:
        raise ValueError("blocks of a window need one; a layer that sees all of its row is for kernels.blocks.rows")

    @jax.checkpoint
    def run(query_BNTH: Array, key_BGSH: Array, value_BGSH: Array, segments_BT: Array) -> Array:
        num_heads, length = query_BNTH.shape[1:3]
        cut = partial(_cut, block=block_of(window))
        query_BNCqH = cut(query_BNTH, axis=2)
        keys, values = (_with_neighbours(cut(shared(x, num_heads), axis=2), axis=2) for x in (key_BGSH, value_BGSH))
        seen_B1Cqk = _seen_within(cut(segments_BT, axis=1), window)[:, None]
        context_BNCqH = weigh((query_BNCqH, keys, values), seen_B1Cqk, scale)
        return context_BNCqH.reshape(*context_BNCqH.shape[:2], -1, context_BNCqH.shape[-1])[:, :, :length]

    return run(query_BNTH, key_BGSH, value_BGSH, sight.segments)


def rows(
    query_BNTH: Float[Array, "B N T H"],
    key_BGSH: Float[Array, "B G S H"],
    value_BGSH: Float[Array, "B G S H"],
    sight: Sight,
    scale: float,
) -> Float[Array, "B N T H"]:
    """Blocks of queries one after the other, each with all keys of its row; for layers without a window.

    Raises:
        ValueError: there is a window.
    """
    if sight.window is not None:
        raise ValueError(f"blocks over whole rows know no window, got {sight.window}; kernels.blocks.windows does")
    num_heads, length = query_BNTH.shape[1:3]
    key_BNSH, value_BNSH = (shared(x, num_heads) for x in (key_BGSH, value_BGSH))
    segments_BS = sight.segments

    @partial(jax.checkpoint, prevent_cse=False)  # a loop keeps the two passes apart by itself
    def run(block: tuple[Array, Array]) -> Array:
        query_BNqH, segments_Bq = block
        same_Bqk = segments_Bq[:, :, None] == segments_BS[:, None, :]
        seen_Bqk = same_Bqk & (segments_Bq != 0)[:, :, None]
        return weigh((query_BNqH, key_BNSH, value_BNSH), seen_Bqk[:, None], scale)

    query_CBNqH = jnp.moveaxis(_cut(query_BNTH, axis=2, block=BLOCK), 2, 0)
    segments_CBq = jnp.moveaxis(_cut(segments_BS, axis=1, block=BLOCK), 1, 0)
    context_BNCqH = jnp.moveaxis(jax.lax.map(run, (query_CBNqH, segments_CBq)), 0, 2)
    return context_BNCqH.reshape(*context_BNCqH.shape[:2], -1, context_BNCqH.shape[-1])[:, :, :length]


def block_of(window: int) -> int:
    """Queries to a block: as many as the window reaches, and no fewer than make a product worth its while."""
    return max(window, 16)


def _cut(x: Array, *, axis: int, block: int) -> Array:
    """[... T ...] -> [... C q ...], with zeros after the last: padding, if it is segments."""
    return padded(x, block, axis=axis).reshape(*x.shape[:axis], -1, block, *x.shape[axis + 1 :])


def _with_neighbours(x: Array, *, axis: int) -> Array:
    """[... C q ...] -> [... C 3q ...]: every block between the one before it and the one after it."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = (1, 1)
    wide, count = jnp.pad(x, widths), x.shape[axis]
    shifted = [jax.lax.slice_in_dim(wide, start, start + count, axis=axis) for start in range(3)]
    return jnp.concatenate(shifted, axis=axis + 1)


def _seen_within(segments_BCq: Int[Array, "B C q"], window: int) -> Bool[Array, "B C q k"]:
    """Who sees whom of a block and its neighbours."""
    block = segments_BCq.shape[2]
    keys_BCk = _with_neighbours(segments_BCq, axis=1)
    columns_q, columns_k = np.arange(block), np.arange(3 * block) - block
    near_qk = np.abs(columns_q[:, None] - columns_k[None, :]) <= window
    same_BCqk = segments_BCq[:, :, :, None] == keys_BCk[:, :, None, :]
    return same_BCqk & (segments_BCq != 0)[:, :, :, None] & jnp.asarray(near_qk)[None, None]
