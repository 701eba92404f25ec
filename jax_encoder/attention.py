"""Bidirectional multi-head attention.

Axes: B batch, T query position, S key position, D embed_dim, N num_heads, H head_dim.
Reference: Vaswani et al. (2017), section 3.2, https://arxiv.org/abs/1706.03762
"""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jax_encoder import dropout, masks, rope
from jax_encoder.config import EncoderConfig
from jax_encoder.precision import at_least_float32


class AttentionTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None without rotary positions."""

    query: Float[Array, "B T N H"]
    key: Float[Array, "B S N H"]
    value: Float[Array, "B S N H"]
    rotated_query: Float[Array, "B T N H"] | None
    rotated_key: Float[Array, "B S N H"] | None
    scores: Float[Array, "B N T S"]
    masked_scores: Float[Array, "B N T S"]
    weights: Float[Array, "B N T S"]
    context: Float[Array, "B T N H"]
    output: Float[Array, "B T D"]


class Attention(nnx.Module):
    """Lets every query position gather from the key positions that its mask allows."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, dtype: DTypeLike, param_dtype: DTypeLike):
        D, N, H = config.embed_dim, config.num_heads, config.head_dim
        init = nnx.initializers.truncated_normal(stddev=config.init_std, lower=-2.0, upper=2.0)

        def project(spec: str, kernel_shape: tuple[int, ...], bias_shape: tuple[int, ...]) -> nnx.Einsum:
            bias = bias_shape if config.attention_bias else None
            options = {"kernel_init": init, "bias_init": nnx.initializers.zeros_init()}
            return nnx.Einsum(spec, kernel_shape, bias, rngs=rngs, dtype=dtype, param_dtype=param_dtype, **options)

        # Head-major from here on: with the heads behind the positions, XLA's CPU products take seven times as long.
        self.query = project("BTD,DNH->BNTH", (D, N, H), (N, H))
        self.key = project("BSD,DNH->BNSH", (D, N, H), (N, H))
        self.value = project("BSD,DNH->BNSH", (D, N, H), (N, H))
        self.out = project("BNTH,NHD->BTD", (N, H, D), (D,))
        self.scale, self.dropout_rate = H**-0.5, config.attention_dropout

    def __call__(
        self,
        query_BTD: Float[Array, "B T D"],
        key_BSD: Float[Array, "B S D"],
        value_BSD: Float[Array, "B S D"],
        mask_BTS: Bool[Array, "B T S"],
        angles_B1Th: Float[Array, "B 1 T h"] | None = None,
        keep_BNTS: Bool[Array, "B N T S"] | None = None,
    ) -> tuple[Float[Array, "B T D"], AttentionTaps]:
        """Attends within one batch; self-attention is the use with three times the same input.

        Args:
            query_BTD, key_BSD, value_BSD: what the three projections read.
            mask_BTS: True where query t may see key s. A query that may see nothing gets weights and context 0, not
                NaN; a key that no query may see reaches nothing, NaN included.
            angles_B1Th: rotary angles of the positions, which queries and keys then share; None does not rotate.
            keep_BNTS: dropout mask of the weights; None keeps all.

        Returns:
            The update to add to the residual stream, and the taps.
        """
        seen_BS, seeing_BT = masks.seen(mask_BTS), masks.seeing(mask_BTS)
        query_BNTH = self.query(masks.zero_where_not(seeing_BT, query_BTD))
        key_BNSH = self.key(masks.zero_where_not(seen_BS, key_BSD))
        value_BNSH = self.value(masks.zero_where_not(seen_BS, value_BSD))
        rotated_query_BNTH = None if angles_B1Th is None else rope.rotate(query_BNTH, angles_B1Th)
        rotated_key_BNSH = None if angles_B1Th is None else rope.rotate(key_BNSH, angles_B1Th)
        scores_BNTS = self._scores(
            query_BNTH if rotated_query_BNTH is None else rotated_query_BNTH,
            key_BNSH if rotated_key_BNSH is None else rotated_key_BNSH,
        )
        masked_BNTS = masks.fill(scores_BNTS, mask_BTS)
        weights_BNTS = masks.softmax(masked_BNTS, mask_BTS).astype(value_BNSH.dtype)
        dropped_BNTS = dropout.apply(weights_BNTS, keep_BNTS, self.dropout_rate)
        context_BNTH = jnp.einsum("BNTS,BNSH->BNTH", dropped_BNTS, value_BNSH)
        output_BTD = self.out(context_BNTH)
        return output_BTD, AttentionTaps(
            query=_heads_last(query_BNTH),
            key=_heads_last(key_BNSH),
            value=_heads_last(value_BNSH),
            rotated_query=None if rotated_query_BNTH is None else _heads_last(rotated_query_BNTH),
            rotated_key=None if rotated_key_BNSH is None else _heads_last(rotated_key_BNSH),
            scores=scores_BNTS,
            masked_scores=masked_BNTS,
            weights=weights_BNTS,
            context=_heads_last(context_BNTH),
            output=output_BTD,
        )

    def _scores(
        self, query_BNTH: Float[Array, "B N T H"], key_BNSH: Float[Array, "B N S H"]
    ) -> Float[Array, "B N T S"]:
        """Scaled products in at least float32: a bfloat16 softmax is too coarse."""
        wide = at_least_float32(query_BNTH.dtype)
        return self.scale * jnp.einsum("BNTH,BNSH->BNTS", query_BNTH, key_BNSH, preferred_element_type=wide)


def _heads_last(x_BNTH: Float[Array, "B N T H"]) -> Float[Array, "B T N H"]:
    return x_BNTH.swapaxes(1, 2)
