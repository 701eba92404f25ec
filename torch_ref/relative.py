"""Relative positions as a bias to the attention scores.

References: Raffel et al. (2020), section 2.1, https://arxiv.org/abs/1910.10683; Song et al. (2020),
https://arxiv.org/abs/2004.09297 (MPNet); Press et al. (2022), section 3, https://arxiv.org/abs/2108.12409 (without
parameters)
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class RelativeBias(nn.Module):
    """How much every head favours a key by how far it stands from the query; all layers share it.

    Args:
        config: gives num_heads, relative_buckets and relative_max_distance.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.max_distance = config.relative_max_distance
        self.table = nn.Embedding(config.relative_buckets, config.num_heads)

    def forward(self, T: int) -> Float[Tensor, "N T T"]:
        """The bias between all pairs of T columns."""
        column_T = torch.arange(T, device=self.table.weight.device)
        offset_TS = column_T - column_T[:, None]
        return self.table(bucket(offset_TS, self.table.num_embeddings, self.max_distance)).permute(2, 0, 1)


def bucket(offset_TS: Int[Tensor, "T S"], count: int, max_distance: int) -> Int[Tensor, "T S"]:
    """Which row of the table an offset, key less query, falls into.

    Half of the `count` rows are for keys behind the query; in each half, half are for one distance each and the rest
    divide what lies between there and `max_distance` evenly on a logarithmic scale.
    """
    per_side = count // 2
    exact = per_side // 2
    distance_TS = offset_TS.abs()
    octaves_TS = (distance_TS.clamp(min=exact).double() / exact).log2() / math.log2(max_distance / exact)
    coarse_TS = exact + (octaves_TS * (per_side - exact) + 1e-9).long()
    side_TS = torch.where(distance_TS < exact, distance_TS, coarse_TS.clamp(max=per_side - 1))
    return side_TS + per_side * (offset_TS > 0)


class LinearBias(nn.Module):
    """The farther the key, the less it counts, in both directions alike; nothing is learned.

    Args:
        config: gives num_heads.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.slopes = slopes(config.num_heads)

    def forward(self, like: Float[Tensor, "B T D"]) -> Float[Tensor, "N T T"]:
        """The bias between all pairs of columns of a residual stream, in its dtype, at least float32."""
        column_T = torch.arange(like.shape[1], device=like.device)
        distance_TS = (column_T - column_T[:, None]).abs()
        slope_N11 = torch.tensor(self.slopes, dtype=torch.float64, device=like.device)[:, None, None]
        return (slope_N11 * -distance_TS).to(torch.promote_types(like.dtype, torch.float32))


def slopes(num_heads: int) -> list[float]:
    """One per head: 2^(-8/n), its square and so on for a power of two n; else those of the power below, then the first,
    third, fifth ... of twice that power."""
    nearest = 2 ** int(math.log2(num_heads))
    ratio = 2 ** (-8 / nearest)
    own = [ratio ** (head + 1) for head in range(nearest)]
    return own if nearest == num_heads else own + slopes(2 * nearest)[::2][: num_heads - nearest]
