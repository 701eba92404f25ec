"""How a folder's text is read, as data that a mistake can change; and what the reading comes to.

Axes: I texts, T columns, N tokens of one text, D embed_dim, P pooled width.
"""

import dataclasses
import functools
import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from tokenizers import Tokenizer

from parity.text.corpus import Text
from parity.text.reading import Reading, Rows

# How an encoder counts positions: by the column in the batch, by the tokens that are not the padding token, or not at
# all but for how far two are apart.
Counting = Literal["columns", "tokens", "distances"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way from texts to tokens and, with `Pooled`, to vectors.

    Attributes:
        tokenizer: a tokenizer.json.
        limit: tokens that are read of a text, special ones included.
        cut_left: whether a longer text loses its beginning.
        pad_left: whether padding stands at the beginning of a row.
        prompt: stands before every single text.
        flat_types: whether the second of two texts has the first's type.
        typed: whether the encoder tells types apart.
        counting: of positions.
        pad: id of the padding token.
        limits: others that the folder's files name.
    """

    tokenizer: str
    limit: int
    cut_left: bool
    pad_left: bool
    prompt: str
    flat_types: bool = False
    typed: bool = True
    counting: Counting = "columns"
    pad: int = 0
    limits: tuple[int, ...] = ()

    @property
    def content(self) -> dict[str, Any]:
        """tokenizer.json, to be changed."""
        return json.loads(self.tokenizer)

    def with_content(self, content: dict[str, Any]) -> "Recipe":
        """The same with another tokenizer.json."""
        return dataclasses.replace(self, tokenizer=json.dumps(content))

    def read(self, texts: Sequence[Text]) -> Reading:
        """What it makes of one batch of texts."""
        tokenizer = opened(self.tokenizer)
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.limit, direction="left" if self.cut_left else "right")
        encodings = tokenizer.encode_batch([self.prompt + one if isinstance(one, str) else one for one in texts])
        ids = tuple(np.array(one.ids, np.int64) for one in encodings)
        types = tuple(np.array(one.type_ids, np.int64) for one in encodings)
        if self.flat_types or not self.typed:
            types = tuple(np.zeros_like(one) for one in types)
        mask = mask_of([len(one) for one in ids], left=self.pad_left)
        return Reading(
            ids=ids,
            special=tuple(np.array(one.special_tokens_mask, np.int64) for one in encodings),
            types=types,
            mask=mask,
            positions=self._positions(ids, mask),
        )

    def _positions(self, ids: Rows, mask: np.ndarray) -> Rows:
        if self.counting == "columns":
            return tuple(np.flatnonzero(row) for row in mask)
        if self.counting == "distances":
            return tuple(np.arange(len(row)) for row in ids)
        return tuple(np.cumsum(row != self.pad) * (row != self.pad) - 1 for row in ids)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pooled:
    """How the vectors of a text's tokens become one.

    Attributes:
        modes: sentence-transformers' names, joined end to end.
        normalize: whether the vector is scaled to length 1.
        width: columns that are kept of it; None keeps all.
        cut_first: whether it is cut before it is scaled.
        own_only: whether tokens that were put around the text are left out.
    """

    modes: tuple[str, ...]
    normalize: bool
    width: int | None = None
    cut_first: bool = False
    own_only: bool = False

    def vectors(self, hidden: Sequence[np.ndarray], special: Rows) -> np.ndarray:
        """One vector a text, [I, P].

        Args:
            hidden: [N, D] of each text's tokens.
            special: as in a reading.
        """
        kept = [x_ND[row == 0] if self.own_only else x_ND for x_ND, row in zip(hidden, special, strict=True)]
        vectors_IP = np.stack([np.concatenate([_MODES[mode](x_ND) for mode in self.modes]) for x_ND in kept])
        if self.cut_first:
            vectors_IP = vectors_IP[:, : self.width]
        if self.normalize:
            vectors_IP = vectors_IP / np.maximum(np.linalg.norm(vectors_IP, axis=1, keepdims=True), 1e-12)
        return vectors_IP if self.width is None else vectors_IP[:, : self.width]


def _mean(x_ND: np.ndarray) -> np.ndarray:
    return x_ND.sum(axis=0) / max(len(x_ND), 1e-9)


def _weighted(x_ND: np.ndarray) -> np.ndarray:
    weights_N = np.arange(1, len(x_ND) + 1)
    return weights_N @ x_ND / max(weights_N.sum(), 1e-9)


_MODES = {
    "cls": lambda x_ND: x_ND[:1].sum(axis=0),
    "max": lambda x_ND: x_ND.max(axis=0, initial=-1e9),
    "mean": _mean,
    "mean_sqrt_len_tokens": lambda x_ND: x_ND.sum(axis=0) / max(len(x_ND) ** 0.5, 1e-9),
    "weightedmean": _weighted,
    "lasttoken": lambda x_ND: x_ND[-1:].sum(axis=0),
}


@functools.lru_cache(maxsize=64)
def opened(content: str) -> Tokenizer:
    """The tokenizer of a tokenizer.json; opening a large one takes a second, and mistakes are tried one by one."""
    return Tokenizer.from_str(content)


def mask_of(lengths: Sequence[int], *, left: bool) -> np.ndarray:
    """[I, T] of a batch that is padded to its longest text."""
    width = max(lengths, default=0)
    columns_T, lengths_I1 = np.arange(width)[None], np.array(lengths, np.int64)[:, None]
    return columns_T >= width - lengths_I1 if left else columns_T < lengths_I1
