"""Mistakes in carrying weights over."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import torch_ref
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch
from parity.encoder.bugs.plant import patched, zero

_EVERY_PARAMETER_OF_A_LAYER = (
    r"layers\.\d+\.(attention\.(query|key|value|output)|(attention|mlp)_norm|mlp\.(pre_activation|up|output))"
)


def _never_loaded(model: Any, _: Patch) -> None:
    torch.manual_seed(0)
    fresh = torch_ref.MaskedLM(model.encoder.config).double()
    model.encoder, model.head = fresh.encoder, fresh.head


def _one_layer_never_loaded(model: Any, _: Patch) -> None:
    torch.manual_seed(0)
    layers, config = model.encoder.layers, model.encoder.config
    layers[1] = type(layers[1])(config, 1).double()


def _shifted(model: Any, _: Patch) -> None:
    layers = model.encoder.layers
    model.encoder.layers = nn.ModuleList([*layers[1:], layers[0]])


def _our_shifted(plot: JaxPlot, _: Patch) -> None:
    for name in [name for name in plot.params if name.startswith("encoder.layers.")]:
        plot.params[name] = np.roll(plot.params[name], -1, axis=0)


def _head_transposed(model: Any, _: Patch) -> None:
    weight = model.head.transform.weight
    weight.data = weight.data.T.clone()


def _another_decoder(model: Any, patch: Patch) -> None:
    plain = torch_ref.MLMHead.forward
    other = torch.roll(model.encoder.embedding.word.weight.detach(), 1, dims=0)
    patch.set(torch_ref.MLMHead, "forward", lambda self, x, table: plain(self, x, other))


def _in_float32(model: nn.Module, patch: Patch) -> None:
    def forward(self: nn.Linear, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.float()
        return nn.functional.linear(x.float(), self.weight.float(), bias).double()

    patch.set(nn.Linear, "forward", forward)


def _half_precision_weights(model: nn.Module, _: Patch) -> None:
    for parameter in model.parameters():
        parameter.data = parameter.data.half().double()


def _our_half_precision_weights(plot: JaxPlot, _: Patch) -> None:
    plot.change("", lambda array: array.astype(np.float16).astype(np.float64))


LOADING_BUGS = (
    ModelBug(
        name="head-kernel-transposed",
        mistake="the square kernel of the head's transform not transposed",
        source="tiny-llm#41",
        where=r"head\.transform",
        plant=_head_transposed,
        in_jax=lambda plot, _: plot.change("head.transform.kernel", np.transpose),
    ),
    ModelBug(
        name="load-nothing",
        mistake="no parameter was loaded: the model stayed as initialised",
        source="torchgeo#4036",
        where=rf"embedding\.(word|position|token_type|norm)|head\.\w+|final_norm|{_EVERY_PARAMETER_OF_A_LAYER}",
        plant=_never_loaded,
        first=r"embedding\.word",
    ),
    ModelBug(
        name="load-prefix",
        mistake="one layer's parameters were not loaded",
        source="transformers#12528",
        where=_EVERY_PARAMETER_OF_A_LAYER,
        plant=_one_layer_never_loaded,
        first=r"layers\.1\.attention\.query",
    ),
    ModelBug(
        name="layers-shifted",
        mistake="stacked layers read off by one",
        source="MaxText",
        where=_EVERY_PARAMETER_OF_A_LAYER,
        plant=_shifted,
        in_jax=_our_shifted,
        first=r"layers\.0\.attention\.query",
        needs=(("first_attention_norm", True),),
    ),
    ModelBug(
        name="decoder-shifted",
        mistake="the decoder's rows off by one from the word table's",
        where=r"head\.logits",
        plant=_another_decoder,
    ),
    ModelBug(
        name="head-bias-missing",
        mistake="the decoder's bias lost",
        source="HF gradient script",
        where=r"head\.logits",
        plant=zero("head.bias"),
        in_jax=lambda plot, _: plot.change("head.bias", lambda bias: bias * 0),
    ),
    ModelBug(
        name="weights-half-precision",
        mistake="weights that went through float16",
        where=rf"embedding\.(word|position|token_type|norm)|head\.\w+|pooler\.dense|final_norm|{_EVERY_PARAMETER_OF_A_LAYER}",
        plant=_half_precision_weights,
        in_jax=_our_half_precision_weights,
        first=r"embedding\.word",
    ),
    ModelBug(
        name="matmul-float32",
        mistake="products in float32",
        source="jax#9973",
        where=r"layers\.\d+\.(attention\.(query|key|value|output)|mlp\.(pre_activation|up|output))|head\.transform|pooler\.dense",
        plant=_in_float32,
        first=r"layers\.0\.attention\.query",
    ),
    ModelBug(
        name="pooler-activation-missing",
        mistake="no tanh in the pooler",
        where=r"pooler\.output",
        plant=patched(
            torch_ref.Pooler,
            "forward",
            lambda self, x: (y := self.dense(x[:, 0]), torch_ref.PoolerTaps(y, y + 0)),
        ),
    ),
)
