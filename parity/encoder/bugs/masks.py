"""Mistakes in masks and pooling."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import jax_encoder
import jax_encoder.masks
import torch_ref
from parity.encoder.bugs import applies
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch, Plant
from parity.encoder.bugs.plant import LOWEST, filled, masked_as_ever, matched, patched, wrapped
from torch_ref import masks

_MASKED = r"layers\.\d+\.attention\.(masked_scores|weights)"
_FIRST = r"layers\.0\.attention\.masked_scores"


def _ours(fill: Any, softmax: Any) -> Plant:
    """Another fill and softmax on our side; both take (scores or masked scores, mask [B 1 T S])."""

    def in_jax(_: JaxPlot, patch: Patch) -> None:
        patch.set(jax_encoder.masks, "fill", lambda scores, mask: fill(scores, mask[:, None]))
        patch.set(jax_encoder.masks, "softmax", lambda masked, mask: softmax(masked, mask[:, None]))

    return in_jax


def _our_fill(value: float) -> Plant:
    def fill(scores: Any, mask: Any) -> Any:
        return jnp.where(mask, scores, jnp.asarray(value, scores.dtype))

    return _ours(fill, lambda masked, mask: jnp.where(mask, jax.nn.softmax(masked, axis=-1), 0))


def _lowest(scores: Any, mask: Any) -> Any:
    return jnp.where(mask, scores, jnp.finfo(scores.dtype).min)


def _joined(plain: Callable) -> Callable:
    return lambda mask, width: plain(masks.sees(mask)[:, :, None] & masks.seen(mask)[:, None, :], width)


def _our_documents_joined(segments: Any) -> Any:
    return (segments != 0)[:, :, None] & (segments != 0)[:, None, :]


def _keys_only(plain: Callable) -> Callable:
    return lambda mask, width: plain(masks.seen(mask)[:, None, :].expand(mask.shape), width)


def _our_pool(x: Any, valid: Any) -> Any:
    return x.mean(axis=1)


MASK_BUGS = (
    ModelBug(
        name="mask-polarity",
        mistake="a mask whose True means ignore read as attend",
        source="pytorch#86120, Megatron-Bridge#2466",
        where=_MASKED,
        plant=matched(lambda scores, mask: filled(LOWEST)(scores, ~mask)),
        in_jax=_ours(
            lambda scores, mask: _lowest(scores, ~mask),
            lambda masked, mask: jnp.where(mask, 0, jax.nn.softmax(masked, axis=-1)),
        ),
        first=_FIRST,
    ),
    ModelBug(
        name="mask-after-softmax",
        mistake="the mask applied to the weights, not renormalised",
        source="the seed article's own listing",
        where=_MASKED,
        plant=matched(lambda scores, mask: (scores, scores.softmax(-1) * mask)),
        in_jax=_ours(
            lambda scores, _: scores, lambda masked, mask: jax.nn.softmax(masked, axis=-1) * mask.astype(masked.dtype)
        ),
        first=_FIRST,
    ),
    ModelBug(
        name="mask-both-values",
        mistake="-inf at the positions of 0 and of 1",
        source="the seed article's own listing",
        where=_MASKED,
        plant=matched(lambda s, mask: (s - math.inf, (s - math.inf).softmax(-1))),
        first=_FIRST,
    ),
    ModelBug(
        name="mask-added-as-given",
        mistake="a 0/1 mask added to the scores",
        source="the seed article's own listing",
        where=_MASKED,
        plant=matched(lambda s, mask: (s + mask, (s + mask).softmax(-1))),
        in_jax=_ours(lambda s, mask: s + mask.astype(s.dtype), lambda masked, _: jax.nn.softmax(masked, axis=-1)),
        first=_FIRST,
    ),
    ModelBug(
        name="mask-multiplied",
        mistake="scores multiplied by a 0/1 mask before the softmax",
        where=_MASKED,
        plant=matched(lambda s, mask: (s * mask, (s * mask).softmax(-1))),
        in_jax=_ours(lambda s, mask: s * mask.astype(s.dtype), lambda masked, _: jax.nn.softmax(masked, axis=-1)),
        first=_FIRST,
    ),
    ModelBug(
        name="mask-overflow",
        mistake="a fill of -inf: NaN where a query may attend to nothing",
        source="flax#982, transformers#17306",
        where=_MASKED,
        plant=matched(filled(-math.inf)),
        case="fully-masked-row",
        first=_FIRST,
    ),
    ModelBug(
        name="mask-small-constant",
        mistake="a fill of -1e4, which leaks once scores are large",
        source="transformers#17306",
        where=_MASKED,
        plant=matched(filled(-1e4)),
        in_jax=_our_fill(-1e4),
        first=_FIRST,
    ),
    ModelBug(
        name="mask-empty-row",
        mistake="uniform weights for a query that may attend to nothing",
        source="pytorch#190486, #103749",
        where=r"layers\.\d+\.attention\.weights",
        plant=matched(masked_as_ever(lambda masked, _: masked.softmax(-1))),
        in_jax=_ours(_lowest, lambda masked, _: jax.nn.softmax(masked, axis=-1)),
        case="fully-masked-row",
    ),
    ModelBug(
        name="mask-key-only",
        mistake="only the keys of a mask used: what each query may attend to is lost",
        # A norm without a bias leaves padding 0, so that what a query then reads shows in its derivative alone.
        where=rf"layers\.\d+\.attention\.query|{_MASKED}|d\(\w+\)/d\((embedding\.(norm|total)|layers\.\d+\.attention_norm)\)",
        plant=wrapped(masks, "window", _keys_only),
        case="holes",
        first=r"layers\.0\.attention\.query",
    ),
    ModelBug(
        name="mask-nan-leak",
        mistake="what stands at padding not zeroed, so that NaN there would reach tokens: times weight 0 it is NaN",
        source="pytorch#101967",
        where=r"embedding\.(word|total)|layers\.\d+\.attention\.(query|key|value)|mean_pool|"
        r"classifier\.(pooled|late_pooled)",
        plant=patched(masks, "blank", lambda x, _: x),
        in_jax=patched(jax_encoder.masks, "zero_where_not", lambda _, x: x),
        case="nan-padding",
        first=r"embedding\.word",
    ),
    ModelBug(
        name="pack-leak",
        mistake="attention across documents packed into one row",
        source="MaxText#4476, NeoBERT",
        where=_MASKED,
        plant=wrapped(masks, "window", _joined),
        in_jax=patched(jax_encoder.masks, "from_segments", _our_documents_joined),
        case="packed",
        first=_FIRST,
    ),
    ModelBug(
        name="pool-mask-ignored",
        mistake="mean pooling counts the padding",
        where="mean_pool",
        plant=patched(torch_ref, "mean_pool", lambda x, _: x.mean(dim=1)),
        in_jax=patched(jax_encoder, "mean_pool", _our_pool),
    ),
    ModelBug(
        name="pool-divides-by-length",
        mistake="mean pooling divides by the row's length instead of its tokens",
        where="mean_pool",
        plant=patched(torch_ref, "mean_pool", lambda x, valid: masks.blank(x, valid).sum(dim=1) / x.shape[1]),
    ),
    ModelBug(
        name="pooler-last-token",
        mistake="the pooler reads the last token for the first",
        where=r"pooler\.dense",
        plant=patched(
            torch_ref.Pooler,
            "forward",
            lambda self, x: (self.dense(x[:, -1]).tanh(), torch_ref.PoolerTaps(y := self.dense(x[:, -1]), y.tanh())),
        ),
        applies=applies.has_pooler,
    ),
)
