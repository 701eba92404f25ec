"""Our draws of dropout by themselves: the reference is given them, so comparing both sides says nothing of them.

Axes: B batch, T query position, S key position, N heads, D embed_dim, E width of the tables.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_encoder import dropout
from jax_encoder.config import EncoderConfig
from parity.errors import MismatchError
from parity.graph import programs
from parity.judge import chance
from parity.judge.check import attempt
from parity.judge.crash import running
from parity.judge.draws import OUTER, Drawn, judge_draws
from parity.judge.verdict import Run

CASE = "draws"

# Every step has its own key, of which a check of one encoder takes so many.
STEPS = 64

# The config's rate of every place, and what the axes of one mask of it are.
_RATES = {
    "embedding": "embedding_dropout",
    "weights": "attention_dropout",
    "attention_output": "residual_dropout",
    "mlp_output": "residual_dropout",
}
_AXES = {"weights": ("row", "head", "query", "key")}
_WITHIN = ("row", "position", "channel")

# Rows are drawn for a check of so many comparisons.
_COMPARISONS = 1000

# As many at most, for each is compared with each; where they are too few, the run says so.
_ROWS = 4096

Keys = Sequence[Sequence[jax.Array]]  # by step, then by micro-batch


class LayerMasks(NamedTuple):
    """What one layer keeps, True = kept; None where its rate is 0. Places are called as in `dropout.LayerDrops`."""

    weights: jax.Array | None
    attention_output: jax.Array | None
    mlp_output: jax.Array | None


def drawn_masks(
    config: EncoderConfig, shape_BT: tuple[int, int], key: jax.Array
) -> tuple[jax.Array | None, tuple[LayerMasks, ...]]:
    """What dropout keeps for one key: of the embeddings, and in every layer."""
    (B, T), D = shape_BT, config.embed_dim
    shapes = (B, config.num_heads, T, T), (B, T, D), (B, T, D)
    drops = [dropout.layer_drops(key, layer, config) for layer in range(config.num_layers)]
    embedding = _mask(dropout.embedding_drop(key, config), (B, T, config.table_width))
    return embedding, tuple(LayerMasks(*map(_mask, of_layer, shapes)) for of_layer in drops)


def _mask(drop: dropout.Drop | None, shape: tuple[int, ...]) -> jax.Array | None:
    return None if drop is None else dropout.keep(drop.key, drop.rate, shape)


def check_draws(variant: str, config: EncoderConfig, keys: Keys | None = None) -> Run:
    """Judges what our side drops.

    Args:
        variant: name of the run.
        config: of the encoder; at least one of its rates is above 0.
        keys: of dropout, as many of every step; None takes one for each of `STEPS` steps.
    """
    return attempt(variant, CASE, functools.partial(_judged, variant, config, keys))


def _judged(variant: str, config: EncoderConfig, keys: Keys | None) -> Run:
    with running("JAX"):
        keys = [[jax.random.key(step)] for step in range(STEPS)] if keys is None else keys
        shapes = _shapes(config, len(keys) * len(keys[0]))
        shape_BT = max(rows for rows, *_ in shapes.values()), config.head_dim
        # Compiled anew every time: a mistake may be planted in what is called.
        draw = programs.well(lambda key: drawn_masks(config, shape_BT, key))
        kept = [[jax.device_get(draw(key)) for key in step] for step in keys]
    return judge_draws(variant, CASE, list(_drawn(config, shapes, kept)))


def _shapes(config: EncoderConfig, masks: int) -> dict[str, tuple[int, ...]]:
    """What of one mask of every place is looked at: of so many, as many rows as it takes to tell a wrong rate.

    Rows are as long as a head is wide: then there are as many weights as values.
    """
    T, N, D = config.head_dim, config.num_heads, config.embed_dim
    rows = {
        "embedding": (T, config.table_width),
        "weights": (N, T, T),
        "attention_output": (T, D),
        "mlp_output": (T, D),
    }
    shapes = {}
    for place, row in rows.items():
        rate = getattr(config, _RATES[place])
        if rate:
            needed = chance.enough(rate, chance.FALSE_ALARM / _COMPARISONS)
            shapes[place] = (min(max(2, math.ceil(needed / (masks * math.prod(row)))), _ROWS), *row)
    return shapes


def _drawn(config: EncoderConfig, shapes: Mapping[str, tuple[int, ...]], kept: Sequence[Sequence]) -> Iterator[Drawn]:
    """What is dropped at every place that has a rate, by step, micro-batch and layer.

    Raises:
        MismatchError: something is dropped at a place that has none, or a mask has another shape.
    """
    for place, name in _RATES.items():
        inside = place in LayerMasks._fields
        masks = [
            [[getattr(layer, place) for layer in layers] if inside else embedding for embedding, layers in step]
            for step in kept
        ]
        if place in shapes:
            dropped = np.array(_each(masks, functools.partial(_dropped, place, shapes[place])))
            axes = (*OUTER[: 2 + inside], *_AXES.get(place, _WITHIN))
            yield Drawn(place, getattr(config, name), axes, dropped)
        elif any(not mask.all() for mask in jax.tree.leaves(masks)):
            raise MismatchError(f"{place} drops although its rate is 0")


def _each(masks: Any, function: Callable[[Any], np.ndarray]) -> Any:
    """Lists of lists of masks, each mask as the function has it."""
    return [_each(one, function) for one in masks] if isinstance(masks, list) else function(masks)


def _dropped(place: str, shape: tuple[int, ...], kept: np.ndarray | None) -> np.ndarray:
    """The opposite of the first rows; None drops nothing, and what is shared along an axis is repeated there."""
    if kept is None:
        return np.zeros(shape, bool)
    try:
        return np.broadcast_to(~kept[: shape[0]], shape)
    except ValueError as error:
        raise MismatchError(f"a mask of {place} has shape {kept.shape}, must be {shape} or more rows") from error
