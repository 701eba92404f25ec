"""Bidirectional multi-head attention.

References: Vaswani et al. (2017), section 3.2, https://arxiv.org/abs/1706.03762; Ainslie et al. (2023), section 2.2
(fewer keys and values than queries), https://arxiv.org/abs/2305.13245
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from torch_ref import masks
from torch_ref.disentangled import Relative, RelativeTaps, compare
from torch_ref.rope import rotate


class AttentionTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None where positions are not rotary
    or not relative."""

    query: Float[Tensor, "B T N H"]
    key: Float[Tensor, "B S G H"]
    value: Float[Tensor, "B S G H"]
    rotated_query: Float[Tensor, "B T N H"] | None
    rotated_key: Float[Tensor, "B S G H"] | None
    relative: RelativeTaps | None
    scores: Float[Tensor, "B N T S"]
    biased_scores: Float[Tensor, "B N T S"] | None
    masked_scores: Float[Tensor, "B N T S"]
    weights: Float[Tensor, "B N T S"]
    context: Float[Tensor, "B T N H"]
    output: Float[Tensor, "B T D"]


class Positions(NamedTuple):
    """Where tokens stand, as attention uses it.

    Attributes:
        indices: positions of queries and keys alike, for the rotation; None counts the columns.
        bias: added to the scores; None adds nothing.
        relative: the vectors of distances, for disentangled scores; None has none.
    """

    indices: Int[Tensor, "B T"] | None = None
    bias: Float[Tensor, "N T S"] | None = None
    relative: Relative | None = None


COLUMNS = Positions()


class Match(NamedTuple):
    """From scores to weights, as in `AttentionTaps`."""

    scores: Float[Tensor, "B N T S"]
    biased_scores: Float[Tensor, "B N T S"] | None
    masked_scores: Float[Tensor, "B N T S"]
    weights: Float[Tensor, "B N T S"]


class Attention(nn.Module):
    """Lets every query gather the values whose keys match it, among those that its mask row allows.

    Args:
        config: gives embed_dim, num_heads, num_key_value_heads, head_dim, attention_bias, attention_dropout, windows,
            position_kind, rope_thetas, rope_frequencies, relative_kind, relative_projections, scale_scores.
        layer: which entry of the config's per-layer tuples holds here.
    """

    def __init__(self, config: Any, layer: int):
        super().__init__()
        D, NH, bias = config.embed_dim, config.num_heads * config.head_dim, config.attention_bias
        GH = config.num_key_value_heads * config.head_dim
        self.sharing = config.num_heads // config.num_key_value_heads
        self.num_heads, self.head_dim, self.dropout = config.num_heads, config.head_dim, config.attention_dropout
        self.window = config.windows[layer]
        self.theta = config.rope_thetas[layer] if config.position_kind == "rotary" else None
        self.frequencies = config.rope_frequencies
        self.query = nn.Linear(D, NH, bias=bias)
        self.key = nn.Linear(D, GH, bias=bias)
        self.value = nn.Linear(D, GH, bias=bias)
        self.out = nn.Linear(NH, D, bias=bias)
        self.position_query = nn.Linear(D, NH, bias=bias) if config.relative_projections else None
        self.position_key = nn.Linear(D, GH, bias=bias) if config.relative_projections else None
        # Each of so many dot products has variance H; their sum is to have 1.
        terms = 3 if config.relative_kind == "disentangled" else 1
        self.divisor = math.sqrt(terms * config.head_dim) if config.scale_scores else 1.0

    def forward(
        self,
        query_BTD: Float[Tensor, "B T D"],
        key_BSD: Float[Tensor, "B S D"],
        value_BSD: Float[Tensor, "B S D"],
        mask_BTS: Bool[Tensor, "B T S"],
        positions: Positions = COLUMNS,
        keep_BNTS: Bool[Tensor, "B N T S"] | None = None,
    ) -> tuple[Float[Tensor, "B T D"], AttentionTaps]:
        """Attends from queries to keys and values; self-attention passes one tensor three times.

        Args:
            query_BTD, key_BSD, value_BSD: what the three projections read. Content that takes no part under mask and
                window counts as 0, NaN included.
            mask_BTS: True where query t may attend to key s. A row without True gets weights and context 0.
            positions: the indices matter to rotary positions only.
            keep_BNTS: which attention weights dropout keeps; None keeps all.

        Raises:
            ValueError: rotary positions are given, but queries and keys differ in number.
        """
        mask_BTS = masks.window(mask_BTS, self.window)
        query_BTNH = self._split_heads(self.query(masks.blank(query_BTD, masks.sees(mask_BTS))))
        key_BSGH = self._split_heads(self.key(masks.blank(key_BSD, masks.seen(mask_BTS))))
        value_BSGH = self._split_heads(self.value(masks.blank(value_BSD, masks.seen(mask_BTS))))
        rotated_BTNH, rotated_BSGH = self._rotate(query_BTNH, key_BSGH, positions.indices)
        relative = None
        offset = positions.bias
        if positions.relative is not None:
            relative = self._place(query_BTNH, key_BSGH, positions.relative)
            offset = relative.content_to_position + relative.position_to_content
        match = self._match(
            query_BTNH if rotated_BTNH is None else rotated_BTNH,
            self._share(key_BSGH if rotated_BSGH is None else rotated_BSGH),
            mask_BTS,
            offset,
        )
        value_BSNH = self._share(value_BSGH)
        kept_BNTS = masks.drop(match.weights, keep_BNTS, self.dropout).to(value_BSNH.dtype)
        context_BTNH = (kept_BNTS @ value_BSNH.transpose(1, 2)).transpose(1, 2)
        output_BTD = self.out(context_BTNH.flatten(2))
        inputs = (query_BTNH, key_BSGH, value_BSGH, rotated_BTNH, rotated_BSGH, relative)
        return output_BTD, AttentionTaps(*inputs, *match, context_BTNH, output_BTD)

    def _split_heads(self, x_BTC: Float[Tensor, "B T C"]) -> Float[Tensor, "B T heads H"]:
        """Head n owns channels nH to (n + 1)H - 1."""
        return x_BTC.unflatten(-1, (-1, self.head_dim))

    def _share(self, x_BSGH: Float[Tensor, "B S G H"]) -> Float[Tensor, "B S N H"]:
        """Query heads 0 to N / G - 1 use head 0 of the keys and values, and so on."""
        return x_BSGH if self.sharing == 1 else x_BSGH.repeat_interleave(self.sharing, dim=2)

    def _rotate(
        self,
        query_BTNH: Float[Tensor, "B T N H"],
        key_BSGH: Float[Tensor, "B S G H"],
        positions_BT: Int[Tensor, "B T"] | None,
    ) -> tuple[Float[Tensor, "B T N H"], Float[Tensor, "B S G H"]] | tuple[None, None]:
        """Turns both by their positions where positions are rotary."""
        if self.theta is None:
            return None, None
        T, S = query_BTNH.shape[1], key_BSGH.shape[1]
        if positions_BT is not None and T != S:
            raise ValueError(
                f"positions hold for queries and keys alike, so there must be as many of both, got {T} queries and "
                f"{S} keys: leave positions out to count the columns"
            )
        how = (positions_BT, self.theta, *((self.frequencies,) if self.frequencies else ()))
        return rotate(query_BTNH, *how), rotate(key_BSGH, *how)

    def _place(
        self, query_BTNH: Float[Tensor, "B T N H"], key_BSGH: Float[Tensor, "B S G H"], relative: Relative
    ) -> RelativeTaps:
        """Scores of content against distance and of distance against content, divided as all scores are."""
        to_query = self.query if self.position_query is None else self.position_query
        to_key = self.key if self.position_key is None else self.position_key
        position_query_RNH = self._split_heads(to_query(relative.embedding)[None])[0]
        position_key_RNH = self._share(self._split_heads(to_key(relative.embedding)[None]))[0]
        contents = (query_BTNH, self._share(key_BSGH))
        return compare(contents, (position_query_RNH, position_key_RNH), relative.row, self.divisor)

    def _match(
        self,
        query_BTNH: Float[Tensor, "B T N H"],
        key_BSNH: Float[Tensor, "B S N H"],
        mask_BTS: Bool[Tensor, "B T S"],
        offset: Float[Tensor, "*B N T S"] | None,
    ) -> Match:
        """Scaled dot products, offset by distance, then with the forbidden ones at the bottom, and their softmax."""
        dtype = torch.promote_types(query_BTNH.dtype, torch.float32)  # a softmax in half precision is too coarse
        query_BNTH, key_BNHS = query_BTNH.to(dtype).transpose(1, 2), key_BSNH.to(dtype).permute(0, 2, 3, 1)
        forbidden_B1TS = ~mask_BTS[:, None]
        scores_BNTS = query_BNTH @ key_BNHS / self.divisor
        biased_BNTS = None if offset is None else scores_BNTS + offset.to(dtype)
        open_BNTS = scores_BNTS if biased_BNTS is None else biased_BNTS
        masked_BNTS = open_BNTS.masked_fill(forbidden_B1TS, torch.finfo(dtype).min)
        # A row of nothing but minima has a uniform softmax, hence the second fill.
        weights_BNTS = masked_BNTS.softmax(dim=-1).masked_fill(forbidden_B1TS, 0)
        return Match(scores_BNTS, biased_BNTS, masked_BNTS, weights_BNTS)
