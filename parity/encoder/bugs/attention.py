"""Mistakes in attention and rotary positions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import jax_encoder.attention
import jax_encoder.rope
from parity.encoder.bugs import applies
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch, Plant
from parity.encoder.bugs.plant import (
    LOWEST,
    every,
    filled,
    masked_as_ever,
    matched,
    patched,
    set_on,
    swapped,
    wrapped,
    zero,
)
from torch_ref import masks
from torch_ref.attention import Attention

_QKV = r"layers\.\d+\.attention\.(query|key|value|relative\.position_(query|key))"
# Where a projection is used: disentangled attention may put the distances through it, too.
_USES = {
    "query": r"(query|relative\.position_query)",
    "key": r"(key|relative\.position_key)",
    "value": "value",
    "out": "output",
}


def _site(name: str, layer: str = r"\d+") -> str:
    return rf"layers\.{layer}\.attention\.{name}"


def _scaled(factor: Any) -> tuple[Plant, Plant]:
    """Scores of another scale; `factor` is of the module's own, by the config's or module's sizes."""

    def plant(model: Any, patch: Patch) -> None:
        config = model.encoder.config
        matched(filled(LOWEST), factor(config.embed_dim, config.head_dim))(model, patch)

    def in_jax(plot: JaxPlot, patch: Patch) -> None:
        plain = jax_encoder.attention.Attention._scores
        scale = factor(plot.config.embed_dim, plot.config.head_dim)
        patch.set(jax_encoder.attention.Attention, "_scores", lambda self, query, key: plain(self, query, key) * scale)

    return plant, in_jax


def _scaled_anyway(model: Any, _: Patch) -> None:
    products = 1 if applies.scores_are_one_product(model.form) else 3
    for attention in every(model, Attention):
        attention.divisor = math.sqrt(products * attention.head_dim)


def _heads_behind_channels(self: Attention, x: Tensor) -> Tensor:
    return x.unflatten(-1, (self.head_dim, -1)).transpose(2, 3)


def _our_heads_behind_channels(plot: JaxPlot, _: Patch) -> None:
    def reordered(array: np.ndarray) -> np.ndarray:
        return array.reshape(*array.shape[:-2], array.shape[-1], array.shape[-2]).swapaxes(-1, -2)

    for name in ("query", "key", "value", "position_query", "position_key"):
        plot.change(f"attention.{name}.kernel", reordered)
        plot.change(f"attention.{name}.bias", reordered)


def _one_head(model: nn.Module, _: Patch) -> None:
    for attention in every(model, Attention):
        attention.num_heads, attention.head_dim = 1, attention.num_heads * attention.head_dim


def _merged_backwards(model: nn.Module, patch: Patch) -> None:
    """Heads are put behind channels when they are joined again."""
    for attention in every(model, Attention):
        N, H = attention.num_heads, attention.head_dim
        weight = attention.out.weight.data
        attention.out.weight.data = weight.unflatten(1, (H, N)).transpose(1, 2).flatten(1).clone()


def _our_merged_backwards(plot: JaxPlot, _: Patch) -> None:
    def reordered(kernel: np.ndarray) -> np.ndarray:
        *lead, N, H, D = kernel.shape
        return kernel.reshape(*lead, H, N, D).swapaxes(-2, -3)

    plot.change("attention.out.kernel", reordered)


def _transposed(name: str) -> Plant:
    """Read in the other order of axes; the shape stays, so that no check of shapes sees it."""

    def plant(model: nn.Module, _: Patch) -> None:
        for attention in every(model, Attention):
            weight = getattr(attention, name).weight
            weight.data = weight.data.T.reshape(weight.shape).clone()

    return plant


def _narrower(by: int) -> Plant:
    def plant(model: nn.Module, _: Patch) -> None:
        for attention in every(model, Attention):
            attention.window = attention.window and attention.window + by

    return plant


def _our_narrower(by: int) -> Plant:
    return lambda plot, _: plot.configure(windows=tuple(w and w + by for w in plot.config.windows))


def _to_the_left(mask: Tensor, width: int | None) -> Tensor:
    return mask if width is None else mask & torch.ones_like(mask).tril().triu(-width)


def _causal(plain: Callable) -> Callable:
    return lambda mask, width: plain(mask, width).tril()


def _bias_dropped(name: str, **rest: Any) -> ModelBug:
    return ModelBug(
        name=f"{name}-bias-dropped",
        mistake=f"the bias of the {'output' if name == 'out' else name} projection not loaded",
        where=_site(_USES[name]),
        plant=zero(f".attention.{name}.bias"),
        in_jax=lambda plot, _: plot.change(f".attention.{name}.bias", lambda bias: bias * 0),
        applies=applies.has(attention_bias=True),
        **rest,
    )


def _swap(name: str, one: str, other: str, **rest: Any) -> ModelBug:
    return ModelBug(
        name=name,
        mistake=f"{one} projection uses the {other} weights, and the reverse",
        where=_site(f"({_USES[one]}|{_USES[other]})"),
        plant=swapped(Attention, one, other),
        in_jax=lambda plot, _: plot.swap(f"attention.{one}.", f"attention.{other}."),
        **rest,
    )


def _scale_bug(name: str, mistake: str, factor: Any) -> ModelBug:
    plant, in_jax = _scaled(factor)
    other = applies.on(lambda config: factor(config.embed_dim, config.head_dim) != 1)
    needs = applies.every(other, applies.has(scale_scores=True), applies.scores_are_one_product)
    return ModelBug(name=name, mistake=mistake, where=_site("scores"), plant=plant, in_jax=in_jax, applies=needs)


ATTENTION_BUGS = (
    ModelBug(
        name="heads-order",
        mistake="heads split as (H, N) instead of (N, H)",
        source="flax#2011",
        where=_QKV,
        plant=patched(Attention, "_split_heads", _heads_behind_channels),
        in_jax=_our_heads_behind_channels,
        applies=applies.several_heads,
    ),
    ModelBug(
        name="heads-missing",
        mistake="the projection never split into heads",
        where=_QKV,
        plant=_one_head,
        # A bias or a mask of dropout for every head, keys that heads share, frequencies of a head's width: they do not
        # fit one head.
        applies=applies.every(
            applies.several_heads,
            applies.own_keys,
            applies.keeps_all_weights,
            applies.has(relative_kind=None, rope_frequencies=()),
        ),
    ),
    ModelBug(
        name="heads-merged-backwards",
        mistake="heads joined as (H, N) instead of (N, H) before the output projection",
        where=_site("output"),
        plant=_merged_backwards,
        in_jax=_our_merged_backwards,
        applies=applies.several_heads,
    ),
    _swap("qkv-order", "query", "value", source="nobuco#46", applies=applies.own_keys),
    _swap("key-value-swapped", "key", "value"),
    _swap("query-key-swapped", "query", "key", applies=applies.own_keys),
    *(
        ModelBug(
            name=f"{name}-kernel-transposed",
            mistake=f"the kernel of the {name} projection not transposed",
            source="tiny-llm#41",
            where=_site(site),
            plant=_transposed(name),
        )
        for name, site in _USES.items()
    ),
    _scale_bug("scale-embed-dim", "scores scaled by 1/sqrt(D) for 1/sqrt(H)", lambda D, H: math.sqrt(H / D)),
    _scale_bug("scale-missing", "scores not scaled", lambda D, H: math.sqrt(H)),
    _scale_bug("scale-twice", "scores scaled twice", lambda D, H: 1 / math.sqrt(H)),
    ModelBug(
        name="scale-added",
        mistake="scores scaled by 1/sqrt(H) where they are not, as in T5",
        where=_site(r"(scores|relative\.(content_to_position|position_to_content))"),
        first=_site("scores", "0"),
        plant=_scaled_anyway,
        in_jax=lambda plot, _: plot.configure(scale_scores=True),
        variant="t5",
        applies=applies.has(scale_scores=False),
    ),
    *map(_bias_dropped, _USES),
    ModelBug(
        name="softmax-low-precision",
        mistake="softmax in bfloat16",
        where=_site("weights"),
        plant=matched(masked_as_ever(lambda s, mask: s.bfloat16().softmax(-1).double().masked_fill(~mask, 0))),
    ),
    ModelBug(
        name="softmax-over-queries",
        mistake="softmax over the queries instead of the keys",
        where=_site("weights"),
        plant=matched(masked_as_ever(lambda s, mask: s.softmax(-2).masked_fill(~mask, 0))),
    ),
    *(
        ModelBug(
            name=name,
            mistake=mistake,
            where=_site("(masked_scores|weights)"),
            first=_site("masked_scores"),
            plant=_narrower(by),
            in_jax=_our_narrower(by),
            variant="windows",
            case="longer-than-window",
            applies=needed,
        )
        for name, mistake, by, needed in (
            ("window-off-by-one", "a window one key too narrow", -1, applies.windows_can_narrow),
            ("window-too-wide", "a window one key too wide", 1, applies.has_windows),
        )
    ),
    ModelBug(
        name="window-one-sided",
        mistake="a window to the left only",
        source="jax#39576",
        where=_site("(masked_scores|weights)"),
        first=_site("masked_scores"),
        plant=patched(masks, "window", _to_the_left),
        variant="windows",
        applies=applies.has_windows,
    ),
    ModelBug(
        name="window-missing",
        mistake="no window",
        where=_site("(masked_scores|weights)"),
        first=_site("masked_scores"),
        plant=set_on(Attention, window=None),
        in_jax=lambda plot, _: plot.configure(windows=(None,) * plot.config.num_layers),
        variant="windows",
        case="longer-than-window",
        applies=applies.has_windows,
    ),
    ModelBug(
        name="causal-left-on",
        mistake="a causal mask in an encoder",
        where=_site("(masked_scores|weights)"),
        first=_site("masked_scores"),
        plant=wrapped(masks, "window", _causal),
        applies=applies.some_layer_sees_all,  # elsewhere it is a window to the left only
    ),
)
