"""Disentangled attention: content and distance are two vectors, and each is scored against the other.

References: He et al. (2021), section 3.1, equation 4, https://arxiv.org/abs/2006.03654; He et al. (2023),
https://arxiv.org/abs/2111.09543 (one table of distances, in ranges, for all layers)
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from torch_ref.norm import Norm


class RelativeTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; a key that query heads share counts for each of them."""

    position_query: Float[Tensor, "R N H"]
    position_key: Float[Tensor, "R N H"]
    content_to_position: Float[Tensor, "B N T S"]
    position_to_content: Float[Tensor, "B N T S"]


class Relative(NamedTuple):
    """The vector of every range of distances, and the range into which each pair of query and key falls."""

    embedding: Float[Tensor, "R D"]
    row: Int[Tensor, "T S"]


class RelativeEmbedding(nn.Module):
    """One vector for every range of distances, the same in all layers.

    Args:
        config: gives embed_dim, relative_buckets, relative_max_distance, relative_norm and the fields of `Norm`.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.max_distance = config.relative_max_distance
        self.table = nn.Embedding(config.relative_buckets, config.embed_dim)
        self.norm = Norm(config, config.embed_dim) if config.relative_norm else None

    def forward(self, T: int) -> Relative:
        """Between all pairs of T columns."""
        column_T = torch.arange(T, device=self.table.weight.device)
        row_TS = row(column_T[:, None] - column_T, self.table.num_embeddings, self.max_distance)
        return Relative(self.table.weight if self.norm is None else self.norm(self.table.weight), row_TS)


def row(ahead_TS: Int[Tensor, "T S"], count: int, max_distance: int) -> Int[Tensor, "T S"]:
    """Which of `count` vectors belongs to a query so many columns ahead of the key; below 0 it is behind.

    Distance 0 is in the middle. Up to half of a side a distance has its own vector; from there the rest of the side is
    spread evenly over the logarithms of the distances below `max_distance`, each step reaching to its upper end.
    """
    side = count // 2
    near = side // 2
    distance_TS = ahead_TS.abs()
    octaves_TS = (distance_TS.clamp(min=near).double() / near).log2() / math.log2((max_distance - 1) / near)
    steps_TS = (octaves_TS * (near - 1) - 1e-9).ceil().long() + near
    signed_TS = torch.where(distance_TS > near, steps_TS, distance_TS) * ahead_TS.sign()
    return (side + signed_TS).clamp(0, count - 1)


def compare(
    contents: tuple[Float[Tensor, "B T N H"], Float[Tensor, "B S N H"]],
    positions: tuple[Float[Tensor, "R N H"], Float[Tensor, "R N H"]],
    row_TS: Int[Tensor, "T S"],
    divisor: float,
) -> RelativeTaps:
    """Two of the three parts of a disentangled score.

    Args:
        contents: queries and keys of tokens.
        positions: queries and keys of distances.
        row_TS: of each pair of tokens.
        divisor: of all scores.
    """
    dtype = torch.promote_types(contents[0].dtype, torch.float32)
    query_BNTH, key_BNSH = (content.to(dtype).transpose(1, 2) for content in contents)
    position_query_NHR, position_key_NHR = (position.to(dtype).permute(1, 2, 0) for position in positions)
    every_BNTR, every_BNSR = query_BNTH @ position_key_NHR, key_BNSH @ position_query_NHR
    B, N = every_BNTR.shape[:2]
    to_position_BNTS = every_BNTR.gather(3, row_TS.expand(B, N, -1, -1))
    # A key looks up the queries' distances: its own row of the transposed table of pairs.
    to_content_BNST = every_BNSR.gather(3, row_TS.T.expand(B, N, -1, -1))
    return RelativeTaps(*positions, to_position_BNTS / divisor, to_content_BNST.transpose(2, 3) / divisor)
