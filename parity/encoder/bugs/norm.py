"""Mistakes in normalisation."""

from typing import Any

import jax.numpy as jnp
from torch import Tensor, nn

import jax_encoder.layer
import torch_ref
from jax_encoder.norm import Norm as OurNorm
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch, Plant
from parity.encoder.bugs.plant import every, patched, set_on
from torch_ref.layer import PostNormLayer
from torch_ref.norm import Norm

# Every norm of an encoder and its heads.
NORMS = r"embedding\.norm|layers\.\d+\.(attention|mlp)_norm|final_norm|head\.norm"
# What a layer of the other order computes from something else.
_ORDER = (
    r"layers\.\d+\.(attention\.(query|key|value)|(attention|mlp)_(residual|norm)|mlp\.\w+)|output|mean_pool|head\.transform|"
    r"pooler\.dense"
)
_LAYER, _POST = ("norm_kind", "layer"), ("norm_order", "post")


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
    update, attention = self.attention(normed, normed, normed, mask, positions)
    residual = x + update
    mlp_normed = self.mlp_norm(residual)
    update, mlp = self.mlp(mlp_normed)
    output = residual + update
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


def _formula(name: str, mistake: str, source: str, formulas: tuple[Plant, Plant], case: str = "ragged") -> ModelBug:
    plant, in_jax = formulas
    needs = (_LAYER,)
    first = r"embedding\.norm"
    return ModelBug(
        name=name,
        mistake=mistake,
        source=source,
        where=NORMS,
        plant=plant,
        in_jax=in_jax,
        first=first,
        case=case,
        needs=needs,
    )


NORM_BUGS = (
    _eps_bug("norm-eps-1e-5", 1e-5, "norm epsilon 1e-5", "keras-hub#642"),
    _eps_bug("norm-eps-1e-6", 1e-6, "norm epsilon 1e-6, Flax's default", "fast-transformers#103"),
    _eps_bug("norm-eps-keras", 1e-3, "norm epsilon 1e-3, Keras' default", "mlx#1049"),
    _eps_bug("norm-eps-none", 1e-30, "no norm epsilon", "", case="low-variance"),
    _formula(
        "norm-fast-variance",
        "variance as E[x^2] - E[x]^2",
        "flax discussion 1709",
        _other_norm(_fast, _fast),
        case="low-variance",
    ),
    _formula("norm-unbiased-variance", "variance divided by D - 1", "", _other_norm(_unbiased, _unbiased)),
    _formula(
        "norm-eps-outside-root",
        "norm epsilon added to the standard deviation",
        "",
        _other_norm(_eps_outside, _eps_outside),
        case="low-variance",
    ),
    ModelBug(
        name="norm-order",
        mistake="pre-norm layers in a post-norm encoder",
        source="CTranslate2#805",
        where=_ORDER,
        plant=patched(PostNormLayer, "forward", _pre_in_post),
        in_jax=patched(jax_encoder.layer.EncoderLayer, "_post", _our_pre_in_post),
        first=r"layers\.0\.attention\.query",
        needs=(_POST,),
    ),
    ModelBug(
        name="norm-final-missing",
        mistake="the last norm left out",
        source="lightseq#260",
        where="final_norm",
        plant=_final_missing,
        variant="pre",
        needs=(("final_norm", True),),
    ),
    ModelBug(
        name="norm-final-extra",
        mistake="a norm after the last layer that is not there",
        where="output",
        plant=_extra_final,
        needs=(("final_norm", False),),
    ),
    ModelBug(
        name="norm-shared",
        mistake="one norm's parameters used for both norms of a layer",
        where=r"layers\.\d+\.mlp_norm|d\(\w+\)/d\(encoder\.layers\.\d+\.(attention|mlp)_norm\.\w+\)",
        plant=_one_for_all,
        in_jax=_our_one_for_all,
        first=r"layers\.0\.mlp_norm",
        needs=(("first_attention_norm", True),),
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
        needs=(_LAYER,),
    ),
    ModelBug(
        name="norm-embedding-missing",
        mistake="the embedding norm left out",
        where=r"embedding\.norm",
        plant=_embedding_missing,
        needs=(("embedding_norm", True),),
    ),
    ModelBug(
        name="first-norm-extra",
        mistake="a norm before the first layer's attention that is not there",
        where=r"layers\.0\.attention(_norm|\.query|\.key|\.value)",
        plant=_first_norm_extra,
        variant="modernbert",
        needs=(("first_attention_norm", False),),
    ),
)
