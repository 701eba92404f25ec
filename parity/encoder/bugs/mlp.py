"""Mistakes in the MLP and its activation."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import torch
from torch import Tensor
from torch.nn import functional

import jax_encoder.classifier
import jax_encoder.heads
import jax_encoder.mlp
from jax_encoder.config import Activation
from parity.encoder.bugs import applies
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch
from parity.encoder.bugs.plant import Plant, every, set_on, swapped, zero
from torch_ref.classifier import Classifier
from torch_ref.heads import MLMHead
from torch_ref.mlp import ACTIVATIONS, MLP

_ACTIVATION = r"layers\.\d+\.mlp\.post_activation|(head|classifier)\.activation"
_FIRST = r"layers\.0\.mlp\.post_activation"
_GELUS: tuple[Activation, ...] = ("gelu_exact", "gelu_tanh")


def _activation(function: Callable[[Tensor], Tensor], of: tuple[Activation, ...]) -> Plant:
    """Another function wherever a part has one of these activations."""

    def plant(model: Any, _: Patch) -> None:
        right = [ACTIVATIONS[one] for one in of]
        for module in (*every(model, MLP), *every(model, MLMHead), *every(model, Classifier)):
            if module.activation in right:
                module.activation = function

    return plant


def _our_activation(function: Callable, of: tuple[Activation, ...]) -> Plant:
    def plant(_: JaxPlot, patch: Patch) -> None:
        changed: Any = dict.fromkeys(of, function)
        patch.set(jax_encoder.mlp, "ACTIVATIONS", jax_encoder.mlp.ACTIVATIONS | changed)
        patch.set(jax_encoder.heads, "ACTIVATIONS", jax_encoder.heads.ACTIVATIONS | changed)
        patch.set(jax_encoder.classifier, "_ACTIVATIONS", jax_encoder.classifier._ACTIVATIONS | changed)

    return plant


def _bug(
    name: str, mistake: str, functions: tuple[Callable, Callable], of: tuple[Activation, ...], **rest: Any
) -> ModelBug:
    theirs, ours = functions
    return ModelBug(
        name=name,
        mistake=mistake,
        where=_ACTIVATION,
        plant=_activation(theirs, of),
        in_jax=_our_activation(ours, of),
        first=_FIRST,
        applies=applies.uses(*of),
        **rest,
    )


MLP_BUGS = (
    _bug(
        "gelu-tanh",
        "tanh GELU for the exact one",
        (partial(functional.gelu, approximate="tanh"), partial(jax.nn.gelu, approximate=True)),
        ("gelu_exact",),
        source="spd#624, transformers#11364",
    ),
    _bug(
        "gelu-exact",
        "exact GELU for the tanh one",
        (functional.gelu, partial(jax.nn.gelu, approximate=False)),
        ("gelu_tanh",),
        source="pocket-tts#278",
        variant="gelu-tanh",
    ),
    _bug(
        "gelu-quick",
        "quick GELU, x * sigmoid(1.702 x)",
        (lambda x: x * torch.sigmoid(1.702 * x), lambda x: x * jax.nn.sigmoid(1.702 * x)),
        _GELUS,
    ),
    _bug("relu-for-gelu", "ReLU for GELU", (functional.relu, jax.nn.relu), _GELUS),
    _bug("silu-for-gelu", "SiLU for GELU", (functional.silu, jax.nn.silu), _GELUS, variant="gated"),
    _bug(
        "gelu-for-silu",
        "GELU for SiLU",
        (functional.gelu, partial(jax.nn.gelu, approximate=False)),
        ("silu",),
        variant="silu",
    ),
    ModelBug(
        name="activation-missing",
        mistake="no activation in the MLP",
        where=r"layers\.\d+\.mlp\.post_activation",
        # Adding 0 makes another tensor: a value of its own, as the right function makes one.
        plant=set_on(MLP, activation=lambda x: x + 0),
    ),
    ModelBug(
        name="gate-order",
        mistake="gate and up halves of the gated MLP swapped",
        where=r"layers\.\d+\.mlp\.(pre_activation|up)",
        plant=swapped(MLP, "gate", "up"),
        in_jax=lambda plot, _: plot.swap(".gate.", ".up."),
        variant="gated",
        first=r"layers\.0\.mlp\.pre_activation",
        applies=applies.has(mlp_kind="gated"),
    ),
    ModelBug(
        name="mlp-up-bias-dropped",
        mistake="the bias of the MLP's widening projection not loaded",
        where=r"layers\.\d+\.mlp\.(pre_activation|up)",
        plant=zero("mlp.up.bias"),
        in_jax=lambda plot, _: plot.change("mlp.up.bias", lambda bias: bias * 0),
        applies=applies.has(mlp_bias=True),
    ),
    ModelBug(
        name="mlp-gate-bias-dropped",
        mistake="the bias of the MLP's gate not loaded",
        where=r"layers\.\d+\.mlp\.pre_activation",
        plant=zero("mlp.gate.bias"),
        in_jax=lambda plot, _: plot.change("mlp.gate.bias", lambda bias: bias * 0),
        variant="gated",
        applies=applies.has(mlp_bias=True, mlp_kind="gated"),
    ),
    ModelBug(
        name="mlp-bias-dropped",
        mistake="the bias of the MLP's output not loaded",
        where=r"layers\.\d+\.mlp\.output",
        plant=zero("mlp.down.bias"),
        in_jax=lambda plot, _: plot.change("mlp.down.bias", lambda bias: bias * 0),
        applies=applies.has(mlp_down_bias=True),
    ),
)
