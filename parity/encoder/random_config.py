"""Draws models at random, for checks that no hand-made matrix would cover. Data only: no framework.

What is plainest is drawn first, so that a search that shrinks ends at BERT's form. Choices and switches are taken from
the types of the configs: a new one is drawn without an edit here.
"""

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from typing import (
    Any,
    Literal,
    NamedTuple,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

import numpy as np

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from parity.encoder.form import PLAIN, Form
from parity.encoder.variants import B, T, rounded_frequencies

Choice = TypeVar("Choice")

_EPSILONS = (1e-12, 1e-8, 1e-6, 1e-5, 1e-3)
_RATES = (0.0, 0.1, 0.3)
_THETAS = (10_000.0, 10.0, 100.0, 160_000.0)
_BUCKETS = {"bias": (4, 8, 32), "disentangled": (8, 16, 32)}
_DISTANCES = (10, 20, 128)
_CLASSES = (7, 2, 1)


@runtime_checkable
class Chooser(Protocol):
    """Where chance comes from."""

    def one_of(self, choices: Sequence[Choice]) -> Choice:
        """Any of them; the first is the plainest."""

    def integer(self, low: int, high: int) -> int:
        """From `low` to `high`, both included; the lowest is the plainest."""


class Dice(NamedTuple):
    """Chance from a generator of numpy's."""

    rng: np.random.Generator

    def one_of(self, choices: Sequence[Choice]) -> Choice:
        return choices[int(self.rng.integers(len(choices)))]

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))


class Scale(NamedTuple):
    """How large an encoder may become.

    Attributes:
        layers: at most.
        window: the longest; shorter than the inputs, so that they reach past it.
        sizes: draws vocab_size, max_len, embed_dim, table_dim, num_heads, head_dim, mlp_dim and num_token_types for the
            options and the number of layers that were drawn before.
    """

    layers: int
    window: int
    sizes: Callable[[Chooser, Mapping[str, Any]], Mapping[str, Any]]


def random_form(rng: np.random.Generator) -> Form:
    """Draws a small model of any form.

    Sizes differ from one another, from their product N * H and from the cases' batch and length, so that swapped axes
    show; windows are short enough for the cases to reach past them.
    """
    return draw_form(Dice(rng), Scale(layers=4, window=T - 2, sizes=_all_different))


def draw_form(choose: Chooser, scale: Scale) -> Form:
    """Draws an encoder and what stands on it."""
    config = draw_config(choose, scale)
    return Form(
        config,
        pooler=choose.one_of((True, False)),
        classifier=draw_classifier(choose) if choose.one_of((True, True, True, False)) else None,
        deployed=choose.one_of((False, True)),
    )


def draw_config(choose: Chooser, scale: Scale) -> EncoderConfig:
    """Draws an encoder of any form that a config allows."""
    drawn = _options(choose, EncoderConfig, EncoderConfig.tiny()) | {"num_layers": choose.integer(1, scale.layers)}
    groups = _groups(choose, drawn["num_layers"])
    _fit(drawn, groups)
    drawn |= scale.sizes(choose, drawn)
    drawn |= _ranges(choose, drawn["relative_kind"])
    # Layers that share their parameters share their form.
    windows = [choose.integer(1, scale.window) if choose.one_of((False, True)) else None for _ in set(groups)]
    thetas = [choose.one_of(_THETAS) for _ in set(groups)] if drawn["position_kind"] == "rotary" else []
    heads = drawn["num_heads"]
    rounded = len(set(thetas)) == 1 and choose.one_of((False, False, True))
    return EncoderConfig(
        **drawn,
        layer_groups=groups,
        num_key_value_heads=choose.one_of([each for each in range(heads, 0, -1) if heads % each == 0]),
        position_offset=choose.integer(0, 3) if drawn["position_kind"] == "learned" else 0,
        rope_thetas=tuple(thetas[group] for group in groups) if thetas else (),
        rope_frequencies=rounded_frequencies(thetas[0], drawn["head_dim"]) if rounded else (),
        dropped_token=choose.one_of((None, None, None, None, 0, 4)),
        windows=tuple(windows[group] for group in groups),
        norm_eps=choose.one_of(_EPSILONS),
        embedding_dropout=choose.one_of(_RATES),
        attention_dropout=choose.one_of(_RATES),
        residual_dropout=choose.one_of(_RATES),
        init_std=choose.one_of((0.02, 0.1)),
    )


def draw_classifier(choose: Chooser) -> ClassifierConfig:
    """Draws what scores classes."""
    drawn = _options(choose, ClassifierConfig, PLAIN)
    if drawn["activation"] is None:  # transform_bias and norm belong to a transform
        drawn |= {"transform_bias": False, "norm": False}
    return ClassifierConfig(num_classes=choose.one_of(_CLASSES), **drawn)


def choices(hint: Any, plain: Any) -> tuple[Any, ...]:
    """Every value of a choice or a switch, the plain one first; nothing if the type is of something else.

    >>> choices(Literal["post", "pre"] | None, "pre")
    ('pre', 'post', None)
    >>> choices(int | None, 3)
    ()
    """
    every: list[Any] = []
    for part in get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,):
        if part is type(None):
            every.append(None)
        elif part is bool:
            every += [True, False]
        elif get_origin(part) is Literal:
            every += get_args(part)
        else:
            return ()
    return tuple(sorted(every, key=lambda one: one != plain))


def _options(choose: Chooser, config: type, plain: Any) -> dict[str, Any]:
    """Every choice and every switch of a config, one by one."""
    hints = get_type_hints(config)
    every = {one.name: choices(hints[one.name], getattr(plain, one.name)) for one in dataclasses.fields(config)}
    return {name: choose.one_of(values) for name, values in every.items() if values}


def _groups(choose: Chooser, layers: int) -> tuple[int, ...]:
    """Which layers share parameters, numbered as they come: in two of three encoders, none."""
    if not choose.one_of((False, False, True)):
        return tuple(range(layers))
    drawn = [choose.integer(0, layers - 1) for _ in range(layers)]
    numbers = {group: number for number, group in enumerate(dict.fromkeys(drawn))}
    return tuple(numbers[group] for group in drawn)


def _fit(drawn: dict[str, Any], groups: tuple[int, ...]) -> None:
    """Takes back what was drawn and cannot be together."""
    if drawn["norm_order"] == "post" or len(set(groups)) < len(groups):
        drawn["first_attention_norm"] = True
    if drawn["mlm_activation"] is None:
        drawn["mlm_transform_bias"] = False
    if drawn["relative_kind"] != "disentangled":
        drawn |= {"relative_norm": False, "relative_projections": False}
    elif drawn["position_kind"] == "rotary":
        drawn["position_kind"] = "none"


def _ranges(choose: Chooser, kind: str | None) -> dict[str, Any]:
    """The table of distances that a relative kind has."""
    if kind not in _BUCKETS:
        return {"relative_buckets": 0, "relative_max_distance": 0}
    buckets = choose.one_of(_BUCKETS[kind])
    return {"relative_buckets": buckets, "relative_max_distance": max(buckets, choose.one_of(_DISTANCES))}


def _all_different(choose: Chooser, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Draws until no two sizes are equal; positions in pairs of channels need an even width."""
    factorised = drawn["mlm_activation"] is not None and choose.one_of((False, False, True))
    while True:
        heads = choose.integer(1, 6)
        sizes = {
            "num_token_types": choose.integer(0, 4),
            "num_heads": heads,
            "head_dim": choose.integer(2, 8) * (2 if drawn["position_kind"] == "rotary" else 1),
            "embed_dim": choose.integer(4, 16) * 2,
            "mlp_dim": choose.integer(6, 40),
            "max_len": choose.integer(T + 1, 40),
            "vocab_size": choose.integer(24, 80),
            **({"table_dim": choose.integer(4, 16) * 2} if factorised else {}),
        }
        taken = [B, T, drawn["num_layers"], *sizes.values(), *([heads * sizes["head_dim"]] if heads > 1 else [])]
        if len(set(taken)) == len(taken):
            return {"table_dim": None} | sizes
