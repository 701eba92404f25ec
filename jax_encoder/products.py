"""Products of two arrays, and of their derivatives, in the form that costs least.

The gradient of a kernel multiplies inputs and cotangents over all positions, and one of them has to be turned for it:
JAX turns the cotangent, this the narrower one. That of a bias is a product with ones: XLA's sums over all rows of a
wide array take longer.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jax_encoder.precision import at_least_float32


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
    return on_x, _product(f"{out},{of_x}->{of_y}", cotangent, x, as_said=True)


_einsum.defvjp(_forward, _backward)


def _product(spec: str, x: Array, y: Array, *, as_said: bool = False) -> Array:
    """One product with `x` as its first factor, of which `jnp.einsum` makes no promise; sums are in at least float32.

    It is rounded before its axes are put in order: XLA would fold that into a product of bfloat16 into float32 that it
    has already given to a library for CPUs, and then find no program for it (`Unsupported element type for DotThunk`).
    XLA folds the order of the result's axes into the product and thereby swaps the factors; not `as_said`.
    """
    inputs, out = spec.split("->")
    of_x, of_y = inputs.split(",")
    shared = [axis for axis in of_x if axis in of_y]
    batch, summed = [axis for axis in shared if axis in out], [axis for axis in shared if axis not in out]
    over, along = ((tuple(map(of_x.index, axes)), tuple(map(of_y.index, axes))) for axes in (summed, batch))
    made = [*batch, *(axis for axis in of_x if axis not in shared), *(axis for axis in of_y if axis not in shared)]
    result = jax.lax.dot_general(x, y, (over, along), preferred_element_type=at_least_float32(x.dtype)).astype(x.dtype)
    if as_said:
        result = jax.lax.optimization_barrier(result)
    return result.transpose([made.index(axis) for axis in out])


@jax.custom_vjp
def plus(x: Float[Array, "*rows F"], bias: Float[Array, " F"]) -> Float[Array, "*rows F"]:
    """Adds a bias to every row of an array of its dtype."""
    return x + jnp.broadcast_to(bias, x.shape)


def _plus_forward(x: Array, bias: Array) -> tuple[Array, None]:
    return plus(x, bias), None


def _plus_backward(_: None, cotangent: Array) -> tuple[Array, Array]:
    rows = cotangent.reshape(-1, cotangent.shape[-1])
    return cotangent, (jnp.ones((1, len(rows)), rows.dtype) @ rows)[0]


plus.defvjp(_plus_forward, _plus_backward)
