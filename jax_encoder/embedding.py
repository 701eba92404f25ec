"""Tokens, positions and token types become the first residual stream.

Axes: B batch, T position, D embed_dim, V vocabulary.
Reference: Devlin et al. (2019), section 3.2 and figure 2, https://arxiv.org/abs/1810.04805
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from jax_encoder import masks
from jax_encoder.config import EncoderConfig
from jax_encoder.norm import Norm


class EmbeddingTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None where the config has no such part."""

    word: Float[Array, "B T D"]
    position: Float[Array, "B T D"] | None
    token_type: Float[Array, "B T D"] | None
    total: Float[Array, "B T D"]
    norm: Float[Array, "B T D"] | None


class Embedding(nnx.Module):
    """Adds up what a position is, where it stands and which part it belongs to."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, dtype: DTypeLike, param_dtype: DTypeLike):
        self.config, self.dtype = config, dtype
        init = nnx.initializers.truncated_normal(stddev=config.init_std, lower=-2.0, upper=2.0)

        def table(rows: int) -> nnx.Param:
            return nnx.Param(init(rngs.params(), (rows, config.embed_dim), param_dtype))

        self.word = table(config.vocab_size)
        learned = config.position_kind == "learned"
        self.position = table(config.max_len + config.position_offset) if learned else None
        self.token_type = table(config.num_token_types) if config.num_token_types else None
        self.norm = Norm(config, param_dtype=param_dtype) if config.embedding_norm else None

    def __call__(
        self,
        tokens_BT: Int[Array, "B T"],
        seen_BT: Bool[Array, "B T"],
        positions_BT: Int[Array, "B T"],
        token_types_BT: Int[Array, "B T"] | None,
    ) -> tuple[Float[Array, "B T D"], EmbeddingTaps]:
        """Embeds one batch.

        Args:
            tokens_BT: ids below vocab_size; any other id at a seen position gives NaN, never another token's row.
            seen_BT: False at padding, which becomes 0 whatever its token's row holds.
            positions_BT: positions within the document, below max_len.
            token_types_BT: ids below num_token_types; None stands for all 0.

        Raises:
            ValueError: token types for an encoder that has none.
        """
        if token_types_BT is not None and self.token_type is None:
            raise ValueError("token_types were given, but num_token_types is 0: this encoder has no token types")
        word_BTD = masks.zero_where_not(seen_BT, self._rows(self.word, tokens_BT))
        position_BTD = self._position(positions_BT)
        type_BTD = None
        if self.token_type is not None:
            type_BTD = self._rows(
                self.token_type, jnp.zeros_like(tokens_BT) if token_types_BT is None else token_types_BT
            )
        total_BTD = word_BTD
        for part_BTD in (position_BTD, type_BTD):
            total_BTD = total_BTD if part_BTD is None else total_BTD + part_BTD
        total_BTD = masks.zero_where_not(seen_BT, total_BTD)
        norm_BTD = None if self.norm is None else self.norm(total_BTD)
        taps = EmbeddingTaps(word_BTD, position_BTD, type_BTD, total_BTD, norm_BTD)
        return total_BTD if norm_BTD is None else norm_BTD, taps

    def _rows(self, table: nnx.Param, ids_BT: Int[Array, "B T"]) -> Float[Array, "B T D"]:
        """Looks ids up; JAX would otherwise clamp an id beyond the table to its last row, silently."""
        rows_BTD = table[...].at[ids_BT].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        return rows_BTD.astype(self.dtype)

    def _position(self, positions_BT: Int[Array, "B T"]) -> Float[Array, "B T D"] | None:
        if self.position is not None:
            return self._rows(self.position, positions_BT + self.config.position_offset)
        if self.config.position_kind == "sinusoidal":
            return sinusoids(positions_BT, self.config.embed_dim).astype(self.dtype)
        return None


def sinusoids(positions_BT: Int[Array, "B T"], embed_dim: int) -> Float[Array, "B T D"]:
    """Channel 2i holds sin(p / 10000^(2i/D)), channel 2i+1 its cosine: Vaswani et al. (2017), section 3.5."""
    wide = jnp.result_type(float)  # float64 where JAX has it
    frequencies_d = jnp.asarray(10_000.0 ** (-np.arange(0, embed_dim, 2) / embed_dim), wide)
    angles_BTd = positions_BT.astype(wide)[:, :, None] * frequencies_d[None, None, :]
    return jnp.stack([jnp.sin(angles_BTd), jnp.cos(angles_BTd)], axis=-1).reshape(*positions_BT.shape, embed_dim)
