"""Mistakes in which parameters a layer runs with."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import jax_encoder.encoder
from jax_encoder.config import EncoderConfig
from parity.encoder.bugs import applies
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch, Plant
from parity.encoder.form import Form

# What a layer computes from parameters.
FROM_PARAMETERS = (
    r"layers\.\d+\.(attention\.(query|key|value|relative\.position_(query|key)|output)|(attention|mlp)_norm|"
    r"mlp\.(pre_activation|up|output))"
)
_GRADIENTS = r"d\(\w+\)/d\(encoder\.layers\.\d+\.\w+(\.\w+)?\.(weight|bias)\)"

Sources = Callable[[int], list[int]]  # of so many sets of parameters, which one each set is given
Groups = Callable[[EncoderConfig], tuple[int, ...]]  # which set of parameters each layer runs with


def _given(sources: Sources) -> tuple[Plant, Plant]:
    """Sets of parameters in one another's place; what else belongs to a layer, as its window, stays."""

    def plant(model: Any, _: Patch) -> None:
        layers = model.encoder.layers
        kept = [copy.deepcopy(layer.state_dict()) for layer in layers]
        for layer, source in zip(layers, sources(len(layers)), strict=True):
            layer.load_state_dict(kept[source])

    def in_jax(plot: JaxPlot, _: Patch) -> None:
        for name in [name for name in plot.params if name.startswith("encoder.layers.")]:
            plot.params[name] = np.ascontiguousarray(plot.params[name][sources(len(plot.params[name]))])

    return plant, in_jax


def _running(groups: Groups) -> tuple[Plant, Plant]:
    """Layers that run with other sets than the config says; it would refuse such an order."""

    def plant(model: Any, _: Patch) -> None:
        config = copy.copy(model.encoder.config)
        object.__setattr__(config, "layer_groups", groups(config))
        model.encoder.config = config

    def in_jax(plot: JaxPlot, patch: Patch) -> None:
        plain, wrong = jax_encoder.encoder._forms, groups(plot.config)

        def forms(config: Any, dtype: Any) -> Any:
            return [form._replace(group=group) for form, group in zip(plain(config, dtype), wrong, strict=True)]

        patch.set(jax_encoder.encoder, "_forms", forms)

    return plant, in_jax


def _next(count: int) -> list[int]:
    return [(index + 1) % count for index in range(count)]


def _backwards(count: int) -> list[int]:
    return list(reversed(range(count)))


def _of_the_next_layer(config: EncoderConfig) -> tuple[int, ...]:
    return config.layer_groups[1:] + config.layer_groups[:1]


def _in_turn(config: EncoderConfig) -> tuple[int, ...]:
    return tuple(layer % len(set(config.layer_groups)) for layer in range(config.num_layers))


def _in_blocks(config: EncoderConfig) -> tuple[int, ...]:
    count = len(set(config.layer_groups))
    return tuple(layer * count // config.num_layers for layer in range(config.num_layers))


def _own(least: int) -> applies.Applies:
    """Every layer has parameters of its own, and there are so many or more."""
    return applies.every(applies.groups(least), applies.on(lambda config: not _shared(config)))


def _sharing(least: int) -> applies.Applies:
    """Layers share so many sets of parameters or more."""
    return applies.every(applies.groups(least), applies.on(_shared))


def _shared(config: EncoderConfig) -> bool:
    return len(set(config.layer_groups)) < config.num_layers


def _regrouped(groups: Groups) -> applies.Applies:
    """Layers share their parameters and nothing else tells them apart; dealt so, it is not what another name says."""

    def other(form: Form) -> bool:
        config, wrong = form.config, groups(form.config)
        count = len(set(config.layer_groups))
        renamed = [tuple(sources(count)[group] for group in config.layer_groups) for sources in (_next, _backwards)]
        dealt = [deal(config) for deal in (_in_turn, _in_blocks, _of_the_next_layer) if deal is not groups]
        return wrong not in (config.layer_groups, *renamed, *dealt)

    return applies.every(_sharing(2), applies.layers_are_alike, other)


def _bug(name: str, mistake: str, plants: tuple[Plant, Plant], **rest: Any) -> ModelBug:
    plant, in_jax = plants
    options: dict[str, Any] = {"where": FROM_PARAMETERS, "first": r"layers\.0\.attention\.query"} | rest
    return ModelBug(name=name, mistake=mistake, plant=plant, in_jax=in_jax, **options)


def _group_bug(name: str, mistake: str, groups: Groups, **rest: Any) -> ModelBug:
    # A set that further layers run with has another gradient, although the layers that it is for compute what is right.
    where = rf"{FROM_PARAMETERS}|{_GRADIENTS}"
    needs = _regrouped(groups)
    return _bug(name, mistake, _running(groups), where=where, applies=needs, variant="shared-layers", **rest)


def _one_never_loaded(model: Any, _: Patch) -> None:
    torch.manual_seed(0)
    layers, config = model.encoder.layers, model.encoder.config
    layers[1] = type(layers[1])(config, config.layer_groups.index(1)).double()


LAYER_BUGS = (
    _bug(
        "groups-ignored",
        "all layers run with the first one's parameters",
        _given(lambda count: [0] * count),
        variant="shared-layers",
        first=r"layers\.1\.attention\.query",
        applies=applies.groups(2),
    ),
    _bug(
        "groups-shifted",
        "layers that share parameters run with the next group's",
        _given(_next),
        variant="shared-layers",
        applies=_sharing(2),
    ),
    _bug(
        "groups-reversed",
        "groups of layers that share parameters read from the last to the first",
        _given(_backwards),
        variant="shared-layers",
        applies=_sharing(3),
    ),
    _group_bug(
        "groups-in-turn",
        "shared parameters dealt to the layers in turn instead of to neighbours",
        _in_turn,
        first=r"layers\.2\.attention\.query",
    ),
    _group_bug(
        "groups-in-blocks",
        "shared parameters dealt to neighbouring layers, as many to each",
        _in_blocks,
        first=r"layers\.1\.attention\.query",
    ),
    _group_bug(
        "groups-off-by-one",
        "every layer runs with the shared parameters of the layer after it",
        _of_the_next_layer,
    ),
    _bug(
        "layers-shifted",
        "stacked layers read off by one",
        _given(_next),
        source="MaxText",
        variant="four-layers",
        applies=_own(2),
    ),
    _bug(
        "layers-reversed",
        "stacked layers read from the last to the first",
        _given(_backwards),
        variant="four-layers",
        applies=_own(3),
    ),
    ModelBug(
        name="load-prefix",
        mistake="one layer's parameters were not loaded",
        source="transformers#12528",
        where=FROM_PARAMETERS,
        plant=_one_never_loaded,
        variant="four-layers",
        first=r"layers\.1\.attention\.query",
        applies=applies.on(lambda config: len(set(config.layer_groups)) > 1),
    ),
)
