import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import jax_encoder.norm
from jax_encoder.heads import MLMHead
from jax_encoder.layer import EncoderLayer
from parity.encoder.preflight import mantissa_bits, multiply_in_jax, multiply_in_torch
from parity.precision.bugs import PRECISION_BUGS
from parity.precision.fewer_digits import RoundedTorchProducts, planted, with_rounded_products

BUGS = {bug.name: bug for bug in PRECISION_BUGS}
RNG = np.random.default_rng(0)
X, W = (RNG.standard_normal((6, 6)).astype(np.float32) for _ in range(2))


def narrow(x: np.ndarray) -> np.ndarray:
    """bfloat16's values, by a library that has no part in what is tested."""
    return np.asarray(x, ml_dtypes.bfloat16).astype(np.float32)


def rounded(function, *arguments):
    return np.asarray(jax.jit(with_rounded_products(function, 8))(*arguments))


def close(actual, expected) -> bool:
    return np.allclose(actual, expected, rtol=1e-6, atol=1e-6)


def test_operands_are_rounded_and_sums_are_not():
    found = rounded(jnp.matmul, X, W)
    assert close(found, narrow(X) @ narrow(W))
    assert not close(found, X @ W)
    assert not close(found, narrow(found))


def in_a_loop(x, w):
    return jax.lax.scan(lambda carry, row: (carry, row @ w), 0, x)[1]


def in_a_branch(x, w):
    return jax.lax.cond(x.sum() > -1e9, lambda: x @ w, lambda: x)


def in_a_while_loop(x, w):
    return jax.lax.while_loop(lambda state: state[0] < 1, lambda state: (state[0] + 1, x @ w), (0, x))[1]


@jax.custom_jvp
def with_its_own_derivative(x, w):
    return x @ w


with_its_own_derivative.defjvp(lambda primals, tangents: (primals[0] @ primals[1], tangents[0] @ primals[1]))


@jax.custom_vjp
def with_its_own_gradient(x, w):
    return x @ w


with_its_own_gradient.defvjp(lambda x, w: (x @ w, (x, w)), lambda residuals, cotangent: residuals)


@pytest.mark.parametrize(
    "function",
    [jax.jit(jnp.matmul), in_a_loop, in_a_branch, in_a_while_loop, with_its_own_derivative, with_its_own_gradient],
)
def test_no_product_hides_in_a_program_within(function):
    assert close(function(X, W), X @ W)
    assert close(rounded(function, X, W), narrow(X) @ narrow(W))


def test_everything_else_is_as_it_was():
    def function(x, flags):
        return {"a": jnp.where(flags, jnp.exp(x), 2.0), "b": (x.sum(), x.argmax(), None)}

    flags = X > 0
    found, right = jax.jit(with_rounded_products(function, 8))(X, flags), jax.jit(function)(X, flags)
    assert jax.tree.all(jax.tree.map(lambda ours, theirs: bool((ours == theirs).all()), found, right))
    assert jax.tree.structure(found) == jax.tree.structure(right)


def test_float64_products_keep_their_digits():
    wide = X.astype(np.float64), W.astype(np.float64)
    assert np.array_equal(rounded(jnp.matmul, *wide), jax.jit(jnp.matmul)(*wide))
    with RoundedTorchProducts(8):
        assert mantissa_bits(multiply_in_torch, "float64") == 53


def test_cutting_off_is_not_rounding():
    exact, up = np.full((1, 1), 1 + 2**-8 + 2**-9, np.float32), np.float32(1 + 2**-7)
    one = np.ones((1, 1), np.float32)
    assert rounded(jnp.matmul, exact, one).item() == up
    cut = jax.jit(with_rounded_products(jnp.matmul, 8, cuts=True))
    assert np.asarray(cut(exact, one)).item() == 1
    assert np.asarray(cut(-exact, one)).item() == -1
    assert np.asarray(cut(exact.astype(np.float64), one.astype(np.float64))).item() == exact.item()


@pytest.mark.parametrize("digits", [8, 11])
def test_what_is_planted_is_what_is_measured(digits):
    multiply = jax.jit(with_rounded_products(jnp.matmul, digits))
    assert mantissa_bits(lambda *operands: np.asarray(multiply(*operands)), "float32") == digits
    assert mantissa_bits(multiply_in_jax, "float32") == 24
    with RoundedTorchProducts(digits):
        assert mantissa_bits(multiply_in_torch, "float32") == digits
    assert mantissa_bits(multiply_in_torch, "float32") == 24


def test_every_product_of_torch_is_rounded():
    x, w, bias = (torch.from_numpy(array) for array in (X, W, X[0].copy()))
    right = narrow(X) @ narrow(W)
    with RoundedTorchProducts(8):
        assert close(x @ w, right)
        assert close(x[None] @ w[None], right[None])
        assert close(torch.nn.functional.linear(x, w.T, bias), right + X[0])
        assert close(torch.nn.functional.linear(x[None], w.T, bias), right[None] + X[0])
        assert close(torch.baddbmm(bias, x[None], w[None]), right[None] + X[0])
        assert close(torch.einsum("ij,jk->ik", x, w), right)
        assert torch.equal(x + w, torch.from_numpy(X + W))


def test_both_frameworks_round_alike():
    values = np.concatenate([X.ravel(), [0.0, -0.0, 1 + 2**-8, 1 + 3 * 2**-8, -(2.0**-126), 3e38]]).astype(np.float32)
    values = np.pad(values, (0, 7))[None]
    one = np.eye(values.shape[1], dtype=np.float32)
    with RoundedTorchProducts(8):
        theirs = (torch.from_numpy(values) @ torch.from_numpy(one)).numpy()
    assert np.array_equal(rounded(jnp.matmul, values, one), theirs)
    assert np.array_equal(theirs, narrow(values))


def test_nothing_planted_is_the_function_itself():
    assert planted(in_a_loop, None) is in_a_loop


@pytest.mark.parametrize("name", [bug.name for bug in PRECISION_BUGS if bug.part not in ("products", "everything")])
def test_what_is_lent_is_taken_back_whatever_happens(name):
    def lent():
        return (
            jax_encoder.norm.at_least_float32,
            jax_encoder.attention.at_least_float32,
            EncoderLayer._add_attention,
            EncoderLayer._add_mlp,
            MLMHead.__call__,
        )

    before, within = lent(), []

    def broken():
        within.append(lent())
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        planted(broken, BUGS[name])()
    assert within != [before]
    assert lent() == before
