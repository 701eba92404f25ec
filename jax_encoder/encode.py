"""Texts to vectors by a published checkpoint, as sentence-transformers does it.

Axes: I texts, B rows, T columns, K texts of one row, D embed_dim, P pooled width.
Reference: Reimers & Gurevych (2019), section 3, https://arxiv.org/abs/1908.10084
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int
from tokenizers import Encoding, Tokenizer, normalizers

from jax_encoder import masks
from jax_encoder.config import EncoderConfig
from jax_encoder.data.texts import TEXTS_PER_ROW, Batch, Tokens, batches, tokenize
from jax_encoder.errors import InputError
from jax_encoder.huggingface import Checkpoint, load
from jax_encoder.huggingface.hub import folder_of
from jax_encoder.huggingface.pooling import Pooling, SentenceForm, read_sentence_form
from jax_encoder.precision import at_least_float32

# How much each token counts in its text's vector, given its position there and the number of tokens.
_WEIGHTS: dict[str, Callable[[Array, Array], Array]] = {
    "mean": lambda position, count: 1 / count,
    "mean_sqrt_len_tokens": lambda position, count: 1 / jnp.sqrt(count),
    "cls": lambda position, count: (position == 0).astype(count.dtype),
    "lasttoken": lambda position, count: (position == count - 1).astype(count.dtype),
    "weightedmean": lambda position, count: 2 * (position + 1) / (count * (count + 1)),
}
# As torch.nn.functional.normalize; a vector of zeros stays one.
_LEAST_LENGTH = 1e-12


class TextEncoder:
    """Turns texts into vectors.

    Args:
        checkpoint: with a tokenizer; what stands on its encoder is not used.
        form: how texts are read, and how the vectors of their tokens become one.
        dtype: of the computation; parameters are float32.

    Raises:
        InputError: the checkpoint has no tokenizer, or texts may not be as long as its special tokens.
    """

    def __init__(self, checkpoint: Checkpoint, form: SentenceForm, *, dtype: DTypeLike = jnp.float32):
        self.config, self.form = checkpoint.config, form
        limit = self.config.max_len if form.max_length is None else min(form.max_length, self.config.max_len)
        self._tokenizer, self._longest = _reading(checkpoint, form, limit), limit
        self._graph, self._state = nnx.split(checkpoint.model(dtype=dtype).encoder)
        self._wide = at_least_float32(dtype)

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, dtype: DTypeLike = jnp.float32, allow_pickle: bool = False
    ) -> "TextEncoder":
        """Reads a published checkpoint.

        The folder's modules.json says how tokens' vectors become one. Without it, that is their mean, not normalised.

        Args:
            name: a folder, or a name on the Hugging Face hub where huggingface_hub is installed.
            dtype: of the computation; parameters are float32.
            allow_pickle: as in `jax_encoder.huggingface.load`.

        Raises:
            InputError: something is missing, damaged, or would be computed differently here.
        """
        form = read_sentence_form(folder_of(name, allow_pickle=allow_pickle))
        return cls(load(form.encoder, allow_pickle=allow_pickle), form, dtype=dtype)

    @property
    def width(self) -> int:
        """P, how many numbers a text becomes."""
        return self.config.embed_dim * len(self.form.pooling.modes)

    def encode(
        self, texts: Iterable[object], batch_size: int = 32, *, progress: Callable[[int], None] | None = None
    ) -> Float[np.ndarray, "I P"]:
        """Turns texts into vectors, in their order.

        Short texts share a row, each seeing only itself. Texts that are longer than the checkpoint's longest are cut.
        The vectors are float32, or float64 where that is computed in.

        Args:
            texts: strings.
            batch_size: how many rows of 64 tokens are computed at once; of longer rows, as many fewer.
            progress: called after every batch with how many texts it held.

        Raises:
            InputError: one string instead of several, an entry that is no string, or a token that the encoder lacks.
        """
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        tokens = self._tokens(_checked(texts, self.form.prompt))
        vectors_IP = np.zeros((len(tokens.starts) - 1, self.width), self._wide)
        waiting: list[tuple[Batch, Array]] = []

        def collect() -> None:
            batch, vectors_BKP = waiting.pop(0)
            vectors_IP[batch.texts] = np.asarray(vectors_BKP, self._wide)[batch.rows, batch.segment - 1]
            if progress is not None:
                progress(len(batch.texts))

        for batch in batches(tokens, longest=self._longest, batch_size=batch_size):
            types_BT = batch.types if self.config.num_token_types else None
            vectors = _vectors(self._graph, self.form.pooling, self._state, batch.ids, types_BT, batch.segments)
            waiting.append((batch, vectors))
            if len(waiting) > 1:  # the next batch is under way while this one is copied
                collect()
        while waiting:
            collect()
        return vectors_IP

    def read(self, texts: Iterable[str | tuple[str, str]]) -> list[Encoding]:
        """Reads texts into tokens as `encode` does; two texts that belong together are read as one, without a prompt.

        Raises:
            InputError: as `encode`.
        """
        given = [_checked([one], self.form.prompt)[0] if isinstance(one, str) else _both(one) for one in texts]
        return self._tokenizer.encode_batch(given)

    def _tokens(self, texts: list[str]) -> Tokens:
        """Ids of all texts; one beyond the encoder's tables would become NaN."""
        tokens = tokenize(self._tokenizer, texts)
        tables = [("token id", tokens.ids, self.config.vocab_size)]
        if self.config.num_token_types:
            tables.append(("token type", tokens.types, self.config.num_token_types))
        for what, values, size in tables:
            if values.size and values.max() >= size:
                text = int(np.searchsorted(tokens.starts, int(values.argmax()), side="right")) - 1
                raise InputError(
                    f"the tokenizer gives texts[{text}] the {what} {values.max()}, and the encoder knows {size}: they "
                    "are not of one checkpoint"
                )
        return tokens


def _reading(checkpoint: Checkpoint, form: SentenceForm, limit: int) -> Tokenizer:
    """The checkpoint's tokenizer with our truncation, and without the padding that it may have brought along."""
    if checkpoint.tokenizer is None:
        raise InputError(
            f"{checkpoint.folder} has no tokenizer.json, without which texts cannot be read: fetch it, or write it "
            "with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...)"
        )
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer.to_str())
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    if limit <= special:
        raise InputError(f"{form.encoder}: texts of {limit} tokens, {special} of them special, have no room for a word")
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit, direction="left" if form.cut_left else "right")
    if form.lower_case:
        own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    return tokenizer


def _both(texts: tuple[str, str]) -> tuple[str, str]:
    """Two texts that are read together, if both are texts."""
    first, second = _checked(texts, "")
    return first, second


def _checked(texts: Iterable[object], prompt: str) -> list[str]:
    """The texts behind the prompt, if all of them are texts."""
    if isinstance(texts, str | bytes):
        raise InputError("texts must be several strings, got one: pass a list, [text], even of one")
    checked = []
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"texts[{index}] must be a string, got {type(text).__name__}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"texts[{index}] is not Unicode: {error.reason} at position {error.start}") from None
        checked.append(prompt + text)
    return checked


@partial(jax.jit, static_argnames=("graph", "pooling"))
def _vectors(
    graph: Any,
    pooling: Pooling,
    state: Any,
    ids_BT: Int[Array, "B T"],
    types_BT: Int[Array, "B T"] | None,
    segments_BT: Int[Array, "B T"],
) -> Float[Array, "B K P"]:
    """One vector for each text of each row; what stands where a row has no more texts has no meaning."""
    encoder, places_BT = nnx.merge(graph, state), masks.positions_from_segments(segments_BT)
    positions_BT = positions(ids_BT, segments_BT, encoder.config)
    x_BTD, _ = encoder(ids_BT, masks.from_segments(segments_BT), positions_BT=positions_BT, token_types_BT=types_BT)
    return pool(x_BTD, segments_BT, places_BT, pooling)


def positions(ids_BT: Int[Array, "B T"], segments_BT: Int[Array, "B T"], config: EncoderConfig) -> Int[Array, "B T"]:
    """Each token's position within its text, from 0 on.

    RoBERTa and its relatives number the tokens that are not the padding token, also where a text spells that out as
    "<pad>": it has the row before the first position, and is not counted.
    """
    places_BT = masks.positions_from_segments(segments_BT)
    if not config.position_offset:
        return places_BT
    padding_BT = (ids_BT == config.position_offset - 1) & (segments_BT != 0)
    ones_BT = padding_BT.astype(places_BT.dtype)
    before_BT = jnp.cumsum(ones_BT, axis=1) - ones_BT
    columns_T = jnp.arange(ids_BT.shape[1], dtype=places_BT.dtype)
    within_BT = before_BT - jnp.take_along_axis(before_BT, columns_T[None] - places_BT, axis=1)
    return jnp.where(padding_BT, -1, places_BT - within_BT)


def pool(
    x_BTD: Float[Array, "B T D"], segments_BT: Int[Array, "B T"], positions_BT: Int[Array, "B T"], pooling: Pooling
) -> Float[Array, "B K P"]:
    """Makes one vector, in at least float32, of every text's tokens."""
    x_BTD = masks.zero_where_not(segments_BT != 0, x_BTD).astype(at_least_float32(x_BTD.dtype))
    numbers_K = jnp.arange(1, TEXTS_PER_ROW + 1, dtype=segments_BT.dtype)
    mine_BKT = segments_BT[:, None, :] == numbers_K[None, :, None]
    pooled = [_pool_one(mode, x_BTD, mine_BKT, positions_BT.astype(x_BTD.dtype)) for mode in pooling.modes]
    vectors_BKP = jnp.concatenate(pooled, axis=-1)
    if pooling.normalize:
        length_BK1 = jnp.linalg.norm(vectors_BKP, axis=-1, keepdims=True)
        vectors_BKP = vectors_BKP / jnp.maximum(length_BK1, _LEAST_LENGTH)
    return vectors_BKP


def _pool_one(
    mode: str, x_BTD: Float[Array, "B T D"], mine_BKT: Bool[Array, "B K T"], position_BT: Float[Array, "B T"]
) -> Float[Array, "B K D"]:
    if mode == "max":
        lowest = jnp.finfo(x_BTD.dtype).min
        return jnp.where(mine_BKT[:, :, :, None], x_BTD[:, None], lowest).max(axis=2)
    count_BK1 = jnp.maximum(mine_BKT.sum(axis=2, keepdims=True), 1).astype(x_BTD.dtype)
    weights_BKT = jnp.where(mine_BKT, _WEIGHTS[mode](position_BT[:, None, :], count_BK1), 0)
    # Accelerators would round to bfloat16 here, for a product that costs next to nothing.
    return jnp.einsum("BKT,BTD->BKD", weights_BKT, x_BTD, precision=jax.lax.Precision.HIGHEST)
