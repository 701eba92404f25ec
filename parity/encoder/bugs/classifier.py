"""Mistakes in what scores classes: which vector it reads, its transform, its parameters."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import jax_encoder.classifier
import torch_ref.classifier
from parity.encoder.bugs.applies import classifier as has
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch, Plant
from parity.encoder.bugs.plant import patched, wrapped, zero
from torch_ref import masks

Ours, Theirs = jax_encoder.classifier.Classifier, torch_ref.classifier.Classifier

_TRANSFORM = r"classifier\.(transform|activation)"
_MEAN = r"classifier\.(pooled|late_pooled)"


def _pooling(kind: str) -> tuple[Plant, Plant]:
    def plant(model: Any, _: Patch) -> None:
        model.classifier.pooling = kind

    return plant, lambda plot, _: plot.classify(pooling=kind)


def _mean(function: Callable, ours: Callable) -> tuple[Plant, Plant]:
    """Another mean over positions in the classifier; both take (x [B T D], valid [B T])."""
    return patched(torch_ref.classifier, "mean_pool", function), patched(jax_encoder.classifier, "mean_pool", ours)


def _backwards(plain: Callable) -> Callable:
    """The last position in the place of the first; both frameworks flip alike."""

    def last(self: Any, x: Any, valid: Any) -> Any:
        flip = jnp.flip if isinstance(x, jax.Array) else torch.flip
        return plain(self, flip(x, (1,)), flip(valid, (1,)))

    return last


def _early(self: Any, x: Tensor, valid: Tensor) -> Any:
    transform = self.transform(torch_ref.classifier.mean_pool(x, valid))
    activation = self.activation(transform)
    norm = None if self.norm is None else self.norm(activation)
    pooled = (activation if norm is None else norm) + 0
    logits = self.output(pooled)
    return logits, torch_ref.ClassifierTaps(None, transform, activation, norm, pooled, logits)


def _our_early(self: Any, x: Any, valid: Any) -> Any:
    transform = self.transform(jax_encoder.classifier.mean_pool(x, valid))
    activation = jax_encoder.classifier._ACTIVATIONS[self.config.activation](transform)
    norm = None if self.norm is None else self.norm(activation)
    pooled = (activation if norm is None else norm) + 0
    logits = self.output(pooled)
    return logits, jax_encoder.classifier.ClassifierTaps(None, transform, activation, norm, pooled, logits)


def _as_it_came(x: Any) -> Any:
    return x + 0  # a value of its own, as what is left out makes one


def _activation(function: Callable, ours: Callable) -> tuple[Plant, Plant]:
    def plant(model: Any, _: Patch) -> None:
        model.classifier.activation = function

    def in_jax(_: JaxPlot, patch: Patch) -> None:
        every = dict.fromkeys(jax_encoder.classifier._ACTIVATIONS, ours)
        patch.set(jax_encoder.classifier, "_ACTIVATIONS", every)

    return plant, in_jax


class _HandsOn(nn.Module):
    """A part that is left out."""

    def forward(self, x: Tensor) -> Tensor:
        return _as_it_came(x)


def _without_norm(model: Any, _: Patch) -> None:
    model.classifier.norm = _HandsOn()


def _without_transform(model: Any, _: Patch) -> None:
    model.classifier.transform, model.classifier.activation = _HandsOn(), _as_it_came


def _our_without(part: str) -> Plant:
    def in_jax(_: JaxPlot, patch: Patch) -> None:
        plain: Any = Ours.__call__

        def call(self: Any, x: Any, valid: Any) -> Any:
            parts = {name: getattr(self, name) for name in ("config", "transform", "norm", "output")}
            return plain(SimpleNamespace(**parts | {part: _as_it_came}), x, valid)

        patch.set(Ours, "__call__", call)

    return in_jax


def _our_without_transform(plot: JaxPlot, patch: Patch) -> None:
    _our_without("transform")(plot, patch)
    _activation(_as_it_came, _as_it_came)[1](plot, patch)


def _never_loaded(model: Any, _: Patch) -> None:
    torch.manual_seed(0)
    model.classifier = Theirs(model.encoder.config, model.form.classifier).double()


def _classes_reversed(model: Any, _: Patch) -> None:
    output = model.classifier.output
    output.weight.data, output.bias.data = output.weight.data.flip(0), output.bias.data.flip(0)


def _our_classes_reversed(plot: JaxPlot, _: Patch) -> None:
    plot.change("classifier.output.kernel", lambda kernel: kernel[:, ::-1])
    plot.change("classifier.output.bias", lambda bias: bias[::-1])


def _kernel_transposed(model: Any, _: Patch) -> None:
    weight = model.classifier.transform.weight
    weight.data = weight.data.T.clone()


def _bias_dropped(part: str, site: str, **rest: Any) -> ModelBug:
    return ModelBug(
        name=f"classifier-{part}-bias-dropped",
        mistake=f"the bias of the classifier's {part} not loaded",
        where=rf"classifier\.{site}",
        plant=zero(f"classifier.{part}.bias"),
        in_jax=lambda plot, _: plot.change(f"classifier.{part}.bias", lambda bias: bias * 0),
        **rest,
    )


def _bug(name: str, mistake: str, where: str, plants: tuple[Plant, Plant], **rest: Any) -> ModelBug:
    plant, in_jax = plants
    return ModelBug(name=f"classifier-{name}", mistake=mistake, where=where, plant=plant, in_jax=in_jax, **rest)


_POOLS = has(pooling=lambda pooling: pooling in ("mean", "late"))
_BENDS = has(activation=lambda activation: activation is not None)

CLASSIFIER_BUGS = (
    _bug(
        "pools-mean",
        "the classifier reads the mean of all positions instead of the first",
        r"classifier\.pooled",
        _pooling("mean"),
        applies=has(pooling="first"),
    ),
    _bug(
        "pools-first",
        "the classifier reads the first position instead of the mean",
        r"classifier\.pooled",
        _pooling("first"),
        variant="gelu-tanh",
        applies=has(pooling="mean"),
    ),
    _bug(
        "last-token",
        "the classifier reads the last position for the first",
        r"classifier\.pooled",
        (wrapped(Theirs, "forward", _backwards), wrapped(Ours, "__call__", _backwards)),
        applies=has(pooling="first"),
    ),
    _bug(
        "counts-padding",
        "the classifier's mean counts the padding",
        _MEAN,
        _mean(lambda x, _: x.mean(dim=1), lambda x, _: x.mean(axis=1)),
        variant="gelu-tanh",
        applies=_POOLS,
    ),
    _bug(
        "divides-by-length",
        "the classifier's mean divides by the row's length instead of its tokens",
        _MEAN,
        _mean(
            lambda x, valid: masks.blank(x, valid).sum(dim=1) / x.shape[1],
            lambda x, valid: jax_encoder.masks.zero_where_not(valid, x).mean(axis=1),
        ),
        variant="gated",
        applies=_POOLS,
    ),
    _bug(
        "mean-early",
        "the classifier's mean taken before the transform instead of after it",
        r"classifier\.transform",
        (patched(Theirs, "forward", _early), patched(Ours, "__call__", _our_early)),
        variant="gated",
        applies=has(pooling="late", activation=lambda activation: activation is not None),
    ),
    _bug(
        "activation-missing",
        "no activation in the classifier",
        r"classifier\.activation",
        _activation(_as_it_came, _as_it_came),
        variant="rotary",
        applies=_BENDS,
    ),
    _bug(
        "transform-missing",
        "the classifier's transform left out",
        _TRANSFORM,
        (_without_transform, _our_without_transform),
        variant="rotary",
        applies=_BENDS,
    ),
    _bug(
        "tanh",
        "tanh for the classifier's activation",
        r"classifier\.activation",
        _activation(torch.tanh, jnp.tanh),
        variant="gelu-tanh",
        applies=has(activation=lambda activation: activation not in (None, "tanh")),
    ),
    _bug(
        "gelu",
        "GELU for the classifier's activation",
        r"classifier\.activation",
        _activation(functional.gelu, partial(jax.nn.gelu, approximate=False)),
        variant="rotary",
        applies=has(activation=lambda activation: activation in ("tanh", "relu")),
    ),
    _bug(
        "relu",
        "ReLU for the classifier's activation",
        r"classifier\.activation",
        _activation(functional.relu, jax.nn.relu),
        variant="rotary",
        applies=has(activation=lambda activation: activation in ("tanh", "silu")),
    ),
    _bug(
        "norm-missing",
        "the norm of the classifier's transform left out",
        r"classifier\.norm",
        (_without_norm, _our_without("norm")),
        variant="gelu-tanh",
        applies=has(norm=True),
    ),
    ModelBug(
        name="classifier-kernel-transposed",
        mistake="the square kernel of the classifier's transform not transposed",
        where=r"classifier\.transform",
        plant=_kernel_transposed,
        in_jax=lambda plot, _: plot.change("classifier.transform.kernel", np.transpose),
        variant="rotary",
        applies=_BENDS,
    ),
    _bias_dropped("transform", "transform", variant="rotary", applies=has(transform_bias=True)),
    _bias_dropped("output", "logits", applies=has()),
    _bug(
        "classes-reversed",
        "the classes in the opposite order",
        r"classifier\.logits",
        (_classes_reversed, _our_classes_reversed),
        applies=has(num_classes=lambda classes: classes > 1),
    ),
    ModelBug(
        name="classifier-never-loaded",
        mistake="the classifier was not loaded: it stayed as initialised",
        where=r"classifier\.(transform|norm|logits)",
        plant=_never_loaded,
        variant="gelu-tanh",
        applies=has(),
    ),
)
