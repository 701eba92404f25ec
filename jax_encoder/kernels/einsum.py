"""Attention as two products with every score in memory: the reference, and what takes anything.

Axes: B batch, N num_heads, G num_key_value_heads, T query position, S key position, H head_dim.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jax_encoder import masks
from jax_encoder.kernels.sight import Sight
from jax_encoder.precision import at_least_float32


def attend(
    query_BNTH: Float[Array, "B N T H"],
    key_BGSH: Float[Array, "B G S H"],
    value_BGSH: Float[Array, "B G S H"],
    sight: Sight,
    scale: float,
) -> Float[Array, "B N T H"]:
    """What every query gathers; 0 for one that may see nothing."""
    mask_BTS = masks.within_window(masks.from_segments(sight.segments), sight.window)
    key_BNSH, value_BNSH = (shared(x, query_BNTH.shape[1]) for x in (key_BGSH, value_BGSH))
    return weigh((query_BNTH, key_BNSH, value_BNSH), mask_BTS[:, None], scale)


def weigh(
    given: tuple[Float[Array, "*batch q H"], Float[Array, "*batch k H"], Float[Array, "*batch k H"]],
    seen: Bool[Array, "*spread q k"],
    scale: float,
) -> Float[Array, "*batch q H"]:
    """Softmax-weighted values of every query, in the arithmetic of the encoder's attention.

    Args:
        given: query, key and value.
        seen: True where a query may see a key; axes of 1 stand for all.
        scale: of the scores.
    """
    query, key, value = given
    wide = at_least_float32(query.dtype)
    scores = scale * jnp.einsum("...qH,...kH->...qk", query, key, preferred_element_type=wide)
    filled = jnp.where(seen, scores, jnp.finfo(wide).min)
    weights = jnp.where(seen, jax.nn.softmax(filled, axis=-1), 0).astype(value.dtype)
    return jnp.einsum("...qk,...kH->...qH", weights, value)


def shared(x_BGSH: Float[Array, "B G S H"], num_heads: int) -> Float[Array, "B N S H"]:
    """Gives every query head its keys or values: neighbours share."""
    groups = x_BGSH.shape[1]
    return x_BGSH if groups == num_heads else jnp.repeat(x_BGSH, num_heads // groups, axis=1)
