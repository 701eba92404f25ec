"""Mistakes in carrying weights over."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import torch_ref
from parity.encoder.bugs import applies
from parity.encoder.bugs.layers import FROM_PARAMETERS
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch
from parity.encoder.bugs.plant import patched, zero

# What the embeddings and what stands on the layers compute from parameters.
_TABLES = r"embedding\.(word|position|token_type|norm)|embedding_projection|relative_(bias|embedding)|final_norm"
_HEADS = r"head\.\w+|pooler\.dense|classifier\.(transform|norm|logits)"


def _never_loaded(model: Any, _: Patch) -> None:
    torch.manual_seed(0)
    fresh = torch_ref.MaskedLM(model.encoder.config).double()
    model.encoder, model.head = fresh.encoder, fresh.head


def _head_transposed(model: Any, _: Patch) -> None:
    weight = model.head.transform.weight
    weight.data = weight.data.T.clone()


def _another_decoder(model: Any, patch: Patch) -> None:
    head, words = model.head, model.encoder.embedding.word.weight
    if head.decoder is not None:
        head.decoder.weight.data = torch.roll(head.decoder.weight.data, 1, dims=0)
        return
    plain, other = torch_ref.MLMHead.forward, torch.roll(words.detach(), 1, dims=0)
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
        applies=applies.square_head,
    ),
    ModelBug(
        name="load-nothing",
        mistake="no parameter was loaded: the model stayed as initialised",
        source="torchgeo#4036",
        where=rf"{_TABLES}|head\.\w+|{FROM_PARAMETERS}",
        plant=_never_loaded,
        first=r"embedding\.word",
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
        applies=applies.has(mlm_decoder_bias=True),
    ),
    ModelBug(
        name="weights-half-precision",
        mistake="weights that went through float16",
        where=rf"{_TABLES}|{_HEADS}|{FROM_PARAMETERS}",
        plant=_half_precision_weights,
        in_jax=_our_half_precision_weights,
        first=r"embedding\.word",
    ),
    ModelBug(
        name="matmul-float32",
        mistake="products in float32",
        source="jax#9973",
        where=r"layers\.\d+\.(attention\.(query|key|value|relative\.position_(query|key)|output)|"
        r"mlp\.(pre_activation|up|output))|embedding_projection|"
        r"head\.transform|pooler\.dense|classifier\.(transform|logits)",
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
        applies=applies.has_pooler,
    ),
)
