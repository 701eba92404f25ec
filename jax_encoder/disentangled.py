"""Disentangled attention: a key is scored by its content and, apart from it, by how far it stands from the query.

Axes: B batch, T query position, S key position, R rows of the relative table, D embed_dim, N num_heads, H head_dim.
References: He et al. (2021), section 3.1, https://arxiv.org/abs/2006.03654; He et al. (2023), section 4.1 (ranges of
distances, one table for all layers), https://arxiv.org/abs/2111.09543
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jax_encoder.config import EncoderConfig
from jax_encoder.norm import Norm
from jax_encoder.precision import at_least_float32


class RelativeTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; keys that heads share are repeated for each."""

    position_query: Float[Array, "R N H"]
    position_key: Float[Array, "R N H"]
    content_to_position: Float[Array, "B N T S"]
    position_to_content: Float[Array, "B N T S"]


class RelativeRows(NamedTuple):
    """The relative table as all layers read it, and which row belongs to a query and a key."""

    embedding: Float[Array, "R D"]
    rows: Int[np.ndarray, "T S"]


class RelativeEmbedding(nnx.Module):
    """A vector for every range of distances in columns, normalised where the config says so."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, dtype: DTypeLike, param_dtype: DTypeLike):
        init = nnx.initializers.truncated_normal(stddev=config.init_std, lower=-2.0, upper=2.0)
        width = config.embed_dim
        self.table = nnx.Param(init(rngs.params(), (config.relative_buckets, width), param_dtype))
        self.norm = Norm(config, width=width, param_dtype=param_dtype) if config.relative_norm else None
        self.max_distance, self.dtype = config.relative_max_distance, dtype

    def __call__(self, num_positions: int) -> RelativeRows:
        """Returns what attention between `num_positions` columns reads."""
        columns_T = np.arange(num_positions)
        rows_TS = rows(columns_T[:, None] - columns_T[None, :], self.table.shape[0], self.max_distance)
        table_RD = self.table[...].astype(self.dtype)
        return RelativeRows(table_RD if self.norm is None else self.norm(table_RD), rows_TS)


def rows(distances_TS: Int[np.ndarray, "T S"], count: int, max_distance: int) -> Int[np.ndarray, "T S"]:
    """Which row of the table a distance has: single ones while they are short, then ranges that grow.

    Args:
        distances_TS: column of the query less column of the key.
        count: rows of the table. The middle one is for distance 0; a quarter of them to either side for one distance
            each, the rest for ranges.
        max_distance: the last range ends below it; what is farther has the first row, or shares the last.
    """
    middle, single = count // 2, count // 4
    far_TS = np.abs(distances_TS)
    # Equal steps on a logarithmic scale. A range ends with the whole number at or below its end, which is put a little
    # higher so that a whole number belongs to the range that it ends: then no logarithm need be exact.
    steps = np.arange(single) / (single - 1)
    ends = single * ((max_distance - 1) / single) ** steps * (1 + 1e-9)
    ranged_TS = single + np.searchsorted(ends, far_TS, side="left")
    reach_TS = np.sign(distances_TS) * np.where(far_TS <= single, far_TS, ranged_TS)
    return np.minimum(middle + reach_TS, count - 1)


def position_scores(
    query_BNTH: Float[Array, "B N T H"],
    key_BNSH: Float[Array, "B N S H"],
    position_query_NRH: Float[Array, "N R H"],
    position_key_NRH: Float[Array, "N R H"],
    rows_TS: Int[np.ndarray, "T S"],
    scale: float,
) -> RelativeTaps:
    """Scores each query's content against the key's distance, and each key's content against the query's distance.

    Both are scaled, in at least float32, and to be added to the scores of content against content.
    """
    wide = at_least_float32(query_BNTH.dtype)
    by_query_BNTR = jnp.einsum("BNTH,NRH->BNTR", query_BNTH, position_key_NRH, preferred_element_type=wide)
    by_key_BNSR = jnp.einsum("BNSH,NRH->BNSR", key_BNSH, position_query_NRH, preferred_element_type=wide)
    to_position_BNTS = jnp.take_along_axis(by_query_BNTR, rows_TS[None, None], axis=3, mode="promise_in_bounds")
    to_content_BNST = jnp.take_along_axis(by_key_BNSR, rows_TS.T[None, None], axis=3, mode="promise_in_bounds")
    return RelativeTaps(
        position_query=jnp.moveaxis(position_query_NRH, 0, 1),
        position_key=jnp.moveaxis(position_key_NRH, 0, 1),
        content_to_position=scale * to_position_BNTS,
        position_to_content=scale * to_content_BNST.swapaxes(2, 3),
    )
