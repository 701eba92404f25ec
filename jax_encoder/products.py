"""Products of two arrays, and of their derivatives, in the form that costs least.

The gradient of a kernel multiplies inputs and cotangents over all positions, and one of them has to be turned for it:
JAX turns the cotangent, this the narrower one.
"""

from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Float


def linear(
    x: Float[Array, "*rows D"], kernel: Float[Array, "D F"], dimensions: Any, **_: Any
) -> Float[Array, "*rows F"]:
    """As `nnx.Linear` calls its product: over the last axis of `x` and the first of `kernel`, at JAX's precision."""
    rows = "abcdefgh"[: x.ndim - 1]
    return einsum(f"{rows}x,xy->{rows}y", x, kernel)


def einsum(spec: str, x: Float[Array, "..."], y: Float[Array, "..."], **_: Any) -> Float[Array, "..."]:
    """As `jnp.einsum` for two arrays of one dtype, at JAX's precision; every axis lies in two of the three arrays."""
    return _einsum(spec, x, y)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _einsum(spec: str, x: Array, y: Array) -> Array:
    return _product(spec, x, y)


def _forward(spec: str, x: Array, y: Array) -> tuple[Array, tuple[Array, Array]]:
    return _product(spec, x, y), (x, y)


def _backward(spec: str, factors: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    x, y = factors
    inputs, out = spec.split("->")
    of_x, of_y = inputs.split(",")
    on_x = _product(f"{out},{of_y}->{of_x}", cotangent, y)
    # What stands first is turned.
    if x.size <= cotangent.size:
        return on_x, _product(f"{of_x},{out}->{of_y}", x, cotangent)
    return on_x, _product(f"{out},{of_x}->{of_y}", cotangent, x)


_einsum.defvjp(_forward, _backward)


def _product(spec: str, x: Array, y: Array) -> Array:
    """One product with `x` as its first factor, of which `jnp.einsum` makes no promise."""
    inputs, out = spec.split("->")
    of_x, of_y = inputs.split(",")
    shared = [axis for axis in of_x if axis in of_y]
    batch, summed = [axis for axis in shared if axis in out], [axis for axis in shared if axis not in out]
    over, along = ((tuple(map(of_x.index, axes)), tuple(map(of_y.index, axes))) for axes in (summed, batch))
    made = [*batch, *(axis for axis in of_x if axis not in shared), *(axis for axis in of_y if axis not in shared)]
    return jax.lax.dot_general(x, y, (over, along)).transpose([made.index(axis) for axis in out])
