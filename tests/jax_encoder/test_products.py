"""Products have the values and derivatives of JAX's own, in every form that the encoder has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_encoder import products

SPECS = {
    "BTD,DNH->BNTH": ((2, 3, 5), (5, 7, 4)),
    "BNTH,NHD->BTD": ((2, 7, 3, 4), (7, 4, 5)),
    "BNTS,BNSH->BNTH": ((2, 7, 3, 6), (2, 7, 6, 4)),
    "BTD,DF->BTF": ((2, 3, 5), (5, 8)),
    "BTF,FD->BTD": ((2, 3, 8), (8, 5)),
}


def drawn(spec, dtype):
    rng = np.random.default_rng(len(spec))
    x, y = (jnp.asarray(rng.standard_normal(shape), dtype) for shape in SPECS[spec])
    out = jax.eval_shape(lambda: jnp.einsum(spec, x, y)).shape
    return x, y, jnp.asarray(rng.standard_normal(out), dtype)


@pytest.mark.parametrize("spec", SPECS)
def test_values_and_derivatives_are_those_of_jax(spec):
    with jax.enable_x64(True):
        x, y, cotangent = drawn(spec, jnp.float64)
        ours, pull_back = jax.vjp(lambda x, y: products.einsum(spec, x, y, precision=None), x, y)
        theirs, their_pull_back = jax.vjp(lambda x, y: jnp.einsum(spec, x, y), x, y)
        pairs = zip((ours, *pull_back(cotangent)), (theirs, *their_pull_back(cotangent)), strict=True)
        for one, other in pairs:
            assert one.dtype == jnp.float64
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
def test_linear_multiplies_the_last_axis(shape):
    rng = np.random.default_rng(0)
    x, kernel = jnp.asarray(rng.standard_normal(shape), jnp.float32), jnp.ones((5, 4), jnp.float32)
    np.testing.assert_allclose(products.linear(x, kernel, (((x.ndim - 1,), (0,)), ((), ()))), x @ kernel, rtol=1e-6)


@pytest.mark.parametrize("spec", SPECS)
def test_bfloat16_is_rounded_once(spec):
    x, y, cotangent = drawn(spec, jnp.bfloat16)
    pulled = jax.vjp(lambda x, y: products.einsum(spec, x, y), x, y)
    found = (pulled[0], *pulled[1](cotangent))
    wide = jax.vjp(lambda x, y: jnp.einsum(spec, x, y), *(one.astype(jnp.float32) for one in (x, y)))
    exact = (wide[0], *wide[1](cotangent.astype(jnp.float32)))
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == jnp.bfloat16
        np.testing.assert_allclose(one.astype(jnp.float32), other, rtol=2**-8, atol=2**-8)


def test_bfloat16_runs_on_a_cpu_where_the_sum_is_wide_and_the_result_is_turned():
    """At widths that XLA hands on to a library; were the sum turned before it is rounded, XLA would raise."""
    x, kernel, cotangent = (jnp.ones(shape, jnp.bfloat16) for shape in ((2, 64, 256), (256, 128), (2, 64, 128)))

    @jax.jit
    def pulled(x, kernel, cotangent):
        return jax.vjp(lambda x, kernel: products.einsum("BTF,FD->BTD", x, kernel), x, kernel)[1](cotangent)

    on_x, on_kernel = pulled(x, kernel, cotangent)
    assert (float(on_x.max()), float(on_kernel.max())) == (128, 128)


@pytest.mark.parametrize(("spec", "turned"), [("BTD,DF->BTF", (2, 3, 5)), ("BTF,FD->BTD", (2, 3, 5))])
def test_the_narrower_factor_is_turned_for_a_kernels_gradient(spec, turned):
    """The product's first factor is the one that XLA has to turn."""
    x, y, cotangent = drawn(spec, jnp.float32)
    jaxpr = jax.make_jaxpr(lambda cotangent: products._backward(spec, (x, y), cotangent))(cotangent)
    firsts = [one.invars[0].aval.shape for one in jaxpr.eqns if one.primitive.name == "dot_general"]
    assert firsts == [cotangent.shape, turned]


def test_a_wide_gradient_is_turned_after_its_product():
    """XLA would swap the factors, were there nothing between the product and the order of its axes."""
    x, y, cotangent = drawn("BTF,FD->BTD", jnp.float32)
    jaxpr = jax.make_jaxpr(lambda: products._backward("BTF,FD->BTD", (x, y), cotangent)[1])()
    names = [one.primitive.name for one in jaxpr.eqns]
    assert names[-3:] == ["dot_general", "optimization_barrier", "transpose"]


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
def test_a_bias_has_the_derivative_of_a_sum(shape):
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, cotangent = (jnp.asarray(rng.standard_normal(shape)) for _ in range(2))
        bias = jnp.asarray(rng.standard_normal(5))
        result, pull_back = jax.vjp(products.plus, x, bias)
        np.testing.assert_array_equal(result, np.asarray(x) + np.asarray(bias))
        on_x, on_bias = pull_back(cotangent)
        np.testing.assert_array_equal(on_x, cotangent)
        np.testing.assert_allclose(on_bias, cotangent.reshape(-1, 5).sum(0), rtol=1e-14, atol=1e-14)
