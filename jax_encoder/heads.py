"""What is put on an encoder: the masked-language-model head, BERT's pooler, mean pooling.

Axes: B batch, T position, K target, D embed_dim, E width of the embedding tables, V vocabulary.
Reference: Devlin et al. (2019), section 3.1, https://arxiv.org/abs/1810.04805
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jax_encoder import products
from jax_encoder.config import EncoderConfig
from jax_encoder.masks import zero_where_not
from jax_encoder.mlp import ACTIVATIONS, linear_options
from jax_encoder.norm import Norm
from jax_encoder.precision import at_least_float32


class MLMHeadTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None without a transform."""

    transform: Float[Array, "B K E"] | None
    activation: Float[Array, "B K E"] | None
    norm: Float[Array, "B K E"] | None
    logits: Float[Array, "B K V"]


class PoolerTaps(NamedTuple):
    """Every intermediate value, in the order it is computed."""

    dense: Float[Array, "B D"]
    output: Float[Array, "B D"]


class MLMHead(nnx.Module):
    """Scores every word for a position: a transform to the tables' width, then a decoder, tied to the words or not."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, dtype: DTypeLike, param_dtype: DTypeLike):
        D, E, V = config.embed_dim, config.table_width, config.vocab_size
        self.activation, self.dtype = config.mlm_activation, dtype
        options = linear_options(config) | {"use_bias": config.mlm_transform_bias}
        transform = partial(nnx.Linear, D, E, **options, rngs=rngs, dtype=dtype, param_dtype=param_dtype)
        self.transform = None if config.mlm_activation is None else transform()
        self.norm = None if config.mlm_activation is None else Norm(config, width=E, param_dtype=param_dtype)
        init = nnx.initializers.truncated_normal(stddev=config.init_std, lower=-2.0, upper=2.0)
        self.decoder = None if config.mlm_tied else nnx.Param(init(rngs.params(), (V, E), param_dtype))
        self.bias = nnx.Param(jnp.zeros((V,), param_dtype)) if config.mlm_decoder_bias else None

    def __call__(
        self, x_BKD: Float[Array, "B K D"], word_VE: Float[Array, "V E"]
    ) -> tuple[Float[Array, "B K V"], MLMHeadTaps]:
        """Returns logits in at least float32, and the taps; `word_VE` is the encoder's word embedding."""
        transform_BKE = activation_BKE = norm_BKE = None
        if self.transform is not None and self.norm is not None and self.activation is not None:
            transform_BKE = self.transform(x_BKD)
            activation_BKE = ACTIVATIONS[self.activation](transform_BKE)
            norm_BKE = self.norm(activation_BKE)
        read_BKE = x_BKD if norm_BKE is None else norm_BKE
        decoder_VE = (word_VE if self.decoder is None else self.decoder[...]).astype(self.dtype)
        wide = at_least_float32(self.dtype)
        logits_BKV = jnp.einsum("BKE,VE->BKV", read_BKE, decoder_VE, preferred_element_type=wide)
        if self.bias is not None:
            logits_BKV = products.plus(logits_BKV, self.bias[...].astype(wide))
        return logits_BKV, MLMHeadTaps(transform_BKE, activation_BKE, norm_BKE, logits_BKV)


class Pooler(nnx.Module):
    """BERT's sequence vector: tanh of a projection of the first token."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, dtype: DTypeLike, param_dtype: DTypeLike):
        D, places = config.embed_dim, {"rngs": rngs, "dtype": dtype, "param_dtype": param_dtype}
        self.dense = nnx.Linear(D, D, **linear_options(config), **places)

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
