"""What NumPy computes in the place of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from parity.models import primitives

X, Y = (np.random.default_rng(seed).normal(size=(2, 3, 4)) for seed in (0, 1))
POSITIVE, BITS = np.abs(X) + 0.1, X > 0
INTEGERS = np.arange(24).reshape(2, 3, 4)
CALLS = {
    **{f.__name__: (f, X) for f in (lax.neg, lax.exp, lax.exp2, lax.expm1, lax.tanh, lax.sin, lax.cos, lax.abs)},
    **{f.__name__: (f, X) for f in (lax.sign, lax.floor, lax.ceil, lax.erf, lax.logistic, lax.is_finite, lax.square)},
    **{f.__name__: (f, POSITIVE) for f in (lax.log, lax.log1p, lax.sqrt, lax.rsqrt)},
    **{f.__name__: (f, X, Y) for f in (lax.add, lax.sub, lax.mul, lax.div, lax.max, lax.min, lax.eq, lax.ne)},
    **{f.__name__: (f, X, Y) for f in (lax.lt, lax.le, lax.gt, lax.ge)},
    **{f"{f.__name__} of bits": (f, BITS, Y > 0) for f in (lax.bitwise_and, lax.bitwise_or, lax.bitwise_xor)},
    **{f"{f.__name__} of integers": (f, INTEGERS, INTEGERS + 5) for f in (lax.bitwise_and, lax.bitwise_or)},
    "not of bits": (lax.bitwise_not, BITS),
    "not of integers": (lax.bitwise_not, INTEGERS),
    "integer_pow": (lambda x: lax.integer_pow(x, 3), X),
    "integer_pow below zero": (lambda x: lax.integer_pow(x, -2), POSITIVE),
    "pow": (lax.pow, POSITIVE, Y),
    "select_n": (lax.select, BITS, X, Y),
    "slice": (lambda x: lax.slice(x, (0, 1, 0), (2, 3, 4), (1, 1, 2)), X),
    "iota": (lambda x: x + lax.broadcasted_iota(jnp.float64, (2, 3, 4), 1), X),
    "dot_general": (lambda x, y: lax.dot_general(x, y, (((2,), (2,)), ((0,), (0,)))), X, Y),
    "dot_general over two": (lambda x, y: lax.dot_general(x, y, (((0, 2), (0, 2)), ((), ()))), X, Y),
    "broadcast_in_dim": (lambda x: lax.broadcast_in_dim(x, (5, 2, 7, 3, 4), (1, 3, 4)), X),
    "transpose": (lambda x: lax.transpose(x, (2, 0, 1)), X),
    "reshape": (lambda x: lax.reshape(x, (6, 4)), X),
    "squeeze": (lambda x: lax.squeeze(lax.expand_dims(x, (1,)), (1,)), X),
    "concatenate": (lambda x, y: lax.concatenate([x, y], 1), X, Y),
    "rev": (lambda x: lax.rev(x, (0, 2)), X),
    "cumsum": (lambda x: lax.cumsum(x, 1), X),
    "cumsum from the end": (lambda x: lax.cumsum(x, 2, reverse=True), X),
    "reductions": (lambda x: x.sum((0, 2)) + x.max((0, 2)) + x.min((0, 2)), X),
    "any and all": (lambda b: (b.any(1), b.all(1)), BITS),
    "convert": (lambda x: lax.convert_element_type(x, jnp.int64), X),
}


@pytest.mark.parametrize("name", CALLS)
def test_numpy_computes_what_jax_does(name):
    function, *arrays = CALLS[name]
    jaxpr = jax.make_jaxpr(function)(*arrays).jaxpr
    env = dict(zip(jaxpr.invars, arrays, strict=True))
    for equation in jaxpr.eqns:
        given = tuple(
            np.asarray(getattr(one, "val", None)) if hasattr(one, "val") else env[one] for one in equation.invars
        )
        assert primitives.known(equation.primitive.name, given), equation.primitive.name
        found = primitives.compute(equation.primitive.name, given, equation.params)
        wanted = np.asarray(equation.primitive.bind(*given, **equation.params))
        assert found.shape == wanted.shape
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-14, atol=1e-14)
        env[equation.outvars[0]] = found


def test_what_numpy_does_not_compute():
    assert not primitives.known("sort", (X,))
    assert not primitives.known("div", (INTEGERS, INTEGERS))  # rounds to zero in JAX
    assert not primitives.known("add", (X.astype(complex),))
