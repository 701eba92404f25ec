"""One case computed by our implementations and by the reference's arithmetic in torch.

Axes: B row, N num_heads, G num_key_value_heads, T position, H head_dim.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import torch
from jax.typing import DTypeLike

from jax_encoder.kernels.fused import attended
from jax_encoder.kernels.sight import Attend, Sight
from parity.graph.programs import quickly
from parity.judge.crash import running
from parity.judge.sites import Site
from parity.kernels.matrix import Given, Shape, draw, scale
from torch_ref import masks

NAMES = ("context", "query_gradient", "key_gradient", "value_gradient")

Sites = tuple[Site, ...]


def rounded(given: Given, dtype: str) -> Given:
    """The same with what the dtype can hold, in float64: no rounding of the inputs counts as error."""
    narrow = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    floats = {
        name: getattr(given, name).astype(narrow).astype(np.float64) for name in given._fields if name != "segments"
    }
    return given._replace(**floats)


def of_jax(attend: Attend, given: Given, shape: Shape, dtype: DTypeLike) -> Sites:
    """The context and the gradients of its product with the direction, by an implementation of ours."""

    def run(query: jax.Array, key: jax.Array, value: jax.Array, segments: jax.Array, direction: jax.Array) -> tuple:
        context, pull = jax.vjp(
            lambda *heads: attended(attend, heads, Sight(segments, shape.window), scale(shape)), query, key, value
        )
        return context, *pull(direction)

    floats = [jnp.asarray(array, dtype) for array in (given.query, given.key, given.value)]
    with running("JAX"):
        made = quickly(run)(*floats, jnp.asarray(given.segments), jnp.asarray(given.direction, dtype))
        # numpy alone has no bfloat16; float32 holds every number of it.
        wide = np.promote_types(np.float32, made[0].dtype)
        return tuple(Site(name, np.asarray(one).astype(wide)) for name, one in zip(NAMES, made, strict=True))


@functools.lru_cache(maxsize=32)
def _of_torch(case: tuple[Shape, str], compute: str) -> Sites:
    shape, inputs = case
    given = rounded(draw(shape), inputs)
    with running("torch"):
        heads = [
            torch.tensor(array, dtype=getattr(torch, compute), requires_grad=True)
            for array in (given.query, given.key, given.value)
        ]
        mask_BTS = masks.window(masks.from_segments(torch.tensor(given.segments)), shape.window)
        context = _attend(heads, mask_BTS, scale(shape))
        direction = torch.tensor(given.direction, dtype=context.dtype)
        made = context, *torch.autograd.grad(context, heads, direction)
        wide = np.promote_types(np.float32, compute if compute == "float64" else "float32")
        return tuple(
            Site(name, one.detach().to(torch.float64).numpy().astype(wide))
            for name, one in zip(NAMES, made, strict=True)
        )


def of_torch(shape: Shape, *, inputs: str, compute: str) -> Sites:
    """The same by the arithmetic of `torch_ref.attention`, computed once.

    Args:
        shape: of the case.
        inputs: the dtype that holds what it is computed from.
        compute: the dtype that it is computed in.
    """
    return _of_torch((shape, inputs), compute)


def _attend(heads: Sequence[torch.Tensor], mask_BTS: torch.Tensor, factor: float) -> torch.Tensor:
    query_BNTH, key_BGTH, value_BGTH = heads
    sharing = query_BNTH.shape[1] // key_BGTH.shape[1]
    key_BNTH, value_BNTH = (x.repeat_interleave(sharing, dim=1) for x in (key_BGTH, value_BGTH))
    wide = torch.promote_types(query_BNTH.dtype, torch.float32)
    forbidden = ~mask_BTS[:, None]
    scores = factor * (query_BNTH.to(wide) @ key_BNTH.to(wide).transpose(2, 3))
    masked = scores.masked_fill(forbidden, torch.finfo(wide).min)
    weights = masked.softmax(dim=-1).masked_fill(forbidden, 0)
    return weights.to(value_BNTH.dtype) @ value_BNTH
