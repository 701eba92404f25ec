"""Plants, one at a time, mistakes that people made when they ported encoders, and asks the check where they begin.

Each is planted in the reference; the site is where the two sides must first be seen to differ, not merely somewhere.
"""

import copy
import dataclasses
import functools
import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import torch_ref
from parity.encoder.pair import EncoderSubject, Pair
from torch_ref import masks
from torch_ref.attention import Attention
from torch_ref.embedding import Embedding
from torch_ref.encoder import PostNormLayer
from torch_ref.mlp import MLP
from torch_ref.norm import Norm

SUBJECT = EncoderSubject()
LOWEST = torch.finfo(torch.float64).min


@dataclasses.dataclass(frozen=True)
class Bug:
    """A mistake: how to plant it in a copy of the reference, where it shows, and where it must first be seen."""

    site: str
    plant: Callable[[nn.Module, pytest.MonkeyPatch], object]
    variant: str = "post"
    case: str = "ragged"


def transposed(model: nn.Module, _) -> None:
    weight = model.lm.head.transform.weight
    weight.data = weight.data.T.clone()


def every(model: nn.Module, kind: type) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, kind)]


def set_on(module_type: type, **values: object) -> Callable:
    """Plants other attributes on every module of a kind."""
    return lambda model, _: [
        setattr(module, name, value) for module in every(model, module_type) for name, value in values.items()
    ]


def zero(path: str) -> Callable:
    """Plants a parameter that was never loaded."""
    return lambda model, _: model.get_parameter(path).data.zero_()


def method(kind: type, name: str, function: Callable) -> Callable:
    """Plants another method."""
    return lambda _, patch: patch.setattr(kind, name, function)


def swapped(kind: type, one: str, other: str) -> Callable:
    """Plants two parts in each other's place."""

    def plant(model: nn.Module, _) -> None:
        for module in every(model, kind):
            first, second = getattr(module, one), getattr(module, other)
            setattr(module, one, second)
            setattr(module, other, first)

    return plant


def matched(scores_to_weights: Callable) -> Callable:
    """Plants another way from scores and mask to masked scores and weights."""

    def _match(self, query_BTNH, key_BSNH, mask_BTS):
        scores = query_BTNH.transpose(1, 2) @ key_BSNH.permute(0, 2, 3, 1) / math.sqrt(self.head_dim)
        return scores, *scores_to_weights(scores, mask_BTS[:, None])

    return method(Attention, "_match", _match)


def filled(value: float) -> Callable:
    def scores_to_weights(scores, mask):
        masked = scores.masked_fill(~mask, value)
        return masked, masked.softmax(dim=-1).masked_fill(~mask, 0)

    return scores_to_weights


def masked_as_ever(weigh: Callable) -> Callable:
    def scores_to_weights(scores, mask):
        masked = scores.masked_fill(~mask, LOWEST)
        return masked, weigh(masked, mask)

    return scores_to_weights


def fast_variance(self: Norm, x: Tensor) -> Tensor:
    variance = (x * x).mean(-1, keepdim=True) - x.mean(-1, keepdim=True) ** 2
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(variance + self.eps) * self.weight + self.bias


def pre_norm_in_post_norm_clothes(self: PostNormLayer, x, mask, positions=None, keeps=None):
    normed = self.attention_norm(x)
    update, attention = self.attention(normed, normed, normed, mask, positions)
    residual = x + update
    mlp_normed = self.mlp_norm(residual)
    update, mlp = self.mlp(mlp_normed)
    return residual + update, torch_ref.PostNormLayerTaps(
        attention, residual, normed, mlp, residual + update, mlp_normed
    )


def residual_inside_too(model: nn.Module, patch: pytest.MonkeyPatch) -> None:
    plain = Attention.forward

    def forward(self, query, *rest):
        update, taps = plain(self, query, *rest)
        return update + query, taps

    patch.setattr(Attention, "forward", forward)


def extra_final_norm(model: nn.Module, patch: pytest.MonkeyPatch) -> None:
    plain, extra = torch_ref.Encoder.forward, Norm(model.lm.encoder.config).double()

    def forward(self, *inputs, **options):
        x, taps = plain(self, *inputs, **options)
        return extra(x), taps

    patch.setattr(torch_ref.Encoder, "forward", forward)


def one_norm_for_all(model: nn.Module, _) -> None:
    for layer in model.lm.encoder.layers:
        layer.mlp_norm = layer.attention_norm


def affine_dropped(model: nn.Module, _) -> None:
    for norm in every(model, Norm):
        norm.weight.data.fill_(1)
        norm.bias.data.zero_()


def heads_behind_channels(self: Attention, x: Tensor) -> Tensor:
    return x.unflatten(-1, (self.head_dim, self.num_heads)).transpose(2, 3)


def rotate_neighbours(x: Tensor, positions: Tensor | None, theta: float) -> Tensor:
    T, H = x.shape[1], x.shape[3]
    positions = torch.arange(T)[None] if positions is None else positions
    angle = positions[:, :, None, None] * theta ** (-torch.arange(0, H, 2, dtype=x.dtype) / H)
    even, odd = x[..., ::2], x[..., 1::2]
    turned = (even * angle.cos() - odd * angle.sin(), odd * angle.cos() + even * angle.sin())
    return torch.stack(turned, dim=-1).flatten(-2)


def rotate_half_of_the_head(x: Tensor, positions: Tensor | None, theta: float) -> Tensor:
    turned, kept = x.chunk(2, dim=-1)
    return torch.cat((torch_ref.rotate(turned, positions, theta), kept), dim=-1)


def one_theta(model: nn.Module, _) -> None:
    for attention in every(model, Attention):
        attention.theta = every(model, Attention)[0].theta


def narrower(model: nn.Module, _) -> None:
    for attention in every(model, Attention):
        attention.window = attention.window and attention.window - 1


def window_to_the_left(mask: Tensor, width: int | None) -> Tensor:
    return mask if width is None else mask & torch.ones_like(mask).tril().triu(-width)


def documents_joined(mask: Tensor, width: int | None) -> Tensor:
    return masks.sees(mask)[:, :, None] & masks.seen(mask)[:, None, :]


def without(name: str) -> Callable:
    """Plants a forward that is not given one of its inputs."""

    def plant(model: nn.Module, patch: pytest.MonkeyPatch) -> None:
        plain = Embedding.forward

        def forward(self, tokens, content, positions=None, token_types=None):
            given = {"positions_BT": positions, "token_types_BT": token_types} | {name: None}
            return plain(self, tokens, content, **given)

        patch.setattr(Embedding, "forward", forward)

    return plant


def never_loaded(model: nn.Module, _) -> None:
    model.lm = torch_ref.MaskedLM(model.lm.encoder.config).double()


def one_layer_never_loaded(model: nn.Module, _) -> None:
    model.lm.encoder.layers[1] = PostNormLayer(model.lm.encoder.config, 1).double()


def layers_shifted(model: nn.Module, _) -> None:
    model.lm.encoder.layers = nn.ModuleList([*model.lm.encoder.layers[1:], model.lm.encoder.layers[0]])


def untied(model: nn.Module, patch: pytest.MonkeyPatch) -> None:
    plain, other = torch_ref.MLMHead.forward, torch.randn_like(model.lm.encoder.embedding.word.weight)
    patch.setattr(torch_ref.MLMHead, "forward", lambda self, x, table: plain(self, x, other))


def sinusoid_in_halves(positions: Tensor, embed_dim: int, dtype: torch.dtype) -> Tensor:
    angle = positions[:, :, None] / 10_000 ** (torch.arange(0, embed_dim, 2, dtype=dtype) / embed_dim)
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


def float32_product(model: nn.Module, patch: pytest.MonkeyPatch) -> None:
    plain = nn.Linear.forward
    patch.setattr(nn.Linear, "forward", lambda self, x: plain(copy.deepcopy(self).float(), x.float()).double())


def dropout_in_evaluation(x: Tensor, keep: Tensor | None, rate: float) -> Tensor:
    return functional.dropout(x, p=0.1, training=True)


def pooled_with_padding(x: Tensor, valid: Tensor) -> Tensor:
    return x.mean(dim=1)


QUICK_GELU = set_on(MLP, activation=lambda x: x * torch.sigmoid(1.702 * x))
NO_ROOT = SimpleNamespace(sqrt=lambda _: 1.0)
EMBED_ROOT = SimpleNamespace(sqrt=lambda _: math.sqrt(20))
FIRST = "layers.0.attention"

BUGS = {
    "norm-eps-1e-5": Bug("embedding.norm", set_on(Norm, eps=1e-5)),
    "norm-eps-1e-6": Bug("embedding.norm", set_on(Norm, eps=1e-6)),
    "norm-eps-keras": Bug("embedding.norm", set_on(Norm, eps=1e-3)),
    "norm-eps-none": Bug("embedding.norm", set_on(Norm, eps=0.0), case="low-variance"),
    "norm-fast-variance": Bug("embedding.norm", method(Norm, "forward", fast_variance), case="low-variance"),
    "norm-order": Bug(f"{FIRST}.query", method(PostNormLayer, "forward", pre_norm_in_post_norm_clothes)),
    "norm-final-missing": Bug("final_norm", lambda m, _: setattr(m.lm.encoder, "final_norm", nn.Identity()), "pre"),
    "norm-final-extra": Bug("output", extra_final_norm),
    "norm-shared": Bug("layers.0.mlp_norm", one_norm_for_all),
    "norm-affine-dropped": Bug("embedding.norm", affine_dropped),
    "norm-residual-twice": Bug("layers.0.attention_residual", residual_inside_too),
    "norm-rms-for-layer": Bug("embedding.norm", set_on(Norm, kind="rms")),
    "norm-embedding-missing": Bug(
        "embedding.norm", lambda m, _: setattr(m.lm.encoder.embedding, "norm", nn.Identity())
    ),
    "gelu-tanh": Bug(
        "layers.0.mlp.post_activation", set_on(MLP, activation=functools.partial(functional.gelu, approximate="tanh"))
    ),
    "gelu-exact": Bug("layers.0.mlp.post_activation", set_on(MLP, activation=functional.gelu), "gelu-tanh"),
    "gelu-quick": Bug("layers.0.mlp.post_activation", QUICK_GELU),
    "gate-order": Bug("layers.0.mlp.pre_activation", swapped(MLP, "gate", "up"), "gated"),
    "mlp-bias-dropped": Bug("layers.0.mlp.output", zero("lm.encoder.layers.0.mlp.down.bias")),
    "heads-order": Bug(f"{FIRST}.query", method(Attention, "_split_heads", heads_behind_channels)),
    "heads-missing": Bug(f"{FIRST}.query", set_on(Attention, num_heads=1, head_dim=24)),
    "qkv-order": Bug(f"{FIRST}.query", swapped(Attention, "query", "value")),
    "key-value-swapped": Bug(f"{FIRST}.key", swapped(Attention, "key", "value")),
    "kernel-transposed": Bug("head.transform", transposed),
    "scale-missing": Bug(f"{FIRST}.scores", lambda _, patch: patch.setattr("torch_ref.attention.math", NO_ROOT)),
    "scale-embed-dim": Bug(f"{FIRST}.scores", lambda _, patch: patch.setattr("torch_ref.attention.math", EMBED_ROOT)),
    "query-bias-dropped": Bug(f"{FIRST}.query", zero("lm.encoder.layers.0.attention.query.bias")),
    "key-bias-dropped": Bug("layers.1.attention.key", zero("lm.encoder.layers.1.attention.key.bias")),
    "value-bias-dropped": Bug(f"{FIRST}.value", zero("lm.encoder.layers.0.attention.value.bias")),
    "out-bias-dropped": Bug(f"{FIRST}.output", zero("lm.encoder.layers.0.attention.out.bias")),
    "softmax-low-precision": Bug(
        f"{FIRST}.weights",
        matched(masked_as_ever(lambda s, mask: s.bfloat16().softmax(-1).double().masked_fill(~mask, 0))),
    ),
    "matmul-float32": Bug(f"{FIRST}.query", float32_product),
    "rope-interleaved": Bug(
        f"{FIRST}.rotated_query",
        lambda _, patch: patch.setattr("torch_ref.attention.rotate", rotate_neighbours),
        "rotary",
    ),
    "rope-partial": Bug(
        f"{FIRST}.rotated_query",
        lambda _, patch: patch.setattr("torch_ref.attention.rotate", rotate_half_of_the_head),
        "rotary",
    ),
    "rope-theta": Bug("layers.1.attention.rotated_query", one_theta, "rotary"),
    "window-off-by-one": Bug("layers.1.attention.masked_scores", narrower, "windows", "longer-than-window"),
    "window-one-sided": Bug(
        "layers.1.attention.masked_scores", lambda _, p: p.setattr(masks, "window", window_to_the_left), "windows"
    ),
    "causal-left-on": Bug(
        f"{FIRST}.masked_scores", lambda _, p: p.setattr(masks, "window", lambda mask, _: mask.tril()), "post"
    ),
    "mask-polarity": Bug(f"{FIRST}.masked_scores", matched(lambda scores, mask: filled(LOWEST)(scores, ~mask))),
    "mask-after-softmax": Bug(
        f"{FIRST}.masked_scores", matched(lambda scores, mask: (scores, scores.softmax(-1) * mask))
    ),
    "mask-both-values": Bug(
        f"{FIRST}.masked_scores", matched(lambda s, mask: (s - math.inf, (s - math.inf).softmax(-1)))
    ),
    "mask-added-as-given": Bug(f"{FIRST}.masked_scores", matched(lambda s, mask: (s + mask, (s + mask).softmax(-1)))),
    "mask-overflow": Bug(f"{FIRST}.masked_scores", matched(filled(-math.inf)), case="fully-masked-row"),
    "mask-small-constant": Bug(f"{FIRST}.masked_scores", matched(filled(-1e4))),
    "mask-empty-row": Bug(
        f"{FIRST}.weights", matched(masked_as_ever(lambda masked, _: masked.softmax(-1))), case="fully-masked-row"
    ),
    "mask-nan-leak": Bug("embedding.word", lambda _, p: p.setattr(masks, "blank", lambda x, _: x), case="nan-padding"),
    "pack-leak": Bug(
        f"{FIRST}.masked_scores", lambda _, p: p.setattr(masks, "window", documents_joined), case="packed"
    ),
    "pool-mask-ignored": Bug("mean_pool", lambda _, p: p.setattr(torch_ref, "mean_pool", pooled_with_padding)),
    "position-offset": Bug("embedding.position", set_on(Embedding, position_offset=0), "position-offset"),
    "position-packed": Bug("embedding.position", without("positions_BT"), case="packed"),
    "sinusoid-halves": Bug(
        "embedding.position", lambda _, p: p.setattr("torch_ref.embedding.sinusoid", sinusoid_in_halves), "sinusoidal"
    ),
    "type-missing": Bug("embedding.token_type", without("token_types_BT")),
    "load-nothing": Bug("embedding.word", never_loaded),
    "load-prefix": Bug("layers.1.attention.query", one_layer_never_loaded),
    "layers-shifted": Bug(f"{FIRST}.query", layers_shifted),
    "untied": Bug("head.logits", untied),
    "head-bias-missing": Bug("head.logits", zero("lm.head.bias")),
    "dropout-on": Bug(f"{FIRST}.query", lambda _, p: p.setattr(masks, "drop", dropout_in_evaluation)),
    "dropout-scale": Bug(
        f"{FIRST}.query",
        lambda _, p: p.setattr(masks, "drop", lambda x, keep, _: x if keep is None else x * keep),
        "post-dropout",
    ),
    "first-norm-extra": Bug(
        "layers.0.attention_norm",
        lambda m, _: setattr(m.lm.encoder.layers[0], "attention_norm", nn.LayerNorm(20).double()),
        "modernbert",
    ),
}


@functools.cache
def pair_of(variant: str) -> Pair:
    return SUBJECT.variants()[variant].build()


@pytest.mark.parametrize("name", BUGS)
def test_names_the_site_where_a_planted_bug_begins(name, monkeypatch):
    bug = BUGS[name]
    pair = pair_of(bug.variant)
    clean = pair.compare(bug.case)
    assert all(c.agrees for c in clean), "the reference differs before anything was planted"
    planted = pair.with_torch(copy.deepcopy(pair.torch_model))
    bug.plant(planted.torch_model, monkeypatch)
    assert next(c.site for c in planted.compare(bug.case) if not c.agrees) == bug.site
