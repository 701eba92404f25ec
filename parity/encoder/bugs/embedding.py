"""Mistakes in the embeddings."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import torch
from torch import Tensor, nn

import jax_encoder.embedding
import torch_ref.embedding
from jax_encoder import masks
from parity.encoder.bugs import applies
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch, Plant
from parity.encoder.bugs.plant import patched, set_on, wrapped
from torch_ref.embedding import Embedding


def _without(name: str) -> Plant:
    """A forward that is not given one of its inputs."""

    def around(plain: Callable) -> Callable:
        def forward(self: Any, tokens: Tensor, content: Tensor, positions: Any = None, token_types: Any = None) -> Any:
            given = {"positions_BT": positions, "token_types_BT": token_types} | {name: None}
            return plain(self, tokens, content, **given)

        return forward

    return wrapped(Embedding, "forward", around)


def _our_without(name: str) -> Plant:
    def around(plain: Callable) -> Callable:
        def call(self: Any, tokens: Any, seen: Any, positions: Any, token_types: Any) -> Any:
            columns = jnp.broadcast_to(jnp.arange(tokens.shape[1], dtype=tokens.dtype), tokens.shape)
            if name == "positions":
                return plain(self, tokens, seen, columns, token_types)
            return plain(self, tokens, seen, positions, None)

        return call

    return wrapped(jax_encoder.embedding.Embedding, "__call__", around)


def _in_halves(positions: Tensor, embed_dim: int, dtype: torch.dtype) -> Tensor:
    angle = positions[:, :, None] / 10_000 ** (torch.arange(0, embed_dim, 2, dtype=dtype) / embed_dim)
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


def _our_in_halves(positions: Any, embed_dim: int) -> Any:
    frequencies = 10_000.0 ** (-jnp.arange(0, embed_dim, 2, dtype=float) / embed_dim)
    angle = positions.astype(float)[:, :, None] * frequencies[None, None, :]
    return jnp.concatenate((jnp.sin(angle), jnp.cos(angle)), axis=-1)


def _scaled_by_root(plain: Callable) -> Callable:
    def forward(self: Any, tokens: Tensor, *rest: Any) -> Any:
        scaled = self.word.weight * self.word.embedding_dim**0.5
        kept, self.word = self.word, _Rows(scaled)
        try:
            return plain(self, tokens, *rest)
        finally:
            self.word = kept

    return forward


def _over_the_row(plain: Callable) -> Callable:
    def drop_words(word: Tensor, gone: Tensor, mask: Tensor) -> Tensor:
        return plain(word, gone, mask.any(dim=1, keepdim=True).expand_as(mask))

    return drop_words


def _our_not_grown(plain: Callable) -> Callable:
    def kept(self: Any, word: Any, tokens: Any, mask: Any) -> Any:
        return masks.zero_where_not(tokens != self.config.dropped_token, word)

    return kept


def _our_words_as_they_are(plain: Callable) -> Callable:
    def kept(self: Any, word: Any, tokens: Any, mask: Any) -> Any:
        return masks.zero_where_not(tokens == tokens, word)

    return kept


class _Rows(nn.Module):
    """A table that is looked up."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight, (self.num_embeddings, self.embedding_dim) = weight, weight.shape

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.embedding(ids, self.weight)


def _our_scaled_by_root(plot: JaxPlot, patch: Patch) -> None:
    plain = jax_encoder.embedding.Embedding._rows

    def rows(self: Any, table: Any, ids: Any) -> Any:
        found = plain(self, table, ids)
        return found * found.shape[-1] ** 0.5 if table is self.word else found

    patch.set(jax_encoder.embedding.Embedding, "_rows", rows)


_DROPS_A_TOKEN = applies.on(lambda config: config.dropped_token is not None)

EMBEDDING_BUGS = (
    ModelBug(
        name="position-offset",
        mistake="learned positions start at row 0 of the table",
        source="transformers#10736, sentence-transformers#3879",
        where=r"embedding\.position",
        plant=set_on(Embedding, position_offset=0),
        variant="position-offset",
        applies=applies.on(lambda config: config.position_offset > 0),
    ),
    ModelBug(
        name="position-off-by-one",
        mistake="positions counted from 1",
        where=r"embedding\.position",
        plant=wrapped(
            Embedding,
            "_embed_positions",
            lambda plain: lambda self, tokens, positions: plain(self, tokens, positions + 1),
        ),
        case="packed",
        applies=applies.embeds_positions,
    ),
    ModelBug(
        name="position-packed",
        mistake="positions do not restart in a packed row",
        where=r"embedding\.position",
        plant=_without("positions_BT"),
        in_jax=_our_without("positions"),
        case="packed",
        applies=applies.embeds_positions,
    ),
    ModelBug(
        name="sinusoid-halves",
        mistake="all sines before all cosines in sinusoidal positions",
        where=r"embedding\.position",
        plant=patched(torch_ref.embedding, "sinusoid", _in_halves),
        in_jax=patched(jax_encoder.embedding, "sinusoids", _our_in_halves),
        variant="sinusoidal",
        applies=applies.every(
            applies.has(position_kind="sinusoidal"), applies.on(lambda config: config.table_width > 2)
        ),
    ),
    ModelBug(
        name="type-missing",
        mistake="token types left out",
        where=r"embedding\.token_type",
        plant=_without("token_types_BT"),
        in_jax=_our_without("token_types"),
        applies=applies.on(lambda config: config.num_token_types > 1),
    ),
    ModelBug(
        name="token-dropout-missing",
        mistake="the mask token's word kept, and the others not grown in return",
        source="ESM-2",
        where=r"embedding\.kept",
        plant=patched(torch_ref.embedding, "drop_words", lambda word, gone, mask: word.clone()),
        in_jax=wrapped(jax_encoder.embedding.Embedding, "_kept", _our_words_as_they_are),
        variant="esm",
        case="packed",
        applies=_DROPS_A_TOKEN,
    ),
    ModelBug(
        name="token-dropout-unscaled",
        mistake="the mask token's word left out, but the others not grown in return",
        where=r"embedding\.kept",
        plant=patched(
            torch_ref.embedding, "drop_words", lambda word, gone, mask: word.masked_fill(gone[:, :, None], 0)
        ),
        in_jax=wrapped(jax_encoder.embedding.Embedding, "_kept", _our_not_grown),
        variant="esm",
        case="packed",
        applies=_DROPS_A_TOKEN,
    ),
    ModelBug(
        name="token-dropout-row",
        mistake="the mask token's share taken over the whole row where it holds several documents",
        where=r"embedding\.kept",
        plant=wrapped(torch_ref.embedding, "drop_words", _over_the_row),
        variant="esm",
        case="packed",
        applies=_DROPS_A_TOKEN,
    ),
    ModelBug(
        name="embedding-scaled",
        mistake="word embeddings multiplied by sqrt(D)",
        where=r"embedding\.word",
        plant=wrapped(Embedding, "forward", _scaled_by_root),
        in_jax=_our_scaled_by_root,
    ),
)
