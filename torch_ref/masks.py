"""Who may attend to whom, which content counts, and what dropout keeps: the only file that knows what True means.

In a mask_BTS True says that query position t may attend to key position s. Every mask made here lets a padding
position attend to nothing and be attended to by nobody.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def from_lengths(lengths_B: Int[Tensor, " B"], T: int) -> Bool[Tensor, "B T T"]:
    """Every row starts with its tokens and ends with padding, of T columns in all.

    Raises:
        ValueError: a length is below 0 or above T.
    """
    if ((lengths_B < 0) | (lengths_B > T)).any():
        raise ValueError(f"lengths must be from 0 to {T}, the number of columns, got {lengths_B.tolist()}")
    return from_valid(torch.arange(T, device=lengths_B.device) < lengths_B[:, None])


def from_valid(valid_BS: Bool[Tensor, "B S"]) -> Bool[Tensor, "B S S"]:
    """The True positions, wherever they lie, attend to one another."""
    return valid_BS[:, :, None] & valid_BS[:, None, :]


def from_segments(segments_BT: Int[Tensor, "B T"]) -> Bool[Tensor, "B T T"]:
    """Several documents share a row and cannot see one another; 1, 2, ... names the document, 0 is padding.

    Raises:
        ValueError: a segment is negative.
    """
    return _same_document(segments_BT)


def positions_from_segments(segments_BT: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """How many tokens of its own document stand before each token: 0, 1, 2, ... in every document; 0 at padding.

    Raises:
        ValueError: a segment is negative.
    """
    return _same_document(segments_BT).tril(diagonal=-1).sum(dim=-1)


def seen(mask_BTS: Bool[Tensor, "B T S"]) -> Bool[Tensor, "B S"]:
    """Whether anybody attends to key position s. Nobody attends to padding."""
    return mask_BTS.any(dim=1)


def sees(mask_BTS: Bool[Tensor, "B T S"]) -> Bool[Tensor, "B T"]:
    """Whether query position t may attend to anything."""
    return mask_BTS.any(dim=2)


def window(mask_BTS: Bool[Tensor, "B T S"], width: int | None) -> Bool[Tensor, "B T S"]:
    """Narrows a mask to the keys at most `width` columns to each side of the query; None leaves it as it is."""
    if width is None:
        return mask_BTS
    T, S = mask_BTS.shape[1:]
    query_T1 = torch.arange(T, device=mask_BTS.device)[:, None]
    key_S = torch.arange(S, device=mask_BTS.device)
    return mask_BTS & ((query_T1 - key_S).abs() <= width)


def blank(x_BTD: Float[Tensor, "B T D"], content_BT: Bool[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
    """Keeps content and writes 0 elsewhere, so that what stood there, NaN included, is gone in both directions."""
    return x_BTD.masked_fill(~content_BT[:, :, None], 0)


def drop(x: Float[Tensor, "*shape"], keep: Bool[Tensor, "*shape"] | None, rate: float) -> Float[Tensor, "*shape"]:
    """Inverted dropout with a given outcome: what is kept grows by 1 / (1 - rate), the rest is 0; None drops nothing.

    Reference: Srivastava et al. (2014), section 10, https://jmlr.org/papers/v15/srivastava14a.html
    """
    return x if keep is None else (x / (1 - rate)).masked_fill(~keep, 0)


def _same_document(segments_BT: Int[Tensor, "B T"]) -> Bool[Tensor, "B T T"]:
    """Whether two positions hold tokens of one document."""
    if (segments_BT < 0).any():
        raise ValueError(f"segments must be 0 for padding or 1, 2, ... for documents, got {segments_BT.min().item()}")
    return (segments_BT[:, :, None] == segments_BT[:, None, :]) & (segments_BT != 0)[:, :, None]
