"""Tokens, positions and token types become the first residual stream.

Axes: B batch, T position, E width of the tables (embed_dim, unless the config factorises), V vocabulary.
References: Devlin et al. (2019), section 3.2 and figure 2, https://arxiv.org/abs/1810.04805; Lin et al. (2023) and its
code, https://github.com/facebookresearch/esm (a token whose word is dropped)
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jax_encoder import masks
from jax_encoder.config import EncoderConfig
from jax_encoder.norm import Norm
from jax_encoder.precision import at_least_float32

# What ESM-2 was trained with, whatever the data show: 15 % of the tokens are targets, and 80 % of these the mask.
_DROPPED_IN_TRAINING = 0.15 * 0.8


class EmbeddingTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None where the config has no such part."""

    word: Float[Array, "B T E"]
    kept: Float[Array, "B T E"] | None
    position: Float[Array, "B T E"] | None
    token_type: Float[Array, "B T E"] | None
    total: Float[Array, "B T E"]
    norm: Float[Array, "B T E"] | None


class Embedding(nnx.Module):
    """Adds up what a position is, where it stands and which part it belongs to."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, dtype: DTypeLike, param_dtype: DTypeLike):
        self.config, self.dtype = config, dtype
        width = config.table_width
        init = nnx.initializers.truncated_normal(stddev=config.init_std, lower=-2.0, upper=2.0)

        def table(rows: int) -> nnx.Param:
            return nnx.Param(init(rngs.params(), (rows, width), param_dtype))

        self.word = table(config.vocab_size)
        learned = config.position_kind == "learned"
        self.position = table(config.max_len + config.position_offset) if learned else None
        self.token_type = table(config.num_token_types) if config.num_token_types else None
        self.norm = Norm(config, width=width, param_dtype=param_dtype) if config.embedding_norm else None

    def __call__(
        self,
        tokens_BT: Int[Array, "B T"],
        mask_BTS: masks.Mask,
        positions_BT: Int[Array, "B T"],
        token_types_BT: Int[Array, "B T"] | None,
    ) -> tuple[Float[Array, "B T E"], EmbeddingTaps]:
        """Embeds one batch.

        Args:
            tokens_BT: ids below vocab_size; any other id at a seen position gives NaN, never another token's row.
            mask_BTS: True where position t may see position s; what nobody may see is padding, which becomes 0
                whatever its token's row holds.
            positions_BT: positions within the document, below max_len.
            token_types_BT: ids below num_token_types; None stands for all 0.

        Raises:
            ValueError: token types for an encoder that has none.
        """
        if token_types_BT is not None and self.token_type is None:
            raise ValueError("token_types were given, but num_token_types is 0: this encoder has no token types")
        seen_BT = masks.seen(mask_BTS)
        word_BTE = masks.zero_where_not(seen_BT, self._rows(self.word, tokens_BT))
        kept_BTE = self._kept(word_BTE, tokens_BT, mask_BTS)
        position_BTE = self._position(positions_BT)
        type_BTE = None
        if self.token_type is not None:
            type_BTE = self._rows(
                self.token_type, jnp.zeros_like(tokens_BT) if token_types_BT is None else token_types_BT
            )
        total_BTE = word_BTE if kept_BTE is None else kept_BTE
        for part_BTE in (position_BTE, type_BTE):
            total_BTE = total_BTE if part_BTE is None else total_BTE + part_BTE
        total_BTE = masks.zero_where_not(seen_BT, total_BTE)
        norm_BTE = None if self.norm is None else self.norm(total_BTE)
        taps = EmbeddingTaps(word_BTE, kept_BTE, position_BTE, type_BTE, total_BTE, norm_BTE)
        return total_BTE if norm_BTE is None else norm_BTE, taps

    def _rows(self, table: nnx.Param, ids_BT: Int[Array, "B T"]) -> Float[Array, "B T E"]:
        """Looks ids up; JAX would otherwise clamp an id beyond the table to its last row, silently."""
        rows_BTE = table[...].at[ids_BT].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        return rows_BTE.astype(self.dtype)

    def _kept(
        self, word_BTE: Float[Array, "B T E"], tokens_BT: Int[Array, "B T"], mask_BTS: masks.Mask
    ) -> Float[Array, "B T E"] | None:
        """Words without the dropped token's; the others grow as its share of what their position sees asks for."""
        if self.config.dropped_token is None:
            return None
        mask_BTS, wide = masks.dense(mask_BTS), at_least_float32(self.dtype)
        dropped_BT = tokens_BT == self.config.dropped_token
        count_BT, left_BT = (
            each_BTS.sum(axis=2).astype(wide) for each_BTS in (mask_BTS, mask_BTS & ~dropped_BT[:, None, :])
        )
        # A document of nothing but dropped tokens has no word to grow.
        scale_BT = (1 - _DROPPED_IN_TRAINING) * count_BT / jnp.maximum(left_BT, 1)
        return masks.zero_where_not(~dropped_BT, (word_BTE.astype(wide) * scale_BT[:, :, None]).astype(self.dtype))

    def _position(self, positions_BT: Int[Array, "B T"]) -> Float[Array, "B T E"] | None:
        if self.position is not None:
            return self._rows(self.position, positions_BT + self.config.position_offset)
        if self.config.position_kind == "sinusoidal":
            return sinusoids(positions_BT, self.word.shape[1]).astype(self.dtype)
        return None


def sinusoids(positions_BT: Int[Array, "B T"], width: int) -> Float[Array, "B T E"]:
    """Channel 2i holds sin(p / 10000^(2i/E)), channel 2i+1 its cosine: Vaswani et al. (2017), section 3.5."""
    wide = jnp.result_type(float)  # float64 where JAX has it
    frequencies_e = jnp.asarray(10_000.0 ** (-np.arange(0, width, 2) / width), wide)
    angles_BTe = positions_BT.astype(wide)[:, :, None] * frequencies_e[None, None, :]
    return jnp.stack([jnp.sin(angles_BTe), jnp.cos(angles_BTe)], axis=-1).reshape(*positions_BT.shape, width)
