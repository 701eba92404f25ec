"""Classes for sequences or positions, from an encoder's output: what fine-tuning puts on top.

Axes: B batch, T position, D embed_dim, C classes.
Reference: Devlin et al. (2019), section 4, https://arxiv.org/abs/1810.04805
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.heads import mean_pool
from jax_encoder.mlp import ACTIVATIONS, linear_options
from jax_encoder.norm import Norm

_ACTIVATIONS = ACTIVATIONS | {"tanh": jnp.tanh}


class ClassifierTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None where the config has no such part."""

    pooled: Float[Array, "B D"] | None
    transform: Float[Array, "*axes D"] | None
    activation: Float[Array, "*axes D"] | None
    norm: Float[Array, "*axes D"] | None
    late_pooled: Float[Array, "B D"] | None
    logits: Float[Array, "*axes C"]


class Classifier(nnx.Module):
    """Scores classes for whole sequences or for every position, from the encoder's output."""

    def __init__(
        self,
        config: EncoderConfig,
        classes: ClassifierConfig,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
        param_dtype: DTypeLike = jnp.float32,
    ):
        self.config, self.dtype = classes, dtype
        D, places = config.embed_dim, {"rngs": rngs, "dtype": dtype, "param_dtype": param_dtype}
        transform = partial(nnx.Linear, D, D, **linear_options(config) | {"use_bias": classes.transform_bias})
        self.transform = None if classes.activation is None else transform(**places)
        self.norm = Norm(config, width=D, param_dtype=param_dtype) if classes.norm else None
        self.output = nnx.Linear(D, classes.num_classes, **linear_options(config), **places)

    def __call__(
        self, x_BTD: Float[Array, "B T D"], valid_BT: Bool[Array, "B T"]
    ) -> tuple[Float[Array, "*axes C"], ClassifierTaps]:
        """Returns logits, [B, C] for sequences or [B, T, C] for positions, and the taps.

        Args:
            x_BTD: the encoder's output.
            valid_BT: False at padding, which pooling leaves out.
        """
        pooled_BD = late_BD = transform = activation = norm = None
        if self.config.pooling == "first":
            pooled_BD = x_BTD[:, 0]
        elif self.config.pooling == "mean":
            pooled_BD = mean_pool(x_BTD, valid_BT)
        x = x_BTD if pooled_BD is None else pooled_BD
        if self.transform is not None and self.config.activation is not None:
            x = transform = self.transform(x)
            x = activation = _ACTIVATIONS[self.config.activation](x)
        if self.norm is not None:
            x = norm = self.norm(x)
        if self.config.pooling == "late":
            x = late_BD = mean_pool(x, valid_BT)
        logits = self.output(x)
        return logits, ClassifierTaps(pooled_BD, transform, activation, norm, late_BD, logits)
