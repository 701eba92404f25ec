"""Mistakes in rotary positions."""

from typing import Any

import jax.numpy as jnp
import torch
from torch import Tensor, nn

import jax_encoder.rope
import torch_ref
import torch_ref.attention
from parity.encoder.bugs import applies
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch, Plant
from parity.encoder.bugs.plant import every, patched, set_on, wrapped
from torch_ref.attention import Attention

_ROTARY = applies.has(position_kind="rotary", rope_frequencies=())
_TURNED = r"layers\.\d+\.attention\.rotated_(query|key)"


def _rotate_neighbours(x: Tensor, positions: Tensor | None, theta: float) -> Tensor:
    T, H = x.shape[1], x.shape[3]
    positions = torch.arange(T)[None] if positions is None else positions
    angle = positions[:, :, None, None] * theta ** (-torch.arange(0, H, 2, dtype=x.dtype) / H)
    even, odd = x[..., ::2], x[..., 1::2]
    turned = (even * angle.cos() - odd * angle.sin(), odd * angle.cos() + even * angle.sin())
    return torch.stack(turned, dim=-1).flatten(-2)


def _our_rotate_neighbours(x: Any, angles: Any) -> Any:
    even, odd = x[..., ::2], x[..., 1::2]
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    return jnp.stack((even * cos - odd * sin, odd * cos + even * sin), axis=-1).reshape(x.shape)


def _rotate_half_of_the_head(x: Tensor, positions: Tensor | None, theta: float) -> Tensor:
    turned, kept = x.chunk(2, dim=-1)
    return torch.cat((torch_ref.rotate(turned, positions, theta), kept), dim=-1)


def _one_theta(model: nn.Module, _: Patch) -> None:
    for attention in every(model, Attention):
        attention.theta = every(model, Attention)[0].theta


def _our_one_theta(plot: JaxPlot, _: Patch) -> None:
    plot.configure(rope_thetas=(plot.config.rope_thetas[0],) * plot.config.num_layers)


def _our_backwards(function: Any) -> Any:
    return lambda x, angles: function(x, -angles)


def _our_base(plot: JaxPlot, _: Patch) -> None:
    plot.configure(rope_thetas=(10_000.0,) * plot.config.num_layers)


def _our_formula(plot: JaxPlot, _: Patch) -> None:
    plot.configure(rope_frequencies=())


def _positions(x: Tensor, positions: Tensor | None) -> Tensor:
    return torch.arange(x.shape[1])[None] if positions is None else positions


def _rope(name: str, mistake: str, plants: tuple[Plant, Plant | None], source: str = "", **rest: Any) -> ModelBug:
    plant, in_jax = plants
    options: dict[str, Any] = {"where": _TURNED, "variant": "rotary", "applies": _ROTARY} | rest
    return ModelBug(name=name, mistake=mistake, source=source, plant=plant, in_jax=in_jax, **options)


def _rotation(function: Any) -> Plant:
    return patched(torch_ref.attention, "rotate", function)


def _our_rotation(function: Any) -> Plant:
    return patched(jax_encoder.rope, "rotate", function)


ROTARY_BUGS = (
    _rope(
        "rope-interleaved",
        "rotary pairs (2i, 2i+1) for (i, i+H/2)",
        (_rotation(_rotate_neighbours), _our_rotation(_our_rotate_neighbours)),
        "transformers#25199",
    ),
    _rope(
        "rope-partial",
        "half of the head rotated where all of it should be",
        (_rotation(_rotate_half_of_the_head), None),
        "MaxText",
        # Half of the head has pairs of its own.
        applies=applies.every(_ROTARY, applies.on(lambda config: config.head_dim % 4 == 0)),
    ),
    _rope(
        "rope-backwards",
        "rotary angles with the wrong sign",
        (
            _rotation(lambda x, positions, theta: torch_ref.rotate(x, -_positions(x, positions), theta)),
            wrapped(jax_encoder.rope, "rotate", _our_backwards),
        ),
    ),
    _rope(
        "rope-theta",
        "one rotary base for all layers",
        (_one_theta, _our_one_theta),
        where=r"layers\.[1-9]\d*\.attention\.rotated_(query|key)",
        applies=applies.several_thetas,
    ),
    _rope(
        "rope-base",
        "rotary base 10,000 for the config's",
        (set_on(Attention, theta=10_000.0), _our_base),
        # Where the first layer has that base, this is one base for all layers.
        applies=applies.every(_ROTARY, applies.on(lambda config: config.rope_thetas[0] != 10_000.0)),
    ),
    _rope(
        "rope-rounded",
        "rotary frequencies computed anew where the checkpoint holds rounded ones",
        (set_on(Attention, frequencies=()), _our_formula),
        "transformers#19587",
        variant="esm",
        applies=applies.rounded_frequencies,
    ),
    _rope(
        "rope-positions",
        "rotary positions counted over the whole row",
        (_rotation(lambda x, positions, theta: torch_ref.rotate(x, None, theta)), None),
        case="packed",
    ),
)
