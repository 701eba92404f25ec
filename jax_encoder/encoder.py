"""The encoder: embeddings, layers, and a last norm where the config has one.

Axes: B batch, T query position, S key position, D embed_dim, L num_layers, H head_dim.
References: Vaswani et al. (2017), section 3.1 (post-norm), https://arxiv.org/abs/1706.03762; Xiong et al. (2020),
section 3 (pre-norm), https://arxiv.org/abs/2002.04745
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jax_encoder import dropout, masks, rope
from jax_encoder.attention import Attention, AttentionTaps
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
Tree = TypeVar("Tree")


class EncoderTaps(NamedTuple):
    """Every intermediate value, in the order it is computed, whether layers are scanned or not."""

    embedding: EmbeddingTaps
    layers: tuple[LayerTaps, ...]
    final_norm: Float[Array, "B T D"] | None


class LayerInputs(NamedTuple):
    """What a layer reads beside the residual stream."""

    mask: Bool[Array, "B T S"]
    window: int | Int[Array, ""] | None
    angles: Float[Array, "B 1 T h"] | None
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
        self.attention = Attention(config, rngs=rngs, dtype=dtype, param_dtype=param_dtype)
        self.mlp_norm = Norm(config, param_dtype=param_dtype)
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
        mask_BTS = masks.within_window(inputs.mask, inputs.window)
        update_BTD, taps = self.attention(read_BTD, read_BTD, read_BTD, mask_BTS, inputs.angles, inputs.keeps.weights)
        return x_BTD + dropout.apply(update_BTD, inputs.keeps.attention_output, self.dropout_rate), taps

    def _add_mlp(
        self, x_BTD: Float[Array, "B T D"], read_BTD: Float[Array, "B T D"], inputs: LayerInputs
    ) -> tuple[Float[Array, "B T D"], MLPTaps]:
        update_BTD, taps = self.mlp(read_BTD)
        return x_BTD + dropout.apply(update_BTD, inputs.keeps.mlp_output, self.dropout_rate), taps


class LayerForm(NamedTuple):
    """What differs from layer to layer: its number, its window and its rotary frequencies."""

    layer: int | Int[Array, ""]
    window: int | Int[Array, ""] | None
    frequencies: Float[Array, " h"] | None


RunLayer = Callable[[EncoderLayer, Array, LayerForm], tuple[Array, LayerTaps]]


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
        layer = partial(EncoderLayer, config, dtype=dtype, param_dtype=param_dtype)
        self.embedding = Embedding(config, rngs=rngs, dtype=dtype, param_dtype=param_dtype)
        peeled = 0 if config.first_attention_norm else 1
        self.first = layer(attention_norm=False, rngs=rngs) if peeled else None

        @nnx.split_rngs(splits=config.num_layers - peeled)
        @nnx.vmap(in_axes=0, out_axes=0)
        def stack(rngs: nnx.Rngs) -> EncoderLayer:
            return layer(rngs=rngs)

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

        def run(layer: EncoderLayer, x_BTD: Array, form: LayerForm) -> tuple[Array, LayerTaps]:
            angles_B1Th = None
            if form.frequencies is not None:
                angles_B1Th = rope.angles(positions_BT, form.frequencies, self.dtype)
            keeps = dropout.layer_keeps(dropout_key, form.layer, self.config, shape_BTD)
            return layer(x_BTD, LayerInputs(mask_BTS, form.window, angles_B1Th, keeps))

        x_BTD, layer_taps = self._run_layers(x_BTD, run)
        final_BTD = None if self.final_norm is None else self.final_norm(x_BTD)
        return x_BTD if final_BTD is None else final_BTD, EncoderTaps(embedding_taps, layer_taps, final_BTD)

    def _run_layers(
        self, x_BTD: Float[Array, "B T D"], run: RunLayer
    ) -> tuple[Float[Array, "B T D"], tuple[LayerTaps, ...]]:
        """Runs `first` if there is one, then the stacked layers in a loop or one by one."""
        forms = _forms(self.config, at_least_float32(self.dtype))
        taps: tuple[LayerTaps, ...] = ()
        if self.first is not None:
            x_BTD, first_taps = run(self.first, x_BTD, forms[0])
            forms, taps = forms[1:], (first_taps,)
        if self.layers is None:
            return x_BTD, taps
        graphdef, state = nnx.split(self.layers)
        if self.config.scan_layers:
            window, scanned = _stack_forms(forms, self.config.max_len)

            def body(x_BTD: Array, layer: tuple[PyTree, LayerForm]) -> tuple[Array, LayerTaps]:
                state, form = layer
                form = form._replace(window=window) if form.window is None else form
                return run(nnx.merge(graphdef, state), x_BTD, form)

            x_BTD, stacked_taps = jax.lax.scan(body, x_BTD, (state, scanned))
            return x_BTD, taps + tuple(_at(stacked_taps, index) for index in range(len(forms)))
        for index, form in enumerate(forms):
            x_BTD, layer_taps = run(nnx.merge(graphdef, _at(state, index)), x_BTD, form)
            taps += (layer_taps,)
        return x_BTD, taps


def _forms(config: EncoderConfig, dtype: np.dtype) -> list[LayerForm]:
    frequencies = [rope.inverse_frequencies(theta, config.head_dim) for theta in config.rope_thetas]
    return [
        LayerForm(layer, window, jnp.asarray(frequencies[layer], dtype) if frequencies else None)
        for layer, window in enumerate(config.windows)
    ]


def _stack_forms(forms: list[LayerForm], max_len: int) -> tuple[int | Array | None, LayerForm]:
    """The window that all layers share, and what else differs stacked for a scan; unequal windows are stacked too."""
    window = forms[0].window
    # One window for all stays static: the loop then needs no mask of its own. A window of max_len sees everything.
    shared = all(form.window == window for form in forms)
    windows = None if shared else jnp.asarray([form.window or max_len for form in forms], jnp.int32)
    frequencies = [form.frequencies for form in forms if form.frequencies is not None]
    return window, LayerForm(
        layer=jnp.asarray([form.layer for form in forms], jnp.int32),
        window=windows,
        frequencies=jnp.stack(frequencies) if frequencies else None,
    )


def _at(stacked: Tree, index: int) -> Tree:
    """One layer's share of what is stacked along the leading axis."""
    return jax.tree.map(lambda leaf: leaf[index], stacked)
