"""Mistakes in the MLP and its activation."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import torch
from torch import Tensor
from torch.nn import functional

import jax_encoder.heads
import jax_encoder.mlp
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch
from parity.encoder.bugs.plant import Plant, every, set_on, swapped, zero
from torch_ref.heads import MLMHead
from torch_ref.mlp import ACTIVATIONS, MLP

_ACTIVATION = r"layers\.\d+\.mlp\.post_activation|head\.activation"
_FIRST = r"layers\.0\.mlp\.post_activation"


def _activation(function: Callable[[Tensor], Tensor]) -> Plant:
    def plant(model: Any, _: Patch) -> None:
        right = ACTIVATIONS[model.encoder.config.activation]
        for module in (*every(model, MLP), *every(model, MLMHead)):
            if module.activation is right:
                module.activation = function

    return plant


def _our_activation(function: Callable) -> Plant:
    def plant(plot: JaxPlot, patch: Patch) -> None:
        changed: Any = jax_encoder.mlp.ACTIVATIONS | {plot.config.activation: function}
        patch.set(jax_encoder.mlp, "ACTIVATIONS", changed)
        patch.set(jax_encoder.heads, "ACTIVATIONS", changed)

    return plant


def _bug(
    name: str, mistake: str, source: str, functions: tuple[Callable, Callable], needs: str, **rest: Any
) -> ModelBug:
    theirs, ours = functions
    return ModelBug(
        name=name,
        mistake=mistake,
        source=source,
        where=_ACTIVATION,
        plant=_activation(theirs),
        in_jax=_our_activation(ours),
        first=_FIRST,
        needs=(("activation", needs),),
        **rest,
    )


MLP_BUGS = (
    _bug(
        "gelu-tanh",
        "tanh GELU for the exact one",
        "spd#624, transformers#11364",
        (partial(functional.gelu, approximate="tanh"), partial(jax.nn.gelu, approximate=True)),
        "gelu_exact",
    ),
    _bug(
        "gelu-exact",
        "exact GELU for the tanh one",
        "pocket-tts#278",
        (functional.gelu, partial(jax.nn.gelu, approximate=False)),
        "gelu_tanh",
        variant="gelu-tanh",
    ),
    _bug(
        "gelu-quick",
        "quick GELU, x * sigmoid(1.702 x), for the exact one",
        "",
        (lambda x: x * torch.sigmoid(1.702 * x), lambda x: x * jax.nn.sigmoid(1.702 * x)),
        "gelu_exact",
    ),
    _bug("relu-for-gelu", "ReLU for GELU", "", (functional.relu, jax.nn.relu), "gelu_exact"),
    _bug("silu-for-gelu", "SiLU for GELU", "", (functional.silu, jax.nn.silu), "gelu_exact", variant="gated"),
    _bug(
        "gelu-for-silu",
        "GELU for SiLU",
        "",
        (functional.gelu, partial(jax.nn.gelu, approximate=False)),
        "silu",
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
        needs=(("mlp_kind", "gated"),),
    ),
    ModelBug(
        name="mlp-up-bias-dropped",
        mistake="the bias of the MLP's first projection not loaded",
        where=r"layers\.\d+\.mlp\.pre_activation",
        plant=zero("mlp.up.bias"),
        in_jax=lambda plot, _: plot.change("mlp.up.bias", lambda bias: bias * 0),
        needs=(("mlp_bias", True), ("mlp_kind", "dense")),
    ),
    ModelBug(
        name="mlp-bias-dropped",
        mistake="the bias of the MLP's output not loaded",
        where=r"layers\.\d+\.mlp\.output",
        plant=zero("mlp.down.bias"),
        in_jax=lambda plot, _: plot.change("mlp.down.bias", lambda bias: bias * 0),
        needs=(("mlp_bias", True),),
    ),
)
