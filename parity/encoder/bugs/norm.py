"""Mistakes in normalisation."""

from typing import Any

import jax.numpy as jnp
from torch import Tensor, nn

import jax_encoder.layer
import torch_ref
from jax_encoder.norm import Norm as OurNorm
from parity.encoder.bugs import applies
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch, Plant
from parity.encoder.bugs.plant import every, patched, set_on
from torch_ref import masks
from torch_ref.layer import PostNormLayer
from torch_ref.norm import Norm

# Every norm of a model.
NORMS = r"embedding\.norm|relative_embedding|layers\.\d+\.(attention|mlp)_norm|final_norm|(head|classifier)\.norm"
# What a layer of the other order computes from something else.
_ORDER = (
    r"layers\.\d+\.(attention\.(query|key|value)|(attention|mlp)_(residual|norm)|mlp\.\w+)|final_norm|output|"
    r"mean_pool|head\.(transform|logits)|pooler\.dense|classifier\.(pooled|late_pooled|transform|logits)"
)
_LAYER = applies.has(norm_kind="layer")


def _eps(value: float) -> tuple[Plant, Plant]:
    return set_on(Norm, eps=value), lambda plot, _: plot.configure(norm_eps=value)


def _other_norm(function: Any, ours: Any) -> tuple[Plant, Plant]:
    """Another formula, in torch and in JAX; both take (norm, x) and return the normalised x before scale and bias."""

    def forward(self: Norm, x: Tensor) -> Tensor:
        scaled = function(self, x) * self.weight
        return scaled if self.bias is None else scaled + self.bias

    def call(self: OurNorm, x: Any) -> Any:
        scaled = ours(self, x) * jnp.broadcast_to(self.scale[...], x.shape)
        return scaled if self.bias is None else scaled + jnp.broadcast_to(self.bias[...], x.shape)

    return patched(Norm, "forward", forward), patched(OurNorm, "__call__", call)


def _fast(norm: Any, x: Any) -> Any:
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / ((x * x).mean(-1, keepdims=True) - mean**2 + norm.eps) ** 0.5


def _unbiased(norm: Any, x: Any) -> Any:
    apart = x - x.mean(-1, keepdims=True)
    return apart / ((apart * apart).sum(-1, keepdims=True) / (x.shape[-1] - 1) + norm.eps) ** 0.5


def _eps_outside(norm: Any, x: Any) -> Any:
    apart = x - x.mean(-1, keepdims=True)
    return apart / ((apart * apart).mean(-1, keepdims=True) ** 0.5 + norm.eps)


def _pre_in_post(self: PostNormLayer, x: Tensor, mask: Tensor, positions: Any, keeps: Any) -> Any:
    normed = self.attention_norm(x)
    update, attention = self.attention(normed, normed, normed, mask, positions, keeps.weights)
    residual = x + masks.drop(update, keeps.attention_output, self.dropout)
    mlp_normed = self.mlp_norm(residual)
    update, mlp = self.mlp(mlp_normed)
    output = residual + masks.drop(update, keeps.mlp_output, self.dropout)
    return output, torch_ref.PostNormLayerTaps(attention, residual, normed, mlp, output, mlp_normed)


def _our_pre_in_post(self: Any, x: Any, inputs: Any) -> Any:
    normed = self.attention_norm(x)
    residual, attention = self._add_attention(x, normed, inputs)
    mlp_normed = self.mlp_norm(residual)
    output, mlp = self._add_mlp(residual, mlp_normed, inputs)
    return output, jax_encoder.layer.PostNormLayerTaps(attention, residual, normed, mlp, output, mlp_normed)


def _residual_twice(model: nn.Module, patch: Patch) -> None:
    plain = torch_ref.Attention.forward

    def forward(self: Any, query: Tensor, *rest: Any) -> Any:
        update, taps = plain(self, query, *rest)
        return update + query, taps

    patch.set(torch_ref.Attention, "forward", forward)


def _our_residual_twice(_: JaxPlot, patch: Patch) -> None:
    plain = jax_encoder.layer.Attention.__call__

    def call(self: Any, query: Any, *rest: Any, **options: Any) -> Any:
        update, taps = plain(self, query, *rest, **options)
        return update + query, taps

    patch.set(jax_encoder.layer.Attention, "__call__", call)


def _one_for_all(model: Any, _: Patch) -> None:
    for layer in model.encoder.layers:
        layer.mlp_norm = layer.attention_norm


def _our_one_for_all(plot: JaxPlot, _: Patch) -> None:
    for name in [name for name in plot.params if ".mlp_norm." in name]:
        plot.params[name] = plot.params[name.replace("mlp_norm", "attention_norm")]


def _extra_final(model: Any, patch: Patch) -> None:
    plain, extra = torch_ref.Encoder.forward, Norm(model.encoder.config, model.encoder.config.embed_dim).double()

    def forward(self: Any, *inputs: Any, **options: Any) -> Any:
        x, taps = plain(self, *inputs, **options)
        return extra(x), taps

    patch.set(torch_ref.Encoder, "forward", forward)


def _affine_dropped(model: nn.Module, _: Patch) -> None:
    for norm in every(model, Norm):
        norm.weight.data.fill_(1)
        if norm.bias is not None:
            norm.bias.data.zero_()


def _our_affine_dropped(plot: JaxPlot, _: Patch) -> None:
    plot.change(".scale", lambda scale: scale * 0 + 1)
    plot.change("norm.bias", lambda bias: bias * 0)


def _first_norm_extra(model: Any, _: Patch) -> None:
    model.encoder.layers[0].attention_norm = nn.LayerNorm(model.encoder.config.embed_dim).double()


def _final_missing(model: Any, _: Patch) -> None:
    model.encoder.final_norm = nn.Identity()


def _embedding_missing(model: Any, _: Patch) -> None:
    model.encoder.embedding.norm = nn.Identity()


def _eps_bug(name: str, value: float, mistake: str, source: str, **rest: Any) -> ModelBug:
    plant, in_jax = _eps(value)
    rest = {"applies": applies.other_eps(value)} | rest
    return ModelBug(
        name=name,
        mistake=mistake,
        source=source,
        where=NORMS,
        plant=plant,
        in_jax=in_jax,
        first=r"embedding\.norm",
        **rest,
    )


def _formula(name: str, mistake: str, formulas: tuple[Plant, Plant], **rest: Any) -> ModelBug:
    plant, in_jax = formulas
    options: dict[str, Any] = {"first": r"embedding\.norm", "applies": _LAYER} | rest
    return ModelBug(name=name, mistake=mistake, where=NORMS, plant=plant, in_jax=in_jax, **options)


NORM_BUGS = (
    _eps_bug("norm-eps-1e-5", 1e-5, "norm epsilon 1e-5", "keras-hub#642"),
    _eps_bug("norm-eps-1e-6", 1e-6, "norm epsilon 1e-6, Flax's default", "fast-transformers#103"),
    _eps_bug("norm-eps-keras", 1e-3, "norm epsilon 1e-3, Keras' default", "mlx#1049"),
    _eps_bug("norm-eps-none", 1e-30, "no norm epsilon", "", case="low-variance", applies=applies.eps_matters),
    _formula(
        "norm-fast-variance",
        "variance as E[x^2] - E[x]^2",
        _other_norm(_fast, _fast),
        source="flax discussion 1709",
        case="low-variance",
        # What it loses shows on the tokens that the case prepares.
        applies=applies.every(_LAYER, applies.small_variance),
    ),
    _formula("norm-unbiased-variance", "variance divided by D - 1", _other_norm(_unbiased, _unbiased)),
    _formula(
        "norm-eps-outside-root",
        "norm epsilon added to the standard deviation",
        _other_norm(_eps_outside, _eps_outside),
        case="low-variance",
        applies=applies.every(_LAYER, applies.eps_matters),
    ),
    ModelBug(
        name="norm-order",
        mistake="pre-norm layers in a post-norm encoder",
        source="CTranslate2#805",
        where=_ORDER,
        plant=patched(PostNormLayer, "forward", _pre_in_post),
        in_jax=patched(jax_encoder.layer.EncoderLayer, "_post", _our_pre_in_post),
        first=r"layers\.0\.attention\.query",
        applies=applies.has(norm_order="post"),
    ),
    ModelBug(
        name="norm-final-missing",
        mistake="the last norm left out",
        source="lightseq#260",
        where="final_norm",
        plant=_final_missing,
        variant="pre",
        applies=applies.has(final_norm=True),
    ),
    ModelBug(
        name="norm-final-extra",
        mistake="a norm after the last layer that is not there",
        where="output",
        plant=_extra_final,
        applies=applies.has(final_norm=False),
    ),
    ModelBug(
        name="norm-shared",
        mistake="one norm's parameters used for both norms of a layer",
        where=r"layers\.\d+\.mlp_norm|d\(\w+\)/d\(encoder\.layers\.\d+\.(attention|mlp)_norm\.\w+\)",
        plant=_one_for_all,
        in_jax=_our_one_for_all,
        first=r"layers\.0\.mlp_norm",
        applies=applies.has(first_attention_norm=True),
    ),
    ModelBug(
        name="norm-affine-dropped",
        mistake="norm scale and bias not loaded",
        where=NORMS,
        plant=_affine_dropped,
        in_jax=_our_affine_dropped,
        first=r"embedding\.norm",
    ),
    ModelBug(
        name="norm-residual-twice",
        mistake="the residual added inside attention and again outside",
        where=r"layers\.\d+\.attention_residual",
        plant=_residual_twice,
        in_jax=_our_residual_twice,
    ),
    ModelBug(
        name="norm-rms-for-layer",
        mistake="RMS norm for layer norm",
        where=NORMS,
        plant=set_on(Norm, kind="rms"),
        in_jax=lambda plot, _: plot.configure(norm_kind="rms"),
        first=r"embedding\.norm",
        applies=_LAYER,
    ),
    ModelBug(
        name="norm-embedding-missing",
        mistake="the embedding norm left out",
        where=r"embedding\.norm",
        plant=_embedding_missing,
        applies=applies.has(embedding_norm=True),
    ),
    ModelBug(
        name="first-norm-extra",
        mistake="a norm before the first layer's attention that is not there",
        where=r"layers\.0\.attention(_norm|\.query|\.key|\.value)",
        plant=_first_norm_extra,
        variant="modernbert",
        applies=applies.has(first_attention_norm=False),
    ),
)
