"""Mistakes in what heads and tables share, and in what differs from BERT's plainest form."""

from typing import Any

import jax.numpy as jnp
from torch import Tensor

import jax_encoder.attention
import jax_encoder.relative
import torch_ref.relative
from parity.encoder.bugs import applies
from parity.encoder.bugs.model import ModelBug, Patch
from parity.encoder.bugs.plant import every, patched, wrapped, zero
from torch_ref.attention import Attention

_TABLE = r"relative_bias"


def _other_way(plain: Any) -> Any:
    return lambda distances, count, max_distance: plain(-distances, count, max_distance)


def _one_sided(plain: Any) -> Any:
    return lambda distances, count, max_distance: plain(-abs(distances), count, max_distance)


def _never_longer(plain: Any) -> Any:
    """One distance to a range, the last for all that are farther."""

    def ranges(distances: Any, count: int, max_distance: int) -> Any:
        half = count // 2
        near = abs(distances).clip(0, half - 1)
        return near + half * (distances > 0)

    return ranges


def _heads_in_turn(self: Attention, x: Tensor) -> Tensor:
    return x if self.sharing == 1 else x.repeat(1, 1, self.sharing, 1)


def _our_heads_in_turn(self: Any, x: Any) -> Any:
    return x if self.sharing == 1 else jnp.tile(x, (1, self.sharing, 1, 1))


def _bias_per_layer(model: Any, _: Patch) -> None:
    """The bias reaches the first layer only, as in T5, where only the first has a table."""
    for layer in list(model.encoder.layers)[1:]:
        for attention in every(layer, Attention):
            plain = attention.forward
            attention.forward = lambda q, k, v, mask, positions, *rest, plain=plain: plain(
                q, k, v, mask, positions._replace(bias=positions.bias * 0), *rest
            )


SHARING_BUGS = (
    ModelBug(
        name="relative-reversed",
        mistake="distance of query less key for key less query",
        where=_TABLE,
        plant=wrapped(torch_ref.relative, "bucket", _other_way),
        in_jax=wrapped(jax_encoder.relative, "buckets", _other_way),
        variant="relative",
        applies=applies.has_relative_bias,
    ),
    ModelBug(
        name="relative-one-sided",
        mistake="keys behind the query given the bias of those before it",
        where=_TABLE,
        plant=wrapped(torch_ref.relative, "bucket", _one_sided),
        in_jax=wrapped(jax_encoder.relative, "buckets", _one_sided),
        variant="relative",
        applies=applies.has_relative_bias,
    ),
    ModelBug(
        name="relative-linear",
        mistake="ranges of distances that do not grow",
        where=_TABLE,
        plant=wrapped(torch_ref.relative, "bucket", _never_longer),
        in_jax=wrapped(jax_encoder.relative, "buckets", _never_longer),
        variant="relative",
        applies=applies.every(applies.has_relative_bias, applies.long_ranges),
    ),
    ModelBug(
        name="relative-first-layer-only",
        mistake="the relative bias added in the first layer only",
        where=r"layers\.\d+\.attention\.biased_scores",
        plant=_bias_per_layer,
        variant="relative",
        first=r"layers\.1\.attention\.biased_scores",
        applies=applies.every(applies.has_relative_bias, applies.first_layer_alone),
    ),
    ModelBug(
        name="keys-in-turn",
        mistake="shared keys and values dealt to the query heads in turn instead of to neighbours",
        where=r"layers\.\d+\.attention\.(scores|context|relative\.(position_key|position_to_content))",
        plant=patched(Attention, "_share", _heads_in_turn),
        in_jax=patched(jax_encoder.attention.Attention, "_shared", _our_heads_in_turn),
        variant="shared-keys",
        first=r"layers\.0\.attention\.scores",
        applies=applies.shares_keys,
    ),
    ModelBug(
        name="projection-bias-dropped",
        mistake="the bias of the embedding projection not loaded",
        where=r"embedding_projection",
        plant=zero("embedding_projection.bias"),
        in_jax=lambda plot, _: plot.change("embedding_projection.bias", lambda bias: bias * 0),
        variant="factorised",
        applies=applies.factorised,
    ),
)
