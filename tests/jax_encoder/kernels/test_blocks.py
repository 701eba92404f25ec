"""Attention in blocks: what it refuses, and how its memory grows. Its values are the business of `parity kernels`."""

import jax
import jax.numpy as jnp
import pytest

from jax_encoder.kernels import blocks
from jax_encoder.kernels.sight import Sight

WINDOW = 64


def temporary_bytes(attend, length: int, window: int | None) -> int:
    """What forward and backward pass need beside their arguments and results."""

    def loss(query, key, value, segments):
        return attend(query, key, value, Sight(segments, window), 0.125).sum()

    heads = jax.ShapeDtypeStruct((1, 2, length, 16), jnp.float32)
    segments = jax.ShapeDtypeStruct((1, length), jnp.int32)
    compiled = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(heads, heads, heads, segments).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(("attend", "window"), [(blocks.windows, WINDOW), (blocks.rows, None)], ids=["windows", "rows"])
def test_memory_is_linear_in_the_row(attend, window):
    each = [temporary_bytes(attend, length, window) / length for length in (1024, 2048, 4096, 8192)]
    assert max(each) < 1.2 * min(each)
    # All scores of two heads in float32 alone would be as many bytes as this for each position.
    assert each[-1] < 8192 * 2 * 4 / 4


def test_each_says_what_it_is_not_for():
    heads, segments = jnp.zeros((1, 1, 4, 2)), jnp.ones((1, 4), jnp.int32)
    with pytest.raises(ValueError, match=r"^blocks of a window need one; a layer that sees all of its row is for "):
        blocks.windows(heads, heads, heads, Sight(segments, None), 1.0)
    with pytest.raises(
        ValueError, match=r"^blocks over whole rows know no window, got 3; kernels\.blocks\.windows does"
    ):
        blocks.rows(heads, heads, heads, Sight(segments, 3), 1.0)
