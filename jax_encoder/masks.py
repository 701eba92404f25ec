"""Who may attend to whom. The only module that knows what True in a mask means: this query may see this key.

Axes: B batch, T query position, S key position, N heads.
A position that no query may see is padding, whatever it contains.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


@partial(jax.tree_util.register_dataclass, data_fields=["segments"], meta_fields=["attention", "interpret"])
@dataclasses.dataclass(frozen=True)
class Documents:
    """What `from_segments` says, in T numbers a row instead of T²: an encoder that is given it may use a kernel.

    Attributes:
        segments: 0 for padding, else the number of the document within its row.
        attention: the implementation to use, by its name in `jax_encoder.kernels`; "auto" takes what suits.
        interpret: whether a kernel for another device is run on this one, by its interpreter.
    """

    segments: Int[Array, "B T"]
    attention: str = "auto"
    interpret: bool = False


Mask = Bool[Array, "B T S"] | Documents


def from_segments(segments_BT: Int[Array, "B T"]) -> Bool[Array, "B T T"]:
    """Lets positions of one document see each other, and nothing else.

    Args:
        segments_BT: 0 for padding, else the number of the document within its row.
    """
    same_BTS = segments_BT[:, :, None] == segments_BT[:, None, :]
    return same_BTS & (segments_BT != 0)[:, :, None]


def from_valid(valid_BT: Bool[Array, "B T"]) -> Bool[Array, "B T T"]:
    """Lets all valid positions of a row see each other; holes and left padding are welcome."""
    return from_segments(valid_BT.astype(jnp.int32))


def from_lengths(lengths_B: Int[Array, " B"], num_positions: int) -> Bool[Array, "B T T"]:
    """Lets the first `lengths_B[b]` of `num_positions` positions of row b see each other."""
    return from_valid(jnp.arange(num_positions, dtype=lengths_B.dtype)[None, :] < lengths_B[:, None])


def positions_from_segments(segments_BT: Int[Array, "B T"]) -> Int[Array, "B T"]:
    """Numbers the positions of every document from 0; a document's positions must be adjacent. 0 at padding."""
    index_BT = jnp.broadcast_to(jnp.arange(segments_BT.shape[1], dtype=segments_BT.dtype), segments_BT.shape)
    starts_BT = jnp.diff(segments_BT, axis=1, prepend=-1) != 0
    return jnp.where(segments_BT == 0, 0, index_BT - jax.lax.cummax(jnp.where(starts_BT, index_BT, 0), axis=1))


def within_window(mask_BTS: Bool[Array, "B T S"], window: int | Int[Array, ""] | None) -> Bool[Array, "B T S"]:
    """Narrows a mask to `window` keys on each side of the query, by column; None leaves it as it is."""
    if window is None:
        return mask_BTS
    _, T, S = mask_BTS.shape
    distance_TS = jnp.abs(jnp.arange(T, dtype=jnp.int32)[:, None] - jnp.arange(S, dtype=jnp.int32)[None, :])
    return mask_BTS & (distance_TS <= window)[None]


def dense(mask_BTS: Mask) -> Bool[Array, "B T S"]:
    """A mask as it is, or that of documents."""
    return from_segments(mask_BTS.segments) if isinstance(mask_BTS, Documents) else mask_BTS


def seen(mask_BTS: Mask) -> Bool[Array, "B S"]:
    """True for keys that some query may see."""
    return mask_BTS.segments != 0 if isinstance(mask_BTS, Documents) else mask_BTS.any(axis=1)


def seeing(mask_BTS: Mask) -> Bool[Array, "B T"]:
    """True for queries that may see some key."""
    return mask_BTS.segments != 0 if isinstance(mask_BTS, Documents) else mask_BTS.any(axis=2)


def zero_where_not(valid_BT: Bool[Array, "B T"], x_BTD: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    """Zeroes what lies at invalid positions.

    Weights of 0 are not enough: 0 * NaN is NaN, in the context and again in every gradient.
    """
    return jnp.where(valid_BT[:, :, None], x_BTD, 0)


def fill(scores_BNTS: Float[Array, "B N T S"], mask_BTS: Bool[Array, "B T S"]) -> Float[Array, "B N T S"]:
    """Puts the lowest finite number where a query may not look; -inf would turn an empty row into NaN."""
    return jnp.where(mask_BTS[:, None], scores_BNTS, jnp.finfo(scores_BNTS.dtype).min)


@jax.custom_vjp
def softmax(masked_BNTS: Float[Array, "B N T S"], mask_BTS: Bool[Array, "B T S"]) -> Float[Array, "B N T S"]:
    """Softmax over the keys that `mask_BTS` allows, exactly 0 elsewhere; all 0 for a query that may see nothing.

    Its derivative is made from the weights alone; JAX's keeps exponentials and their sums as well.
    """
    return jnp.where(mask_BTS[:, None], jax.nn.softmax(masked_BNTS, axis=-1), 0)


def _softmax_forward(masked_BNTS: Array, mask_BTS: Array) -> tuple[Array, Array]:
    weights_BNTS = softmax(masked_BNTS, mask_BTS)
    return weights_BNTS, weights_BNTS


def _softmax_backward(weights_BNTS: Array, cotangent_BNTS: Array) -> tuple[Array, None]:
    mean_BNT1 = (weights_BNTS * cotangent_BNTS).sum(axis=-1, keepdims=True)
    return weights_BNTS * (cotangent_BNTS - mean_BNT1), None


softmax.defvjp(_softmax_forward, _softmax_backward)
