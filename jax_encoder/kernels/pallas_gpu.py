"""Attention on a GPU by JAX's own Pallas kernel, which knows documents and no window: Dao (2023),
https://arxiv.org/abs/2307.08691.

Axes: B batch, N num_heads, G num_key_value_heads, T query position, S key position, H head_dim.
"""

import functools
import importlib.util
import warnings

import jax.numpy as jnp
from jaxtyping import Array, Float

from jax_encoder.kernels.einsum import shared
from jax_encoder.kernels.library import called
from jax_encoder.kernels.sight import Attend, Sight, padded

# Rows are filled up to a multiple of the kernel's longest block.
BLOCK = 128
_STAGES = 2


@functools.cache
def available() -> bool:
    """Whether this release of JAX has the kernel: jax 0.12 says that it will go."""
    try:
        return importlib.util.find_spec("jax.experimental.pallas.ops.gpu.attention") is not None
    except ModuleNotFoundError:
        return False


def attend_by(interpret: bool) -> Attend:
    """The kernel, or its meaning run by Pallas' interpreter on any device."""
    # Here, so that who needs no kernel need not wait for Pallas.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # jax 0.12 is about to drop it
        from jax.experimental.pallas.ops.gpu.attention import BlockSizes, mha

    def attend(
        query_BNTH: Float[Array, "B N T H"],
        key_BGSH: Float[Array, "B G S H"],
        value_BGSH: Float[Array, "B G S H"],
        sight: Sight,
        scale: float,
    ) -> Float[Array, "B N T H"]:
        num_heads, length = query_BNTH.shape[1:3]
        heads = (query_BNTH, shared(key_BGSH, num_heads), shared(value_BGSH, num_heads))
        # The kernel has its heads behind the positions. Padding is a document of its own, so no query sees nothing.
        given = [padded(x, BLOCK, axis=2).swapaxes(1, 2) for x in heads]
        segments_BT = padded(sight.segments, BLOCK, axis=1)
        settings = (scale, False, BlockSizes.get_default(), "triton", None, _STAGES, None, interpret)

        def run(*given: Array) -> Array:
            return jnp.asarray(mha(*given, *settings))

        context_BTNH = called(run, query_BNTH.dtype)(*given, segments_BT)
        return context_BTNH.swapaxes(1, 2)[:, :, :length]

    return attend
