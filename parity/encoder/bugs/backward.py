"""Mistakes in the loss, and mistakes that only the backward pass shows."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch
from torch import Tensor, nn
from torch.nn import functional

import jax_encoder.heads
import jax_encoder.masks
import torch_ref
from jax_encoder.training import objective
from parity.encoder.bugs import applies
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch, Plant
from parity.encoder.bugs.plant import masked_as_ever, matched, patched
from torch_ref import masks
from torch_ref.layer import PostNormLayer
from torch_ref.norm import Norm

# What norms read.
_NORMED = (
    r"embedding\.(total|norm)|embedding_projection|layers\.\d+\.((attention|mlp)_residual|mlp_norm)|\w+\.activation|"
    r"encoder\.relative_embedding\.table\.weight"
)
_WORD = r"encoder\.embedding\.word\.weight"


def _d(value: str) -> str:
    return rf"d\(\w+\)/d\((?:{value})\)"


def _loss(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Plant:
    """Another mean loss of (logits, labels, weights)."""
    one = torch.ones((), dtype=torch.float64)
    return patched(
        torch_ref, "masked_lm_loss", lambda logits, labels, weights: (function(logits, labels, weights), one)
    )


def _our_loss(function: Callable) -> Plant:
    """Another mean loss of (losses of every target, weights)."""

    def sums(logits: Any, labels: Any, weights: Any, *_: Any) -> objective.LossSums:
        logits = logits.astype(float)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, :, None], axis=2)[:, :, 0]
        one = jnp.ones((), logits.dtype)
        return objective.LossSums(function(-chosen, weights.astype(logits.dtype)), one, one)

    return patched(objective, "cross_entropy_sums", sums)


def _entropies(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), labels.long().flatten(), reduction="none").view(labels.shape)


def _row_means(losses: Any, weights: Any, least: Any) -> Any:
    return ((losses * weights).sum(1) / least(weights.sum(1))).mean()


def _smoothed(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    losses = functional.cross_entropy(
        logits.flatten(0, 1), labels.long().flatten(), reduction="none", label_smoothing=0.1
    ).view(labels.shape)
    return (losses * weights).sum() / weights.sum()


def _detached_statistics(self: Norm, x: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True).detach()
    deviation = ((x - mean) ** 2).mean(-1, keepdim=True).add(self.eps).sqrt().detach()
    scaled = (x - mean) / deviation * self.weight
    return scaled if self.bias is None else scaled + self.bias


def _our_detached_statistics(self: Any, x: Any) -> Any:
    mean = jax.lax.stop_gradient(x.mean(-1, keepdims=True))
    deviation = jax.lax.stop_gradient(jnp.sqrt(jnp.square(x - mean).mean(-1, keepdims=True) + self.eps))
    scaled = (x - mean) / deviation * jnp.broadcast_to(self.scale[...], x.shape)
    return scaled if self.bias is None else scaled + jnp.broadcast_to(self.bias[...], x.shape)


def _detached_residual(self: PostNormLayer, x: Tensor, mask: Tensor, positions: Any, keeps: Any) -> Any:
    update, attention = self.attention(x, x, x, mask, positions, keeps.weights)
    residual = x.detach() + masks.drop(update, keeps.attention_output, self.dropout)
    normed = self.attention_norm(residual)
    update, mlp = self.mlp(normed)
    output = normed + masks.drop(update, keeps.mlp_output, self.dropout)
    final = self.mlp_norm(output)
    return final, torch_ref.PostNormLayerTaps(attention, residual, normed, mlp, output, final)


def _head_with(table: Callable[[Tensor], Tensor], bias: Callable[[Tensor], Tensor]) -> Plant:
    """A decoder that reads other versions of the word table and of its bias."""

    def forward(self: Any, x: Tensor, word: Tensor) -> Any:
        transform = activation = norm = None
        if self.transform is not None:
            transform = self.transform(x)
            activation = self.activation(transform)
            norm = self.norm(activation)
        weight = table(word if self.decoder is None else self.decoder.weight)
        logits = (x if norm is None else norm) @ weight.T
        if self.bias is not None:
            logits = logits + bias(self.bias)
        return logits, torch_ref.MLMHeadTaps(transform, activation, norm, logits)

    return patched(torch_ref.MLMHead, "forward", forward)


def _our_untied(_: JaxPlot, patch: Patch) -> None:
    plain = jax_encoder.heads.MLMHead.__call__
    patch.set(jax_encoder.heads.MLMHead, "__call__", lambda self, x, word: plain(self, x, jax.lax.stop_gradient(word)))


def _padding_row(model: Any, _: Patch) -> None:
    model.encoder.embedding.word.padding_idx = 0


def _frozen(module: Callable[[Any], nn.Module]) -> Plant:
    """A table whose rows are looked up without a gradient."""

    def plant(model: Any, _: Patch) -> None:
        table: Any = module(model.encoder.embedding)
        table.register_forward_hook(lambda module, args, output: output.detach() + output * 0)

    return plant


def _nan_gradient(masked: Tensor, mask: Tensor) -> Tensor:
    return (masked + torch.zeros_like(masked).masked_fill(~mask, -torch.inf)).softmax(-1).masked_fill(~mask, 0)


def _our_nan_gradient(masked: Any, mask: Any) -> Any:
    bias = jnp.where(mask[:, None], jnp.zeros_like(masked), -jnp.inf)
    return jnp.where(mask[:, None], jax.nn.softmax(masked + bias, axis=-1), 0)


def _loss_bug(name: str, mistake: str, plants: tuple[Plant, Plant | None], source: str = "") -> ModelBug:
    plant, in_jax = plants
    return ModelBug(name=name, mistake=mistake, source=source, where="mlm", plant=plant, in_jax=in_jax)


BACKWARD_BUGS = (
    _loss_bug(
        "loss-denominator",
        "loss divided by all positions instead of the targets",
        (
            _loss(lambda logits, labels, weights: (_entropies(logits, labels) * weights).sum() / weights.numel()),
            _our_loss(lambda losses, weights: (losses * weights).sum() / weights.size),
        ),
        "transformers#34191",
    ),
    _loss_bug(
        "loss-row-means",
        "loss as the mean of the rows' means",
        (
            _loss(lambda logits, labels, w: _row_means(_entropies(logits, labels), w, lambda n: n.clamp(min=1))),
            _our_loss(lambda losses, w: _row_means(losses, w, lambda n: jnp.maximum(n, 1))),
        ),
        "transformers#34191",
    ),
    _loss_bug(
        "loss-sum",
        "loss summed instead of averaged",
        (
            _loss(lambda logits, labels, weights: (_entropies(logits, labels) * weights).sum()),
            _our_loss(lambda losses, weights: (losses * weights).sum()),
        ),
    ),
    _loss_bug(
        "loss-ignored-index",
        "filler targets counted in the loss",
        (
            _loss(lambda logits, labels, _: _entropies(logits, labels).mean()),
            _our_loss(lambda losses, _: losses.mean()),
        ),
        "transformers#22540",
    ),
    _loss_bug("loss-smoothed", "label smoothing of 0.1", (_loss(_smoothed), None)),
    ModelBug(
        name="untied",
        mistake="decoder and word table no longer one tensor: the table gets no gradient from the decoder",
        source="HF PT/Flax tests",
        where=_d(_WORD),
        plant=_head_with(lambda word: word.detach(), lambda bias: bias),
        in_jax=_our_untied,
        applies=applies.has(mlm_tied=True),
    ),
    ModelBug(
        name="head-bias-frozen",
        mistake="the decoder's bias gets no gradient",
        source="HF gradient script",
        where=_d(r"head\.bias"),
        plant=_head_with(lambda word: word, lambda bias: bias.detach()),
        applies=applies.has(mlm_decoder_bias=True),
    ),
    ModelBug(
        name="word-padding-row",
        mistake="row 0 of the word table gets no gradient (padding_idx)",
        where=_d(_WORD),
        plant=_padding_row,
    ),
    ModelBug(
        name="positions-frozen",
        mistake="the position table gets no gradient",
        where=_d(r"encoder\.embedding\.position\.weight"),
        plant=_frozen(lambda embedding: embedding.position),
        applies=applies.has(position_kind="learned"),
    ),
    ModelBug(
        name="norm-statistics-detached",
        mistake="no gradient through the norm's mean and variance",
        where=_d(_NORMED),
        plant=patched(Norm, "forward", _detached_statistics),
        in_jax=patched(jax_encoder.heads.Norm, "__call__", _our_detached_statistics),
        first=_d(r"head\.activation"),
        applies=applies.has(norm_kind="layer"),
    ),
    ModelBug(
        name="residual-detached",
        mistake="no gradient along the residual stream past attention",
        where=_d(r"embedding\.(norm|total)|embedding_projection|layers\.\d+\.mlp_norm"),
        plant=patched(PostNormLayer, "forward", _detached_residual),
        applies=applies.has(norm_order="post"),
    ),
    ModelBug(
        name="weights-detached",
        mistake="no gradient through the attention weights",
        where=_d(r"layers\.\d+\.attention\.masked_scores"),
        plant=matched(
            masked_as_ever(lambda masked, mask: masked.softmax(-1).masked_fill(~mask, 0).detach() + masked * 0)
        ),
    ),
    ModelBug(
        name="mask-nan-gradient",
        mistake="-inf under a softmax whose NaN is replaced afterwards: the forward pass is right, the gradient NaN",
        where=_d(r"layers\.\d+\.attention\.masked_scores"),
        plant=matched(masked_as_ever(_nan_gradient)),
        in_jax=patched(jax_encoder.masks, "softmax", _our_nan_gradient),
        case="fully-masked-row",
    ),
)
