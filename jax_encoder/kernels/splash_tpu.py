"""Attention on a TPU by JAX's own splash kernel, which knows documents and windows and skips what neither needs.

Axes: B batch, N num_heads, G num_key_value_heads, T query position, S key position, H head_dim.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jax_encoder.kernels.library import called
from jax_encoder.kernels.sight import Attend, Sight, padded
from jax_encoder.precision import at_least_float32

# Rows are filled up to a multiple of the least; of the larger ones the largest that divides them is used.
BLOCKS = (512, 256, 128)


def attend_by(interpret: bool) -> Attend:
    """The kernel, or its meaning run by Pallas' interpreter on any device."""
    # Here, so that who needs no kernel need not wait for Pallas.
    from jax.experimental.pallas.ops.tpu.splash_attention.splash_attention_kernel import SegmentIds

    def attend(
        query_BNTH: Float[Array, "B N T H"],
        key_BGSH: Float[Array, "B G S H"],
        value_BGSH: Float[Array, "B G S H"],
        sight: Sight,
        scale: float,
    ) -> Float[Array, "B N T H"]:
        length, dtype = query_BNTH.shape[2], query_BNTH.dtype
        # The kernel has no scale.
        scaled_BNTH = (scale * query_BNTH.astype(at_least_float32(dtype))).astype(dtype)
        heads = [padded(x, BLOCKS[-1], axis=2) for x in (scaled_BNTH, key_BGSH, value_BGSH)]
        # Padding is a document of its own here, so no query sees nothing.
        segments_BT = padded(sight.segments, BLOCKS[-1], axis=1)
        kernel = _kernel(heads[0].shape[1], segments_BT.shape[1], sight.window, interpret)

        def one_row(query_NTH: Array, key_GSH: Array, value_GSH: Array, segments_T: Array) -> Array:
            return jnp.asarray(kernel(query_NTH, key_GSH, value_GSH, segment_ids=SegmentIds(segments_T, segments_T)))

        return called(jax.vmap(one_row), dtype)(*heads, segments_BT)[:, :, :length]

    return attend


def _kernel(num_heads: int, length: int, window: int | None, interpret: bool) -> Any:
    """The kernel for one shape; it plans which blocks to visit when it is made."""
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as splash_masks

    shape = (length, length)
    seen = splash_masks.FullMask(shape) if window is None else splash_masks.LocalMask(shape, (window, window), 0)
    block = next(size for size in BLOCKS if length % size == 0)
    sizes = splash.BlockSizes(
        block_q=block,
        block_kv=block,
        block_q_dkv=block,
        block_kv_dkv=block,
        block_q_dq=block,
        block_kv_dq=block,
    )
    mask = splash_masks.MultiHeadMask([seen] * num_heads)
    return splash.make_splash_mha(mask, block_sizes=sizes, head_shards=1, q_seq_shards=1, interpret=interpret)
