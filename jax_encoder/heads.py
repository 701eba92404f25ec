"""What is put on an encoder: the masked-language-model head, BERT's pooler, mean pooling.

Axes: B batch, T position, K target, D embed_dim, V vocabulary.
Reference: Devlin et al. (2019), section 3.1, https://arxiv.org/abs/1810.04805
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from jax_encoder.config import EncoderConfig
from jax_encoder.encoder import Encoder, EncoderTaps
from jax_encoder.masks import zero_where_not
from jax_encoder.mlp import ACTIVATIONS
from jax_encoder.norm import Norm
from jax_encoder.precision import at_least_float32


class MLMHeadTaps(NamedTuple):
    """Every intermediate value, in the order it is computed."""

    transform: Float[Array, "B K D"]
    activation: Float[Array, "B K D"]
    norm: Float[Array, "B K D"]
    logits: Float[Array, "B K V"]


class PoolerTaps(NamedTuple):
    """Every intermediate value, in the order it is computed."""

    dense: Float[Array, "B D"]
    output: Float[Array, "B D"]


class MaskedLMTaps(NamedTuple):
    """Every intermediate value, in the order it is computed."""

    encoder: EncoderTaps
    head: MLMHeadTaps


class MLMHead(nnx.Module):
    """Scores every word for a position, with the word embedding as decoder (tied)."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, dtype: DTypeLike, param_dtype: DTypeLike):
        self.transform = _linear(config, use_bias=config.mlp_bias)(rngs=rngs, dtype=dtype, param_dtype=param_dtype)
        self.norm = Norm(config, param_dtype=param_dtype)
        self.bias = nnx.Param(jnp.zeros((config.vocab_size,), param_dtype))
        self.activation, self.dtype = config.activation, dtype

    def __call__(
        self, x_BKD: Float[Array, "B K D"], word_VD: Float[Array, "V D"]
    ) -> tuple[Float[Array, "B K V"], MLMHeadTaps]:
        """Returns logits in at least float32, and the taps; `word_VD` is the encoder's word embedding."""
        transform_BKD = self.transform(x_BKD)
        activation_BKD = ACTIVATIONS[self.activation](transform_BKD)
        norm_BKD = self.norm(activation_BKD)
        wide = at_least_float32(self.dtype)
        logits_BKV = jnp.einsum("BKD,VD->BKV", norm_BKD, word_VD.astype(self.dtype), preferred_element_type=wide)
        logits_BKV = logits_BKV + jnp.broadcast_to(self.bias[...].astype(wide), logits_BKV.shape)
        return logits_BKV, MLMHeadTaps(transform_BKD, activation_BKD, norm_BKD, logits_BKV)


class Pooler(nnx.Module):
    """BERT's sequence vector: tanh of a projection of the first token."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, dtype: DTypeLike, param_dtype: DTypeLike):
        self.dense = _linear(config, use_bias=True)(rngs=rngs, dtype=dtype, param_dtype=param_dtype)

    def __call__(self, x_BTD: Float[Array, "B T D"]) -> tuple[Float[Array, "B D"], PoolerTaps]:
        """Returns one vector per row, and the taps."""
        dense_BD = self.dense(x_BTD[:, 0])
        output_BD = jnp.tanh(dense_BD)
        return output_BD, PoolerTaps(dense_BD, output_BD)


def mean_pool(x_BTD: Float[Array, "B T D"], valid_BT: Bool[Array, "B T"]) -> Float[Array, "B D"]:
    """Averages the valid positions of every row, in at least float32; 0 for a row that has none.

    Reference: Reimers & Gurevych (2019), section 3, https://arxiv.org/abs/1908.10084
    """
    wide_BTD = zero_where_not(valid_BT, x_BTD).astype(at_least_float32(x_BTD.dtype))
    count_B1 = jnp.maximum(valid_BT.sum(axis=1, keepdims=True), 1).astype(wide_BTD.dtype)
    return (wide_BTD.sum(axis=1) / count_B1).astype(x_BTD.dtype)


class MaskedLM(nnx.Module):
    """An encoder with its masked-language-model head: what pretraining trains."""

    def __init__(
        self,
        config: EncoderConfig,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
        param_dtype: DTypeLike = jnp.float32,
    ):
        self.encoder = Encoder(config, rngs=rngs, dtype=dtype, param_dtype=param_dtype)
        self.head = MLMHead(config, rngs=rngs, dtype=dtype, param_dtype=param_dtype)

    def __call__(
        self,
        tokens_BT: Int[Array, "B T"],
        mask_BTS: Bool[Array, "B T T"],
        *,
        positions_BT: Int[Array, "B T"] | None = None,
        token_types_BT: Int[Array, "B T"] | None = None,
        targets_BK: Int[Array, "B K"] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Float[Array, "B K V"], MaskedLMTaps]:
        """Scores the vocabulary at the columns `targets_BK`, or at all of them if None; the rest as `Encoder`."""
        x_BTD, encoder_taps = self.encoder(
            tokens_BT,
            mask_BTS,
            positions_BT=positions_BT,
            token_types_BT=token_types_BT,
            dropout_key=dropout_key,
        )
        if targets_BK is not None:
            x_BTD = jnp.take_along_axis(x_BTD, targets_BK[:, :, None], axis=1)
        logits_BKV, head_taps = self.head(x_BTD, self.encoder.embedding.word[...])
        return logits_BKV, MaskedLMTaps(encoder_taps, head_taps)


def _linear(config: EncoderConfig, *, use_bias: bool):
    """A square projection of the residual stream, every default written out."""
    return partial(
        nnx.Linear,
        config.embed_dim,
        config.embed_dim,
        use_bias=use_bias,
        kernel_init=nnx.initializers.truncated_normal(stddev=config.init_std, lower=-2.0, upper=2.0),
        bias_init=nnx.initializers.zeros_init(),
    )
