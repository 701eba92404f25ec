"""Mistakes in what dropout drops: made in ours, which draws for both sides."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jax_encoder import dropout
from parity.encoder.bugs.model import Patch
from parity.judge.bug import Bug
from parity.judge.draws import MISTAKES

_keep: Any = dropout.keep
_embedding_drop, _layer_drops = dropout.embedding_drop, dropout.layer_drops


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawsBug(Bug):
    """A mistake in the draws of dropout; `plant` makes it in our code."""

    plant: Callable[[Patch], object]


def drawing(name: str, where: str, plant: Callable[[Patch], object]) -> DrawsBug:
    """A mistake by its name, as the judge of draws calls it."""
    return DrawsBug(name=name, mistake=MISTAKES[name], where=where, plant=plant)


def _drawn_by(function: Any) -> Callable[[Patch], object]:
    """Every mask by another function of key, rate and shape."""
    return lambda patch: patch.set(dropout, "keep", function)


def _same_along(axis: int, ndim: int) -> Callable[[Patch], object]:
    """One slice along an axis of every mask with so many axes, for all."""

    def keep(key: Any, rate: float, shape: tuple[int, ...]) -> Any:
        kept = _keep(key, rate, shape)
        if len(shape) != ndim:
            return kept
        return jnp.broadcast_to(jnp.take(kept, jnp.array([0]), axis=axis), shape)

    return _drawn_by(keep)


def _same_rows(patch: Patch) -> None:
    patch.set(dropout, "keep", lambda key, rate, shape: jnp.broadcast_to(_keep(key, rate, (1, *shape[1:])), shape))


def _one_key_a_layer(patch: Patch) -> None:
    """The key of a layer is not split among its sites."""

    def layer_drops(key: Any, layer: Any, config: Any) -> dropout.LayerDrops:
        of_layer = jax.random.fold_in(key, layer)
        return _at_places(config, of_layer, of_layer, of_layer)

    patch.set(dropout, "layer_drops", layer_drops)


def _at_places(config: Any, weights: Any, attention_output: Any, mlp_output: Any) -> dropout.LayerDrops:
    """What a layer drops, by the keys of its places."""
    return dropout.LayerDrops(
        dropout.place(weights, config.attention_dropout),
        dropout.place(attention_output, config.residual_dropout),
        dropout.place(mlp_output, config.residual_dropout),
    )


def _first_layer_always(patch: Patch) -> None:
    patch.set(dropout, "layer_drops", lambda key, layer, config: _layer_drops(key, 0, config))


def _one_key_always(patch: Patch) -> None:
    """The key of the step is left out."""
    always = jax.random.key(0)
    patch.set(dropout, "layer_drops", lambda key, *rest: _layer_drops(always, *rest))
    patch.set(dropout, "embedding_drop", lambda key, *rest: _embedding_drop(always, *rest))


def _layers_and_sites_added(patch: Patch) -> None:
    """The number of a site is added to that of its layer, so that the next layer's second site has the third's key."""

    def layer_drops(key: Any, layer: Any, config: Any) -> dropout.LayerDrops:
        first = config.num_layers + 1 + layer  # after the embedding's
        return _at_places(config, *(jax.random.fold_in(key, first + site) for site in range(3)))

    patch.set(dropout, "layer_drops", layer_drops)


def _twice(key: Any, rate: float, shape: tuple[int, ...]) -> Any:
    return _keep(key, rate, shape) & _keep(jax.random.fold_in(key, 1), rate, shape)


def _residual_everywhere(patch: Patch) -> None:
    """Weights dropped at the rate of what attention puts out."""

    def layer_drops(key: Any, layer: Any, config: Any) -> dropout.LayerDrops:
        return _layer_drops(key, layer, dataclasses.replace(config, attention_dropout=config.residual_dropout))

    patch.set(dropout, "layer_drops", layer_drops)


def _periodic(key: Any, rate: float, shape: tuple[int, ...]) -> Any:
    """Every 4,096 draws are used twice, one after the other."""
    size, period = math.prod(shape), 4096
    kept = _keep(key, rate, (-(-size // (2 * period)), 1, period))
    return jnp.repeat(kept, 2, axis=1).ravel()[:size].reshape(shape)


_RATE = r"draws\.(embedding|layers\.\d+\.\w+)\.rate"

DRAWS_BUGS: tuple[DrawsBug, ...] = (
    drawing("draws-steps-alike", r"draws\.\w+\.steps", _one_key_always),
    drawing("draws-layers-alike", r"draws\.\w+\.layers", _first_layer_always),
    drawing("draws-rows-alike", r"draws\.\w+\.rows", _same_rows),
    drawing("draws-heads-alike", r"draws\.weights\.heads", _same_along(1, 4)),
    drawing("draws-queries-alike", r"draws\.weights\.queries", _same_along(2, 4)),
    drawing("draws-keys-alike", r"draws\.weights\.keys", _same_along(3, 4)),
    drawing("draws-positions-alike", r"draws\.\w+\.positions", _same_along(1, 3)),
    drawing("draws-channels-alike", r"draws\.\w+\.channels", _same_along(2, 3)),
    drawing("draws-neighbours-alike", r"draws\.\w+\.neighbours", _drawn_by(_periodic)),
    drawing("draws-sites-alike", r"draws\.sites", _one_key_a_layer),
    drawing("draws-masks-alike", r"draws\.masks", _layers_and_sites_added),
    drawing("draws-nothing", _RATE, _drawn_by(lambda key, rate, shape: jnp.ones(shape, bool))),
    drawing("draws-rate-swapped", _RATE, _drawn_by(lambda key, rate, shape: _keep(key, 1 - rate, shape))),
    drawing("draws-rate-twice", _RATE, _drawn_by(_twice)),
    drawing("draws-rate-elsewhere", r"draws\.layers\.\d+\.weights\.rate", _residual_everywhere),
)
