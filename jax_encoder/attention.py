"""Bidirectional multi-head attention.

Axes: B batch, T query position, S key position, D embed_dim, N num_heads, G num_key_value_heads, H head_dim.
References: Vaswani et al. (2017), section 3.2, https://arxiv.org/abs/1706.03762; Ainslie et al. (2023), section 2.2
(shared keys and values), https://arxiv.org/abs/2305.13245
"""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jax_encoder import dropout, masks, products, rope
from jax_encoder.config import EncoderConfig
from jax_encoder.disentangled import RelativeRows, RelativeTaps, position_scores
from jax_encoder.kernels.fused import Fused
from jax_encoder.precision import at_least_float32


class AttentionTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None without rotary or relative positions.

    Fused attention never has scores, nor what is made of them up to the context.
    """

    query: Float[Array, "B T N H"]
    key: Float[Array, "B S G H"]
    value: Float[Array, "B S G H"]
    rotated_query: Float[Array, "B T N H"] | None
    rotated_key: Float[Array, "B S G H"] | None
    relative: RelativeTaps | None
    scores: Float[Array, "B N T S"] | None
    biased_scores: Float[Array, "B N T S"] | None
    masked_scores: Float[Array, "B N T S"] | None
    weights: Float[Array, "B N T S"] | None
    context: Float[Array, "B T N H"]
    output: Float[Array, "B T D"]


class Positions(NamedTuple):
    """How positions enter attention beyond the embeddings; None where they do not.

    Attributes:
        angles: rotary angles, by which queries and keys are turned.
        bias: added to the scores.
        relative: what disentangled scores are made from.
    """

    angles: Float[Array, "B 1 T h"] | None
    bias: Float[Array, "N T S"] | None
    relative: RelativeRows | None


NO_POSITIONS = Positions(None, None, None)


class Attention(nnx.Module):
    """Lets every query position gather from the key positions that its mask allows."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, dtype: DTypeLike, param_dtype: DTypeLike):
        D, N, G, H = config.embed_dim, config.num_heads, config.num_key_value_heads, config.head_dim
        init = nnx.initializers.truncated_normal(stddev=config.init_std, lower=-2.0, upper=2.0)

        def project(spec: str, kernel_shape: tuple[int, ...], bias_shape: tuple[int, ...]) -> nnx.Einsum:
            bias = bias_shape if config.attention_bias else None
            options = {"kernel_init": init, "bias_init": nnx.initializers.zeros_init()}
            options |= {"einsum_op": products.einsum, "dtype": dtype, "param_dtype": param_dtype}
            return nnx.Einsum(spec, kernel_shape, bias, rngs=rngs, **options)

        # Head-major from here on: with the heads behind the positions, XLA's CPU products take seven times as long.
        self.query = project("BTD,DNH->BNTH", (D, N, H), (N, H))
        self.key = project("BSD,DGH->BGSH", (D, G, H), (G, H))
        self.value = project("BSD,DGH->BGSH", (D, G, H), (G, H))
        self.out = project("BNTH,NHD->BTD", (N, H, D), (D,))
        own = config.relative_projections
        self.position_query = project("BRD,DNH->BNRH", (D, N, H), (N, H)) if own else None
        self.position_key = project("BRD,DGH->BGRH", (D, G, H), (G, H)) if own else None
        # Disentangled scores are the sum of three products.
        summands = 3 if config.relative_kind == "disentangled" else 1
        self.scale = (summands * H) ** -0.5 if config.scale_scores else 1.0
        self.sharing = N // G

    def __call__(
        self,
        query_BTD: Float[Array, "B T D"],
        key_BSD: Float[Array, "B S D"],
        value_BSD: Float[Array, "B S D"],
        mask_BTS: Bool[Array, "B T S"],
        positions: Positions = NO_POSITIONS,
        drop: dropout.Drop | None = None,
    ) -> tuple[Float[Array, "B T D"], AttentionTaps]:
        """Returns the update to add to the residual stream, and the taps.

        Args:
            query_BTD, key_BSD, value_BSD: what the three projections read; in self-attention, three times the same.
            mask_BTS: True where query t may see key s. A query that may see nothing gets weights and context 0, not
                NaN; a key that no query may see reaches nothing, NaN included.
            positions: with angles, queries and keys share them.
            drop: what is dropped of the weights; None keeps all.
        """
        seen_BS, seeing_BT = masks.seen(mask_BTS), masks.seeing(mask_BTS)
        query_BNTH = self.query(masks.zero_where_not(seeing_BT, query_BTD))
        key_BGSH = self.key(masks.zero_where_not(seen_BS, key_BSD))
        value_BGSH = self.value(masks.zero_where_not(seen_BS, value_BSD))
        rotated_query_BNTH, rotated_key_BGSH = (_rotated(x, positions.angles) for x in (query_BNTH, key_BGSH))
        relative = None if positions.relative is None else self._relative(query_BNTH, key_BGSH, positions.relative)
        scores_BNTS = self._scores(
            query_BNTH if rotated_query_BNTH is None else rotated_query_BNTH,
            key_BGSH if rotated_key_BGSH is None else rotated_key_BGSH,
        )
        biased_BNTS = _biased(scores_BNTS, positions.bias, relative)
        masked_BNTS = masks.fill(scores_BNTS if biased_BNTS is None else biased_BNTS, mask_BTS)
        weights_BNTS = masks.softmax(masked_BNTS, mask_BTS).astype(value_BGSH.dtype)
        dropped_BNTS = dropout.apply(weights_BNTS, drop)
        context_BNTH = products.einsum("BNTS,BNSH->BNTH", dropped_BNTS, self._shared(value_BGSH))
        output_BTD = self.out(context_BNTH)
        return output_BTD, AttentionTaps(
            *(_heads_last(query_BNTH), _heads_last(key_BGSH), _heads_last(value_BGSH)),
            rotated_query=None if rotated_query_BNTH is None else _heads_last(rotated_query_BNTH),
            rotated_key=None if rotated_key_BGSH is None else _heads_last(rotated_key_BGSH),
            relative=relative,
            scores=scores_BNTS,
            biased_scores=biased_BNTS,
            masked_scores=masked_BNTS,
            weights=weights_BNTS,
            context=_heads_last(context_BNTH),
            output=output_BTD,
        )

    def fused(
        self, x_BTD: Float[Array, "B T D"], fused: Fused, angles_B1Th: Float[Array, "B 1 T h"] | None
    ) -> tuple[Float[Array, "B T D"], AttentionTaps]:
        """Self-attention as `__call__` computes it, by an implementation that never has all scores in memory.

        Args:
            x_BTD: what the three projections read.
            fused: the implementation, and the documents of every row.
            angles_B1Th: rotary angles.
        """
        x_BTD = masks.zero_where_not(masks.seen(fused.documents), x_BTD)
        query_BNTH, key_BGSH, value_BGSH = self.query(x_BTD), self.key(x_BTD), self.value(x_BTD)
        rotated_query_BNTH, rotated_key_BGSH = (_rotated(x, angles_B1Th) for x in (query_BNTH, key_BGSH))
        context_BNTH = fused(
            query_BNTH if rotated_query_BNTH is None else rotated_query_BNTH,
            key_BGSH if rotated_key_BGSH is None else rotated_key_BGSH,
            value_BGSH,
            self.scale,
        )
        output_BTD = self.out(context_BNTH)
        return output_BTD, AttentionTaps(
            *(_heads_last(query_BNTH), _heads_last(key_BGSH), _heads_last(value_BGSH)),
            rotated_query=None if rotated_query_BNTH is None else _heads_last(rotated_query_BNTH),
            rotated_key=None if rotated_key_BGSH is None else _heads_last(rotated_key_BGSH),
            relative=None,
            scores=None,
            biased_scores=None,
            masked_scores=None,
            weights=None,
            context=_heads_last(context_BNTH),
            output=output_BTD,
        )

    def _scores(
        self, query_BNTH: Float[Array, "B N T H"], key_BGSH: Float[Array, "B G S H"]
    ) -> Float[Array, "B N T S"]:
        """Scaled products in at least float32: a bfloat16 softmax is too coarse."""
        wide, key_BNSH = at_least_float32(query_BNTH.dtype), self._shared(key_BGSH)
        if query_BNTH.dtype == wide:
            return self.scale * products.einsum("BNTH,BNSH->BNTS", query_BNTH, key_BNSH)
        return self.scale * jnp.einsum("BNTH,BNSH->BNTS", query_BNTH, key_BNSH, preferred_element_type=wide)

    def _relative(
        self, query_BNTH: Float[Array, "B N T H"], key_BGSH: Float[Array, "B G S H"], relative: RelativeRows
    ) -> RelativeTaps:
        """Scores by distance; the table goes through projections of its own, or through the query's and the key's."""
        query = self.query if self.position_query is None else self.position_query
        key = self.key if self.position_key is None else self.position_key
        table_1RD = relative.embedding[None]
        position_query_NRH, position_key_NRH = query(table_1RD)[0], self._shared(key(table_1RD))[0]
        key_BNSH = self._shared(key_BGSH)
        return position_scores(query_BNTH, key_BNSH, position_query_NRH, position_key_NRH, relative.rows, self.scale)

    def _shared(self, x_BGSH: Float[Array, "B G S H"]) -> Float[Array, "B N S H"]:
        """Gives every query head its keys or values: neighbours share."""
        return x_BGSH if self.sharing == 1 else jnp.repeat(x_BGSH, self.sharing, axis=1)


def _biased(
    scores_BNTS: Float[Array, "B N T S"], bias_NTS: Float[Array, "N T S"] | None, relative: RelativeTaps | None
) -> Float[Array, "B N T S"] | None:
    """The scores with what distances add to them; None where they add nothing."""
    if bias_NTS is not None:
        return scores_BNTS + bias_NTS[None].astype(scores_BNTS.dtype)
    return None if relative is None else scores_BNTS + relative.content_to_position + relative.position_to_content


def _rotated(
    x_BNTH: Float[Array, "B heads T H"], angles_B1Th: Float[Array, "B 1 T h"] | None
) -> Float[Array, "B heads T H"] | None:
    return None if angles_B1Th is None else rope.rotate(x_BNTH, angles_B1Th)


def _heads_last(x_BNTH: Float[Array, "B heads T H"]) -> Float[Array, "B T heads H"]:
    return x_BNTH.swapaxes(1, 2)
