"""The encoder: embeddings, layers, and a last norm where the config has one.

Axes: B batch, T query position, S key position, D embed_dim, L num_layers, H head_dim.
References: Vaswani et al. (2017), section 3.1 (post-norm), https://arxiv.org/abs/1706.03762; Xiong et al. (2020),
section 3 (pre-norm), https://arxiv.org/abs/2002.04745
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from jax_encoder import dropout, masks, rope
from jax_encoder.attention import AttentionTaps, MultiHeadAttention
from jax_encoder.config import EncoderConfig
from jax_encoder.embedding import Embedding, EmbeddingTaps
from jax_encoder.mlp import MLP, MLPTaps
from jax_encoder.norm import Norm
from jax_encoder.precision import at_least_float32


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


class EncoderTaps(NamedTuple):
    """Every intermediate value, in the order it is computed, whether layers are scanned or not."""

    embedding: EmbeddingTaps
    layers: tuple[LayerTaps, ...]
    final_norm: Float[Array, "B T D"] | None


class LayerInputs(NamedTuple):
    """What a layer reads beside the residual stream."""

    mask_BTS: Bool[Array, "B T S"]
    window: int | Int[Array, ""] | None
    angles_B1Th: Float[Array, "B 1 T h"] | None
    keeps: dropout.LayerKeeps


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
        self.order, self.dropout_rate = config.norm_order, config.residual_dropout
        self.attention_norm = Norm(config, param_dtype=param_dtype) if attention_norm else None
        self.attention = MultiHeadAttention(config, rngs=rngs, dtype=dtype, param_dtype=param_dtype)
        self.mlp_norm = Norm(config, param_dtype=param_dtype)
        self.mlp = MLP(config, rngs=rngs, dtype=dtype, param_dtype=param_dtype)

    def __call__(self, x_BTD: Float[Array, "B T D"], inputs: LayerInputs) -> tuple[Float[Array, "B T D"], LayerTaps]:
        """Returns the residual stream after this layer, and the taps."""
        return self._pre(x_BTD, inputs) if self.order == "pre" else self._post(x_BTD, inputs)

    def _pre(self, x_BTD: Float[Array, "B T D"], inputs: LayerInputs) -> tuple[Float[Array, "B T D"], PreNormLayerTaps]:
        normed_BTD = x_BTD if self.attention_norm is None else self.attention_norm(x_BTD)
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
        normed_BTD = self.attention_norm(residual_BTD)
        mlp_residual_BTD, mlp_taps = self._add_mlp(normed_BTD, normed_BTD, inputs)
        output_BTD = self.mlp_norm(mlp_residual_BTD)
        return output_BTD, PostNormLayerTaps(
            attention_taps, residual_BTD, normed_BTD, mlp_taps, mlp_residual_BTD, output_BTD
        )

    def _add_attention(
        self, x_BTD: Float[Array, "B T D"], read_BTD: Float[Array, "B T D"], inputs: LayerInputs
    ) -> tuple[Float[Array, "B T D"], AttentionTaps]:
        mask_BTS = masks.within_window(inputs.mask_BTS, inputs.window)
        update_BTD, taps = self.attention(
            read_BTD, read_BTD, read_BTD, mask_BTS, inputs.angles_B1Th, inputs.keeps.weights
        )
        return x_BTD + dropout.apply(update_BTD, inputs.keeps.attention_output, self.dropout_rate), taps

    def _add_mlp(
        self, x_BTD: Float[Array, "B T D"], read_BTD: Float[Array, "B T D"], inputs: LayerInputs
    ) -> tuple[Float[Array, "B T D"], MLPTaps]:
        update_BTD, taps = self.mlp(read_BTD)
        return x_BTD + dropout.apply(update_BTD, inputs.keeps.mlp_output, self.dropout_rate), taps


class _LayerForm(NamedTuple):
    """What differs from layer to layer: its number, its window and its rotary frequencies."""

    layer: int | Int[Array, ""]
    window: int | Int[Array, ""] | None
    frequencies_h: Float[Array, " h"] | None


class Encoder(nnx.Module):
    """A stack of layers over embeddings.

    Parameters of all layers lie stacked along a leading axis under `layers`; a layer 0 without attention norm has
    another structure than the rest and lies under `first`.

    Args:
        config: sizes and form.
        rngs: the stream `params` draws the initial parameters.
        dtype: of the computation; norms, softmax and rotary angles use at least float32.
        param_dtype: of the parameters.
    """

    def __init__(
        self,
        config: EncoderConfig,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
        param_dtype: DTypeLike = jnp.float32,
    ):
        self.config, self.dtype = config, dtype
        options = {"dtype": dtype, "param_dtype": param_dtype}
        self.embedding = Embedding(config, rngs=rngs, **options)
        peeled = 0 if config.first_attention_norm else 1
        self.first = EncoderLayer(config, attention_norm=False, rngs=rngs, **options) if peeled else None

        @nnx.split_rngs(splits=config.num_layers - peeled)
        @nnx.vmap(in_axes=0, out_axes=0)
        def stack(rngs: nnx.Rngs) -> EncoderLayer:
            return EncoderLayer(config, rngs=rngs, **options)

        self.layers = stack(rngs) if config.num_layers > peeled else None
        self.final_norm = Norm(config, param_dtype=param_dtype) if config.final_norm else None

    def __call__(
        self,
        tokens_BT: Int[Array, "B T"],
        mask_BTS: Bool[Array, "B T T"],
        *,
        positions_BT: Int[Array, "B T"] | None = None,
        token_types_BT: Int[Array, "B T"] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Float[Array, "B T D"], EncoderTaps]:
        """Encodes one batch.

        Args:
            tokens_BT: ids below vocab_size.
            mask_BTS: True where position t may see position s; from `jax_encoder.masks`.
            positions_BT: each token's position within its document; None numbers the columns from 0.
            token_types_BT: ids below num_token_types; None stands for all 0.
            dropout_key: key of this step; None leaves dropout off.

        Returns:
            The last residual stream, and the taps.

        Raises:
            ValueError: more positions than max_len, or token types for an encoder that has none.
        """
        B, T = tokens_BT.shape
        if self.config.max_len < T:
            raise ValueError(f"{T} positions are more than this encoder's max_len {self.config.max_len}")
        if positions_BT is None:
            positions_BT = jnp.broadcast_to(jnp.arange(T, dtype=tokens_BT.dtype), tokens_BT.shape)
        x_BTD, embedding_taps = self.embedding(tokens_BT, masks.seen(mask_BTS), positions_BT, token_types_BT)
        shape_BTD = (B, T, self.config.embed_dim)
        keep_BTD = dropout.embedding_keep(dropout_key, self.config, shape_BTD)
        x_BTD = dropout.apply(x_BTD, keep_BTD, self.config.embedding_dropout)

        def run(layer: EncoderLayer, x_BTD: Array, form: _LayerForm) -> tuple[Array, LayerTaps]:
            angles_B1Th = None
            if form.frequencies_h is not None:
                angles_B1Th = rope.angles(positions_BT, form.frequencies_h, self.dtype)
            keeps = dropout.layer_keeps(dropout_key, form.layer, self.config, shape_BTD)
            return layer(x_BTD, LayerInputs(mask_BTS, form.window, angles_B1Th, keeps))

        x_BTD, layer_taps = self._run_layers(x_BTD, run)
        final_BTD = None if self.final_norm is None else self.final_norm(x_BTD)
        return x_BTD if final_BTD is None else final_BTD, EncoderTaps(embedding_taps, layer_taps, final_BTD)

    def _run_layers(self, x_BTD: Float[Array, "B T D"], run) -> tuple[Float[Array, "B T D"], tuple[LayerTaps, ...]]:
        """Runs `first` if there is one, then the stacked layers in a loop or one by one."""
        forms, taps = self._forms(), ()
        if self.first is not None:
            x_BTD, first_taps = run(self.first, x_BTD, forms[0])
            forms, taps = forms[1:], (first_taps,)
        if self.layers is None:
            return x_BTD, taps
        graphdef, state = nnx.split(self.layers)
        if not self.config.scan_layers:
            for index, form in enumerate(forms):
                layer = nnx.merge(graphdef, jax.tree.map(lambda stacked, i=index: stacked[i], state))
                x_BTD, layer_taps = run(layer, x_BTD, form)
                taps += (layer_taps,)
            return x_BTD, taps
        # One window for all stays static: the loop then carries no mask of its own.
        window = forms[0].window
        shared = all(form.window == window for form in forms)
        stacked_forms = _LayerForm(
            layer=jnp.asarray([form.layer for form in forms], jnp.int32),
            window=None if shared else jnp.asarray([form.window or self.config.max_len for form in forms], jnp.int32),
            frequencies_h=None if forms[0].frequencies_h is None else jnp.stack([form.frequencies_h for form in forms]),
        )

        def body(x_BTD: Array, scanned) -> tuple[Array, LayerTaps]:
            state, form = scanned
            return run(nnx.merge(graphdef, state), x_BTD, form._replace(window=window) if shared else form)

        x_BTD, stacked_taps = jax.lax.scan(body, x_BTD, (state, stacked_forms))
        return x_BTD, taps + tuple(jax.tree.map(lambda tap, i=i: tap[i], stacked_taps) for i in range(len(forms)))

    def _forms(self) -> list[_LayerForm]:
        config, wide = self.config, at_least_float32(self.dtype)
        thetas = config.rope_thetas or (None,) * config.num_layers
        return [
            _LayerForm(layer, window, None if theta is None else jnp.asarray(_frequencies(theta, config), wide))
            for layer, (window, theta) in enumerate(zip(config.windows, thetas, strict=True))
        ]


def _frequencies(theta: float, config: EncoderConfig) -> Float[np.ndarray, " h"]:
    return rope.inverse_frequencies(theta, config.head_dim)
