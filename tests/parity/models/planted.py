"""Mistakes made in pairs that pass: how many are caught, found at the right place, and named.

`python -m tests.parity.models.planted` prints a row for each.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import nn

import parity
from parity.judge.verdict import Verdict
from parity.models.side import Side
from tests.parity.models import ports, toys

LAST = r"encoder\.layer\.1\."


@dataclasses.dataclass(frozen=True)
class Planted:
    """A mistake.

    Attributes:
        pair: both sides, one of them with it.
        where: a regular expression of the place in torch's module or of the line's text in JAX, where it is found.
        words: a regular expression of its name; empty if it need have none.
    """

    name: str
    pair: Callable[[], tuple[Side, Side]]
    where: str
    words: str = ""
    backward: bool = False
    inputs: Callable[[], dict[str, np.ndarray]] = ports.inputs


def _ours(name: str, where: str, words: str, *, backward: bool = False, **parts: Any) -> Planted:
    """In the port of BERT."""
    return Planted(f"port: {name}", lambda: ports.bert_pair(parts), where, words, backward)


def _weights(name: str, where: str, words: str, change: Callable[[dict], None]) -> Planted:
    return Planted(f"weights: {name}", lambda: ports.bert_pair(change=change), where, words)


def _theirs(name: str, where: str, words: str, change: Callable[[Any], Any]) -> Planted:
    """In transformers' BERT."""

    def pair() -> tuple[Side, Side]:
        ours, theirs = ports.bert_pair()
        change(theirs.function)
        return ours, theirs

    return Planted(f"torch: {name}", pair, where, words)


def _norm(epsilon: float = 1e-12, ddof: int = 0, *, mean: bool = True, outside: bool = False) -> Callable[..., Any]:
    def norm(x, scale, bias):
        apart = x - x.mean(-1, keepdims=True) * mean
        variance = jnp.square(apart).sum(-1, keepdims=True) / (x.shape[-1] - ddof)
        root = jnp.sqrt(variance) + epsilon if outside else jnp.sqrt(variance + epsilon)
        return apart / root * scale + bias

    return norm


def _swap(one: str, other: str) -> Callable[[dict], None]:
    def change(params: dict) -> None:
        for kind in ("weight", "bias"):
            first, second = f"encoder.layer.1.{one}.{kind}", f"encoder.layer.1.{other}.{kind}"
            params[first], params[second] = params[second], params[first]

    return change


def _set(name: str, value: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict], None]:
    return lambda params: params.update({name: value(params[name])})


def _port() -> Iterator[Planted]:
    norms = rf"{LAST}(attention\.output|output)\.LayerNorm"
    yield _ours("tanh GELU", rf"{LAST}intermediate", "tanh GELU in JAX, exact GELU in torch", activation=nn.gelu)
    yield _ours("ReLU", rf"{LAST}intermediate", "ReLU in JAX, exact GELU", activation=nn.relu)
    yield _ours("SiLU", rf"{LAST}intermediate", "SiLU in JAX, exact GELU", activation=nn.silu)
    quick = lambda x: x * nn.sigmoid(1.702 * x)  # noqa: E731
    yield _ours("quick GELU", rf"{LAST}intermediate", "quick GELU in JAX, exact", activation=quick)
    yield _ours("epsilon 1e-5", norms, "epsilon 1e-05 in JAX, .* epsilon 1e-12 in", norm=_norm(1e-5))
    yield _ours("epsilon outside", norms, "added to the standard deviation in JAX", norm=_norm(1e-4, outside=True))
    yield _ours("unbiased variance", norms, "divided by 7 for 8 in JAX", norm=_norm(ddof=1))
    yield _ours("RMS norm", norms, "RMS norm .* in JAX, layer norm", norm=_norm(mean=False))
    without = lambda x, scale, bias: _norm()(x, scale, 0)  # noqa: E731
    yield _ours("norm without bias", norms, "without bias in JAX", norm=without)
    bare = lambda x, scale, bias: _norm()(x, 1, 0)  # noqa: E731
    yield _ours("norm without affine", norms, "without scale and bias in JAX", norm=bare)


def _port_attention() -> Iterator[Planted]:
    no_bias = lambda x, kernel, bias: x @ kernel  # noqa: E731
    yield _ours("no biases in attention", rf"{LAST}attention\.self", "kernel without bias in JAX", dense=no_bias)
    wide = lambda q, k: q @ k.swapaxes(-1, -2) / jnp.sqrt(8)  # noqa: E731
    yield _ours("scale of the width", rf"{LAST}attention\.self", r"0\.353553 .*in JAX, times 0\.5", scores=wide)
    plain = lambda q, k: q @ k.swapaxes(-1, -2)  # noqa: E731
    yield _ours("no scale", rf"{LAST}attention\.self", "torch has something more: times 0.5", scores=plain)
    turned = lambda q, k: k @ q.swapaxes(-1, -2) / 2  # noqa: E731
    yield _ours("query and key exchanged", rf"{LAST}attention\.self", "another order", scores=turned)
    yield _ours(
        "softmax over queries",
        rf"{LAST}attention\.self",
        "over axis 2 in JAX, .* last",
        softmax=lambda s: nn.softmax(s, -2),
    )
    inverted = lambda s, mask: jnp.where(mask[:, None, None] > 0, -jnp.inf, s)  # noqa: E731
    yield _ours(
        "mask inverted",
        rf"{LAST}attention\.self",
        "where attention_mask is true in JAX, .* is false in torch",
        masked=inverted,
    )
    yield _ours("no mask", rf"{LAST}attention\.self", "torch has something more", masked=lambda s, mask: s)
    added = lambda s, mask: s + mask[:, None, None]  # noqa: E731
    yield _ours("mask added as it is", rf"{LAST}attention\.self", "attention_mask added as it is in JAX", masked=added)
    small = lambda s, mask: jnp.where(mask[:, None, None] > 0, s, -10.0)  # noqa: E731
    yield _ours("mask of -10", rf"{LAST}attention\.self", "filled with -10", masked=small)
    causal = lambda s, mask: jnp.where(jnp.tril(jnp.ones((7, 7), bool)), ports.masked(s, mask), -jnp.inf)  # noqa: E731
    yield _ours("causal mask", rf"{LAST}attention\.self", "JAX has something more|filled", masked=causal)


def _port_layer() -> Iterator[Planted]:
    yield _ours(
        "heads not turned back", rf"{LAST}attention\.(self|output)", "another order", join=lambda x: x.reshape(3, 7, 8)
    )
    other = lambda x: x.reshape(3, 7, 4, 2).transpose(0, 3, 1, 2)  # noqa: E731
    yield _ours("heads split the other way", rf"{LAST}attention\.self", "another order", split=other)
    yield _ours(
        "no residual", rf"{LAST}attention\.output", "torch has something more: a sum", residual=lambda x, update: update
    )
    yield _ours(
        "residual twice",
        rf"{LAST}attention\.output",
        "JAX has something more: times 2",
        residual=lambda x, update: 2 * x + update,
    )
    yield _ours("positions from 1", r"embeddings", "rows", positions=lambda ids: jnp.arange(1, ids.shape[1] + 1)[None])
    yield _ours("no types", r"embeddings", "torch has something more", types=lambda params, ids: 0.0)
    yield _ours("last position pooled", r"pooler", "the last position in JAX, the first", pooled=lambda x: x[:, -1])
    yield _ours("mean pooled", r"pooler", "the mean of all positions in JAX, the first", pooled=lambda x: x.mean(1))
    yield _ours(
        "layer 0 twice",
        LAST,
        r"takes .*layer\.0.* in JAX, .*layer\.1.* in torch",
        layer=lambda params, number: ports.PARTS["layer"](params, 0),
    )


def _backward() -> Iterator[Planted]:
    detached = lambda x, update: jax.lax.stop_gradient(x) + update  # noqa: E731
    yield _ours(
        "residual detached", rf"{LAST}|0\.output", "torch has something more: a sum", backward=True, residual=detached
    )
    half = jax.custom_vjp(lambda x: ports.activation(x))
    half.defvjp(lambda x: (half(x), x), lambda x, g: (jax.vjp(ports.activation, x)[1](g)[0] / 2,))
    yield _ours("half a gradient", rf"{LAST}intermediate", r"times 0\.5|something more", backward=True, activation=half)
    yield _ours(
        "no gradient",
        rf"{LAST}(intermediate|output)",
        "",
        backward=True,
        activation=ports.without_gradient(ports.activation),
    )


def _loaded() -> Iterator[Planted]:
    name = "encoder.layer.1.attention.self."
    yield _weights(
        "square kernel not transposed",
        rf"{LAST}attention\.self\.query",
        "not transposed",
        _set(f"{name}query.weight", np.transpose),
    )
    yield _weights(
        "query bias dropped",
        rf"{LAST}attention\.self",
        "kernel without bias in JAX",
        _set(f"{name}query.bias", np.zeros_like),
    )
    yield _weights(
        "key and value exchanged",
        rf"{LAST}attention\.self",
        "reads",
        _swap("attention.self.key", "attention.self.value"),
    )
    yield _weights(
        "norms exchanged",
        LAST,
        r"takes .*\.output\.LayerNorm.* in JAX",
        _swap("attention.output.LayerNorm", "output.LayerNorm"),
    )


def _reference() -> Iterator[Planted]:
    def on_layer(path: str, name: str, value: Any) -> Callable[[Any], None]:
        return lambda model: setattr(model.encoder.layer[1].get_submodule(path), name, value)

    tanh = on_layer("intermediate", "intermediate_act_fn", torch.nn.GELU("tanh"))
    yield _theirs("tanh GELU", rf"{LAST}intermediate", "exact GELU in JAX, tanh GELU in torch", tanh)
    epsilon = on_layer("output.LayerNorm", "eps", 1e-3)
    yield _theirs("epsilon 1e-3", rf"{LAST}output\.LayerNorm", "1e-12 in JAX, .* 0.001 in torch", epsilon)
    without = on_layer("output", "LayerNorm", torch.nn.Identity())
    yield _theirs("norm left out", rf"{LAST}output", "JAX has something more: layer norm", without)
    dropping = on_layer("output.dropout", "training", True)
    yield _theirs("dropout left on", rf"{LAST}output", "dropout left on", dropping)
    linear = lambda model: setattr(model.pooler, "activation", torch.nn.Identity())  # noqa: E731
    yield _theirs("pooler's tanh left out", r"pooler|ports", "JAX has something more: tanh", linear)
    yield Planted(
        "NNX's defaults",
        lambda: _stock(),
        "norm1",
        "epsilon 1e-06 in JAX, .* 1e-05",
        inputs=lambda: {"src": toys.sequences()},
    )
    yield Planted("RoBERTa's positions", lambda: ports.roberta_pair(0), "embeddings", "rows")


def _stock() -> tuple[Side, Side]:
    layer = toys.torch_layer()
    return parity.jax(toys.carried(layer, made_equal=False)), parity.torch(layer)


ALL = [*_port(), *_port_attention(), *_port_layer(), *_backward(), *_loaded(), *_reference()]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Whether a mistake was caught, found where it is, and named; and what was said."""

    caught: bool
    placed: bool
    named: bool
    said: str


def outcome(planted: Planted) -> Outcome:
    """Compares, and judges what is said of the first parting."""
    report = parity.compare(*planted.pair(), planted.inputs(), backward=planted.backward)
    partings = report.cases[0].partings
    if not partings:
        return Outcome(report.verdict is Verdict.FAIL_SEMANTIC, False, False, str(report).splitlines()[0])
    first = partings[0]
    places = [cut.place.module or cut.place.line for cut in (first.theirs, first.ours)]
    said = "; ".join([*first.causes, *first.shape[:1], *report.problems[:1]])
    return Outcome(
        report.verdict is Verdict.FAIL_SEMANTIC,
        any(re.search(planted.where, place) for place in places),
        bool(planted.words) and any(re.search(planted.words, cause) for cause in (*first.causes, *report.problems)),
        f"{first.ours.op or '-'} / {first.theirs.op or '-'} at {' / '.join(places[::-1])}: {said}",
    )


if __name__ == "__main__":
    found = []
    for one in ALL:
        result = outcome(one)
        found.append((one, result))
        marks = "".join(
            letter if held else "-"
            for letter, held in zip("CPN", (result.caught, result.placed, result.named), strict=True)
        )
        print(f"{marks}  {one.name:<32}  {result.said}", flush=True)
    for what in ("caught", "placed", "named"):
        print(f"{what}: {sum(getattr(result, what) for _, result in found)} of {len(found)}")
