"""One layer: attention, then the MLP, each added to the residual stream and normalised before or after.

Axes: B batch, T query position, S key position, D embed_dim, N num_heads.
References: Vaswani et al. (2017), section 3.1 (post-norm), https://arxiv.org/abs/1706.03762; Xiong et al. (2020),
section 3 (pre-norm), https://arxiv.org/abs/2002.04745
"""

from functools import partial
from typing import NamedTuple

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jax_encoder import dropout, masks
from jax_encoder.attention import Attention, AttentionTaps, Positions
from jax_encoder.config import EncoderConfig
from jax_encoder.kernels.fused import Fused
from jax_encoder.mlp import MLP, MLPTaps
from jax_encoder.norm import Norm


class PreNormLayerTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None for a norm that is left out."""

    attention_norm: Float[Array, "B T D"] | None
    attention: AttentionTaps
    attention_residual: Float[Array, "B T D"]
    mlp_norm: Float[Array, "B T D"]
    mlp: MLPTaps
    mlp_residual: Float[Array, "B T D"]


class PostNormLayerTaps(NamedTuple):
    """Every intermediate value, in the order it is computed."""

    attention: AttentionTaps
    attention_residual: Float[Array, "B T D"]
    attention_norm: Float[Array, "B T D"]
    mlp: MLPTaps
    mlp_residual: Float[Array, "B T D"]
    mlp_norm: Float[Array, "B T D"]


LayerTaps = PreNormLayerTaps | PostNormLayerTaps


class LayerInputs(NamedTuple):
    """What a layer reads beside the residual stream; with `fused`, that stands for mask and window."""

    mask: masks.Mask
    window: int | Int[Array, ""] | None
    positions: Positions
    drops: dropout.LayerDrops
    fused: Fused | None


class EncoderLayer(nnx.Module):
    """Attention, then the MLP, each added to the residual stream and normalised before or after."""

    def __init__(
        self,
        config: EncoderConfig,
        *,
        attention_norm: bool = True,
        rngs: nnx.Rngs,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
    ):
        self.order = config.norm_order
        norm = partial(Norm, config, width=config.embed_dim, param_dtype=param_dtype)
        self.attention_norm = norm() if attention_norm else None
        self.attention = Attention(config, rngs=rngs, dtype=dtype, param_dtype=param_dtype)
        self.mlp_norm = norm()
        self.mlp = MLP(config, rngs=rngs, dtype=dtype, param_dtype=param_dtype)

    def __call__(self, x_BTD: Float[Array, "B T D"], inputs: LayerInputs) -> tuple[Float[Array, "B T D"], LayerTaps]:
        """Returns the residual stream after this layer, and the taps."""
        return self._pre(x_BTD, inputs) if self.order == "pre" else self._post(x_BTD, inputs)

    def _pre(self, x_BTD: Float[Array, "B T D"], inputs: LayerInputs) -> tuple[Float[Array, "B T D"], PreNormLayerTaps]:
        normed_BTD = self._normed(x_BTD)
        residual_BTD, attention_taps = self._add_attention(x_BTD, normed_BTD, inputs)
        mlp_normed_BTD = self.mlp_norm(residual_BTD)
        output_BTD, mlp_taps = self._add_mlp(residual_BTD, mlp_normed_BTD, inputs)
        norm_tap = None if self.attention_norm is None else normed_BTD
        return output_BTD, PreNormLayerTaps(
            norm_tap, attention_taps, residual_BTD, mlp_normed_BTD, mlp_taps, output_BTD
        )

    def _post(
        self, x_BTD: Float[Array, "B T D"], inputs: LayerInputs
    ) -> tuple[Float[Array, "B T D"], PostNormLayerTaps]:
        residual_BTD, attention_taps = self._add_attention(x_BTD, x_BTD, inputs)
        normed_BTD = self._normed(residual_BTD)
        mlp_residual_BTD, mlp_taps = self._add_mlp(normed_BTD, normed_BTD, inputs)
        output_BTD = self.mlp_norm(mlp_residual_BTD)
        return output_BTD, PostNormLayerTaps(
            attention_taps, residual_BTD, normed_BTD, mlp_taps, mlp_residual_BTD, output_BTD
        )

    def _normed(self, x_BTD: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        return x_BTD if self.attention_norm is None else self.attention_norm(x_BTD)

    def _add_attention(
        self, x_BTD: Float[Array, "B T D"], read_BTD: Float[Array, "B T D"], inputs: LayerInputs
    ) -> tuple[Float[Array, "B T D"], AttentionTaps]:
        if inputs.fused is not None:
            update_BTD, taps = self.attention.fused(read_BTD, inputs.fused, inputs.positions.angles)
        else:
            mask_BTS = masks.within_window(masks.dense(inputs.mask), inputs.window)
            update_BTD, taps = self.attention(
                read_BTD, read_BTD, read_BTD, mask_BTS, inputs.positions, inputs.drops.weights
            )
        return x_BTD + dropout.apply(update_BTD, inputs.drops.attention_output), taps

    def _add_mlp(
        self, x_BTD: Float[Array, "B T D"], read_BTD: Float[Array, "B T D"], inputs: LayerInputs
    ) -> tuple[Float[Array, "B T D"], MLPTaps]:
        update_BTD, taps = self.mlp(read_BTD)
        return x_BTD + dropout.apply(update_BTD, inputs.drops.mlp_output), taps
