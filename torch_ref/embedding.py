"""From token ids to the residual stream: word, position and token-type embeddings and their norm.

References: Devlin et al. (2019), section 3, https://arxiv.org/abs/1810.04805; Vaswani et al. (2017), section 3.5,
https://arxiv.org/abs/1706.03762 (sinusoids); https://github.com/facebookresearch/esm, esm/model/esm2.py (token dropout)
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from torch_ref import masks
from torch_ref.norm import Norm


class EmbeddingTaps(NamedTuple):
    """Every intermediate value, in the order it is computed; None where the config has no such part."""

    word: Float[Tensor, "B T E"]
    kept: Float[Tensor, "B T E"] | None
    position: Float[Tensor, "B T E"] | None
    token_type: Float[Tensor, "B T E"] | None
    total: Float[Tensor, "B T E"]
    norm: Float[Tensor, "B T E"] | None


def sinusoid(positions_BT: Int[Tensor, "B T"], width: int, dtype: torch.dtype) -> Float[Tensor, "B T E"]:
    """Channels 2i and 2i + 1 hold the sine and cosine of position / 10000^(2i / E). The width E is even."""
    wide = torch.promote_types(dtype, torch.float32)
    even = torch.arange(0, width, 2, dtype=wide, device=positions_BT.device)
    angle_BTe = positions_BT[:, :, None] / 10_000 ** (even / width)
    return torch.stack((angle_BTe.sin(), angle_BTe.cos()), dim=-1).flatten(2).to(dtype)


def drop_words(
    word_BTE: Float[Tensor, "B T E"], gone_BT: Bool[Tensor, "B T"], mask_BTS: Bool[Tensor, "B T S"]
) -> Float[Tensor, "B T E"]:
    """Token dropout of ESM: words that are gone are 0, and the rest is scaled to the share that training had left.

    Args:
        word_BTE: the words.
        gone_BT: where the mask token stands.
        mask_BTS: what each position attends to is its document, whose share counts.
    """
    trained = 1 - 0.15 * 0.8  # masked at 15 %, of which 80 % are the mask token
    wide = torch.promote_types(word_BTE.dtype, torch.float32)
    length_BT = mask_BTS.sum(dim=2).to(wide)
    observed_BT = (mask_BTS & gone_BT[:, None, :]).sum(dim=2).to(wide)
    remain_BT = (length_BT - observed_BT).clamp(min=1)
    scaled_BTE = word_BTE.to(wide) * trained * (length_BT / remain_BT)[:, :, None]
    return scaled_BTE.to(word_BTE.dtype).masked_fill(gone_BT[:, :, None], 0)


def check_ids(name: str, ids_BT: Int[Tensor, "B T"], size: int, size_name: str) -> None:
    """Refuses indices beyond a table, padding included.

    Raises:
        ValueError: an index is below 0 or not below `size`.
    """
    outside = ((ids_BT < 0) | (ids_BT >= size)).nonzero()
    if len(outside):
        row, column = outside[0].tolist()
        raise ValueError(
            f"{name} must be from 0 to {size - 1} ({size_name} is {size}), got {ids_BT[row, column].item()} "
            f"in row {row}, column {column}"
        )


class Embedding(nn.Module):
    """Sums the embeddings of what stands at each position, and normalises the sum.

    Args:
        config: gives vocab_size, max_len, embed_dim, table_dim, num_token_types, position_kind, position_offset,
            dropped_token, embedding_norm and the fields of `Norm`.
    """

    def __init__(self, config: Any):
        super().__init__()
        E, types = config.table_dim or config.embed_dim, config.num_token_types
        self.max_len, self.position_offset = config.max_len, config.position_offset
        self.position_kind, self.dropped_token = config.position_kind, config.dropped_token
        self.word = nn.Embedding(config.vocab_size, E)
        rows = config.max_len + config.position_offset
        self.position = nn.Embedding(rows, E) if config.position_kind == "learned" else None
        self.token_type = nn.Embedding(types, E) if types else None
        self.norm = Norm(config, E) if config.embedding_norm else None

    def forward(
        self,
        tokens_BT: Int[Tensor, "B T"],
        mask_BTS: Bool[Tensor, "B T S"],
        positions_BT: Int[Tensor, "B T"] | None = None,
        token_types_BT: Int[Tensor, "B T"] | None = None,
    ) -> tuple[Float[Tensor, "B T E"], EmbeddingTaps]:
        """Embeds one batch, without dropout.

        Args:
            tokens_BT: rows of the word table; T at most max_len.
            mask_BTS: True where query t may attend to key s; the word and the sum of what nobody attends to are 0.
            positions_BT: None counts the columns: 0 to T - 1.
            token_types_BT: rows of the token-type table; None is 0 everywhere. Must be None if there is no such table.

        Raises:
            ValueError: rows are longer than max_len, an id or learned position lies outside its table, or token types
                are given to an encoder without any.
        """
        check_ids("tokens", tokens_BT, self.word.num_embeddings, "vocab_size")
        if tokens_BT.shape[1] > self.max_len:
            raise ValueError(
                f"rows may have at most {self.max_len} tokens (max_len), got {tokens_BT.shape[1]}: cut them, or build "
                "the encoder with a larger max_len"
            )
        content_BT = masks.seen(mask_BTS)
        word_BTE = masks.blank(self.word(tokens_BT), content_BT)
        kept_BTE = None
        if self.dropped_token is not None:
            kept_BTE = drop_words(word_BTE, tokens_BT == self.dropped_token, mask_BTS)
        position_BTE = self._embed_positions(tokens_BT, positions_BT)
        token_type_BTE = self._embed_token_types(tokens_BT, token_types_BT)
        total_BTE = word_BTE if kept_BTE is None else kept_BTE
        for part_BTE in (position_BTE, token_type_BTE):
            total_BTE = total_BTE if part_BTE is None else total_BTE + part_BTE
        total_BTE = masks.blank(total_BTE, content_BT)
        norm_BTE = None if self.norm is None else self.norm(total_BTE)
        taps = EmbeddingTaps(word_BTE, kept_BTE, position_BTE, token_type_BTE, total_BTE, norm_BTE)
        return (total_BTE if norm_BTE is None else norm_BTE), taps

    def _embed_positions(
        self, tokens_BT: Int[Tensor, "B T"], positions_BT: Int[Tensor, "B T"] | None
    ) -> Float[Tensor, "B T E"] | None:
        if self.position_kind in ("rotary", "none"):
            return None
        if positions_BT is None:
            positions_BT = torch.arange(tokens_BT.shape[1], device=tokens_BT.device).expand(tokens_BT.shape)
        if self.position is None:
            return sinusoid(positions_BT, self.word.embedding_dim, self.word.weight.dtype)
        check_ids("positions", positions_BT, self.max_len, "max_len")
        return self.position(positions_BT + self.position_offset)

    def _embed_token_types(
        self, tokens_BT: Int[Tensor, "B T"], token_types_BT: Int[Tensor, "B T"] | None
    ) -> Float[Tensor, "B T E"] | None:
        if self.token_type is None:
            if token_types_BT is not None:
                raise ValueError("token_types must be None for an encoder whose num_token_types is 0, got a tensor")
            return None
        if token_types_BT is None:
            token_types_BT = torch.zeros_like(tokens_BT)
        check_ids("token_types", token_types_BT, self.token_type.num_embeddings, "num_token_types")
        return self.token_type(token_types_BT)
