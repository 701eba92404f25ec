"""The encoder: embeddings, layers, and a last norm where the config has one.

Axes: B batch, T query position, S key position, D embed_dim, E width of the tables, L num_layers, N num_heads, R rows
of the relative table.
References: Vaswani et al. (2017), section 3.1, https://arxiv.org/abs/1706.03762; Lan et al. (2020), section 3.1
(factorised embeddings, shared layers), https://arxiv.org/abs/1909.11942
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key, PyTree

from jax_encoder import dropout, masks, placement, remat, rope
from jax_encoder.attention import Positions
from jax_encoder.config import EncoderConfig
from jax_encoder.disentangled import RelativeEmbedding
from jax_encoder.embedding import Embedding, EmbeddingTaps
from jax_encoder.kernels.fused import fused_for
from jax_encoder.layer import EncoderLayer, LayerInputs, LayerTaps, PostNormLayerTaps
from jax_encoder.mlp import linear_options
from jax_encoder.norm import Norm
from jax_encoder.precision import at_least_float32
from jax_encoder.relative import RelativeBias, linear_bias

Tree = TypeVar("Tree")


class EncoderTaps(NamedTuple):
    """Every intermediate value, in the order it is computed, whether layers are scanned or not."""

    embedding: EmbeddingTaps
    embedding_projection: Float[Array, "B T D"] | None
    relative_bias: Float[Array, "N T S"] | None
    relative_embedding: Float[Array, "R D"] | None
    layers: tuple[LayerTaps, ...]
    final_norm: Float[Array, "B T D"] | None


def hidden_states(taps: EncoderTaps, output_BTD: Float[Array, "B T D"]) -> tuple[Float[Array, "B T D"], ...]:
    """What entered the first layer and what each layer made of it, the last as the encoder returns it."""
    embedding = taps.embedding.total if taps.embedding.norm is None else taps.embedding.norm
    entered = embedding if taps.embedding_projection is None else taps.embedding_projection
    after = [one.mlp_norm if isinstance(one, PostNormLayerTaps) else one.mlp_residual for one in taps.layers]
    return (entered, *after[:-1], output_BTD)


class LayerForm(NamedTuple):
    """What differs from layer to layer: its number, its parameters' number, its window, which of the windows that there
    are it is, and rotary frequencies."""

    layer: int | Int[Array, ""]
    group: int | Int[Array, ""]
    window: int | Int[Array, ""] | None
    kind: int | Int[Array, ""]
    frequencies: Float[Array, " h"] | None


RunLayer = Callable[[EncoderLayer, Array, LayerForm], tuple[Array, LayerTaps]]


class Encoder(nnx.Module):
    """A stack of layers over embeddings.

    Parameters of all layers lie stacked along a leading axis under `layers`, once for those that share them; a layer 0
    without attention norm has another structure than the rest and lies under `first`.

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
        places = {"rngs": rngs, "dtype": dtype, "param_dtype": param_dtype}
        self.embedding = Embedding(config, **places)
        projection = partial(nnx.Linear, out_features=config.embed_dim, **linear_options(config), **places)
        self.embedding_projection = None if config.table_dim is None else projection(config.table_dim)
        kind = config.relative_kind
        self.relative_bias = RelativeBias(config, **places) if kind == "bias" else None
        self.relative_embedding = RelativeEmbedding(config, **places) if kind == "disentangled" else None
        peeled = 0 if config.first_attention_norm else 1
        self.first = layer(attention_norm=False, rngs=rngs) if peeled else None

        @nnx.split_rngs(splits=len(set(config.layer_groups)) - peeled)
        @nnx.vmap(in_axes=0, out_axes=0)
        def stack(rngs: nnx.Rngs) -> EncoderLayer:
            return layer(rngs=rngs)

        self.layers = stack(rngs) if config.num_layers > peeled else None
        norm = partial(Norm, config, width=config.embed_dim, param_dtype=param_dtype)
        self.final_norm = norm() if config.final_norm else None

    def __call__(
        self,
        tokens_BT: Int[Array, "B T"],
        mask_BTS: masks.Mask,
        *,
        positions_BT: Int[Array, "B T"] | None = None,
        token_types_BT: Int[Array, "B T"] | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> tuple[Float[Array, "B T D"], EncoderTaps]:
        """Encodes one batch.

        Args:
            tokens_BT: ids below vocab_size.
            mask_BTS: True where position t may see s; `masks.Documents` let each layer use what attention suits it.
            positions_BT: each token's position within its document; None numbers the columns from 0.
            token_types_BT: ids below num_token_types; None stands for all 0.
            dropout_key: key of this step; None leaves dropout off.

        Returns:
            The last residual stream, and the taps.

        Raises:
            ValueError: more columns than max_len and no `positions_BT`, or token types for an encoder that has none.
        """
        T = tokens_BT.shape[1]
        if positions_BT is None and self.config.max_len < T:
            raise ValueError(f"{T} positions are more than this encoder's max_len {self.config.max_len}")
        if positions_BT is None:
            positions_BT = jnp.broadcast_to(jnp.arange(T, dtype=tokens_BT.dtype), tokens_BT.shape)
        x_BTE, embedding_taps = self.embedding(tokens_BT, mask_BTS, positions_BT, token_types_BT)
        x_BTE = dropout.apply(x_BTE, dropout.embedding_drop(dropout_key, self.config))
        projected_BTD = None if self.embedding_projection is None else self.embedding_projection(x_BTE)
        bias_NTS = self._relative_bias(T)
        relative = None if self.relative_embedding is None else self.relative_embedding(T)
        mask_BTS, fuse = fused_for(mask_BTS, self.config, self.dtype, drops=dropout_key is not None)

        def run(layer: EncoderLayer, x_BTD: Array, form: LayerForm) -> tuple[Array, LayerTaps]:
            angles_B1Th = None
            if form.frequencies is not None:
                angles_B1Th = rope.angles(positions_BT, form.frequencies, self.dtype)
            drops = dropout.layer_drops(dropout_key, form.layer, self.config)
            positions = Positions(angles_B1Th, bias_NTS, relative)
            return layer(x_BTD, LayerInputs(mask_BTS, form.window, positions, drops, fuse(form.kind)))

        x_BTD, layer_taps = self._run_layers(x_BTE if projected_BTD is None else projected_BTD, run)
        final_BTD = None if self.final_norm is None else self.final_norm(x_BTD)
        embedding_RD = None if relative is None else relative.embedding
        taps = EncoderTaps(embedding_taps, projected_BTD, bias_NTS, embedding_RD, layer_taps, final_BTD)
        return x_BTD if final_BTD is None else final_BTD, taps

    def _relative_bias(self, num_positions: int) -> Float[Array, "N T T"] | None:
        """What distances add to the scores of every layer, from a table or without one."""
        if self.relative_bias is not None:
            return self.relative_bias(num_positions)
        if self.config.relative_kind != "linear":
            return None
        return linear_bias(self.config.num_heads, num_positions, at_least_float32(self.dtype))

    def _run_layers(
        self, x_BTD: Float[Array, "B T D"], run: RunLayer
    ) -> tuple[Float[Array, "B T D"], tuple[LayerTaps, ...]]:
        """Runs `first` if there is one, then the stacked layers in a loop or one by one."""
        forms = _forms(self.config, at_least_float32(self.dtype))
        taps: tuple[LayerTaps, ...] = ()
        x_BTD = placement.stream(x_BTD)
        if self.first is not None:
            x_BTD, first_taps = run(self.first, x_BTD, forms[0])
            x_BTD = placement.stream(x_BTD)
            forms, taps = forms[1:], (first_taps,)
        if self.layers is None:
            return x_BTD, taps
        graphdef, state = nnx.split(self.layers)
        shared = len(set(self.config.layer_groups)) < self.config.num_layers
        if not shared:  # else the gradients of a group's layers would be added in that dtype
            state = _cast(state, self.dtype)
        # XLA finds what is computed again to be there already, on a CPU, unless it is in a loop.
        if self.config.scan_layers or remat.wanted() or placement.gathers():
            alike, scanned = _stack_forms(forms, self.config.max_len)

            def body(x_BTD: Array, layer: tuple[PyTree, LayerForm]) -> tuple[Array, LayerTaps]:
                own, form = layer
                form = form._replace(window=alike.window, kind=alike.kind) if form.window is None else form
                own = placement.whole(_at(state, form.group) if shared else own)
                x_BTD, taps = run(nnx.merge(graphdef, own), x_BTD, form)
                return placement.stream(x_BTD), taps

            # What is computed again is gathered again as well.
            body = remat.of_body(body) if remat.wanted() else placement.forgetful(body)
            x_BTD, stacked_taps = jax.lax.scan(body, x_BTD, (None if shared else state, scanned))
            return x_BTD, taps + tuple(_at(stacked_taps, index) for index in range(len(forms)))
        peeled = len(taps)
        for form in forms:
            x_BTD, layer_taps = run(nnx.merge(graphdef, _at(state, form.group - peeled)), x_BTD, form)
            x_BTD = placement.stream(x_BTD)
            taps += (layer_taps,)
        return x_BTD, taps


def _cast(state: Tree, dtype: DTypeLike) -> Tree:
    """Parameters in the dtype that their layers compute in, all at once and not in each layer, forward and backward.

    Norms compute in at least float32, and so keep theirs.
    """

    def one(path: tuple, leaf: Array) -> Array:
        return leaf if "norm" in jax.tree_util.keystr(path) else leaf.astype(dtype)

    return jax.tree_util.tree_map_with_path(one, state)


def _forms(config: EncoderConfig, dtype: np.dtype) -> list[LayerForm]:
    own = np.asarray(config.rope_frequencies, np.float64)
    frequencies = [
        own if len(own) else rope.inverse_frequencies(theta, config.head_dim) for theta in config.rope_thetas
    ]
    kinds = list(dict.fromkeys(config.windows))
    return [
        LayerForm(
            layer, group, window, kinds.index(window), jnp.asarray(frequencies[layer], dtype) if frequencies else None
        )
        for layer, (group, window) in enumerate(zip(config.layer_groups, config.windows, strict=True))
    ]


def _stack_forms(forms: list[LayerForm], max_len: int) -> tuple[LayerForm, LayerForm]:
    """The first form, for what all layers share, and what differs, stacked; unequal windows are stacked too."""
    # One window for all stays static: the loop then needs no mask of its own. A window of max_len sees everything.
    shared = all(form.window == forms[0].window for form in forms)
    frequencies = [form.frequencies for form in forms if form.frequencies is not None]
    return forms[0], LayerForm(
        layer=jnp.asarray([form.layer for form in forms], jnp.int32),
        group=jnp.asarray([form.group for form in forms], jnp.int32),
        window=None if shared else jnp.asarray([form.window or max_len for form in forms], jnp.int32),
        kind=jnp.asarray([form.kind for form in forms], jnp.int32),
        frequencies=jnp.stack(frequencies) if frequencies else None,
    )


def _at(stacked: Tree, index: int | Array) -> Tree:
    """One layer's share of what is stacked along the leading axis."""
    return jax.tree.map(lambda leaf: leaf[index], stacked)
