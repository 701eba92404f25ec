"""Texts to vectors by a published checkpoint, as sentence-transformers does it.

Axes: I texts, B rows, T columns, K texts of one row, D embed_dim, P width of a vector.
Reference: Reimers & Gurevych (2019), section 3, https://arxiv.org/abs/1908.10084
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int
from tokenizers import Encoding

from jax_encoder import masks
from jax_encoder.config import EncoderConfig
from jax_encoder.data.texts import ROWS_OF_ONE_ORDER, TEXTS_PER_ROW, USUAL_WIDTH, Batch, Tokens, batches, tokenize
from jax_encoder.encoder import hidden_states
from jax_encoder.errors import InputError
from jax_encoder.huggingface import Checkpoint, load
from jax_encoder.huggingface.hub import folder_of
from jax_encoder.precision import at_least_float32
from jax_encoder.sentence.form import SentenceForm
from jax_encoder.sentence.modules import SENTENCE, TOKENS, Module, Rows, WeightedLayerPooling, apply, arrays
from jax_encoder.sentence.read import read_sentence_form
from jax_encoder.sentence.similarity import similarity
from jax_encoder.sentence.static import Table, read_table
from jax_encoder.sentence.texts import both, checked, copied, reading
from jax_encoder.sentence.write import write_sentence_form

Progress = Callable[[int], None]


class TextEncoder:
    """Turns texts into vectors.

    Args:
        source: a checkpoint with a tokenizer, of which what stands on its encoder is not used; or a table of tokens'
            vectors.
        form: how texts are read, and how the vectors of their tokens become one.
        dtype: of the computation; parameters are float32.

    Raises:
        InputError: the checkpoint has no tokenizer, texts may not be as long as its special tokens, or the form's
            modules do not fit together.
    """

    def __init__(self, source: Checkpoint | Table, form: SentenceForm, *, dtype: DTypeLike = jnp.float32):
        self.source, self.form = source, form
        self._wide = np.dtype(np.float32 if isinstance(source, Table) else at_least_float32(dtype))
        self._rows, self._vectors = (arrays(part) for part in form.parts())
        if isinstance(source, Table):
            self._width = form.width(source.vectors.shape[1])
            self._tokenizer = copied(source.tokenizer, form)
            return
        self.config = source.config
        limit = self.config.max_len if form.max_length is None else min(form.max_length, self.config.max_len)
        self._tokenizer, self._longest = reading(source, form, limit), limit
        self._width = form.width(self.config.embed_dim, self.config.num_layers)
        self._graph, self._state = nnx.split(source.model(dtype=dtype).encoder)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        dtype: DTypeLike = jnp.float32,
        task: str | None = None,
        truncate_dim: int | None = None,
        allow_pickle: bool = False,
    ) -> "TextEncoder":
        """Reads a published checkpoint.

        The folder's modules.json says how tokens' vectors become one. Without it, that is their mean, not normalised.

        Args:
            name: a folder, or a name on the Hugging Face hub where huggingface_hub is installed.
            dtype: of the computation; parameters are float32.
            task: which of several routes texts take, where the folder has them; None takes its default.
            truncate_dim: how many numbers of each vector are kept; None keeps what the folder says.
            allow_pickle: as in `jax_encoder.huggingface.load`.

        Raises:
            InputError: something is missing, damaged, or would be computed differently here.

        Warns:
            ReadingWarning: as `jax_encoder.huggingface.load`.
        """
        form = read_sentence_form(folder_of(name, allow_pickle=allow_pickle), task=task, allow_pickle=allow_pickle)
        if truncate_dim is not None:
            if truncate_dim < 1:
                raise InputError(f"truncate_dim must be at least 1, got {truncate_dim}")
            form = form._replace(truncate_dim=truncate_dim)
        read = read_table if form.static else load
        return cls(read(form.encoder, allow_pickle=allow_pickle), form, dtype=dtype)

    @property
    def width(self) -> int:
        """P, how many numbers a text becomes."""
        return self._width if self.form.truncate_dim is None else min(self._width, self.form.truncate_dim)

    def encode(
        self,
        texts: Iterable[object],
        batch_size: int = 32,
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        progress: Progress | None = None,
    ) -> Float[np.ndarray, "I P"]:
        """Turns texts into vectors, in their order.

        Short texts share a row, each seeing only itself. Texts that are longer than the checkpoint's longest are cut.
        On a CPU a text has the same vector in float32, bit for bit, whatever else is encoded and whatever the batch
        size, if the encoder's widths are multiples of 64. Vectors are float32, or float64 where that is computed in.

        Args:
            texts: strings.
            batch_size: how many rows of 64 tokens are computed at once, on a CPU at most 32; of longer rows, as many
                fewer.
            prompt: stands before every text; None takes the one of that name, or the folder's default.
            prompt_name: of one of the folder's prompts.
            progress: called after every batch with how many texts it held.

        Raises:
            InputError: one string instead of several, an entry that is no string, a token that the encoder lacks, or a
                prompt's name that is not known.
        """
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        before = self.form.prompt(prompt, prompt_name)
        given = checked(texts, before)
        if isinstance(self.source, Table):
            vectors_IP = self.source.means(self._tokenizer, given, progress)
        else:
            vectors_IP = self._encoded(self._tokens(given), self._prompt_length(before), batch_size, progress)
        return _finished(self._vectors, vectors_IP, self._width)[:, : self.width]

    def similarity(self, a_IP: Float[np.ndarray, "I P"], b_JP: Float[np.ndarray, "J P"]) -> Float[np.ndarray, "I J"]:
        """How alike vectors are, by the folder's measure: the cosine if it names none; distances are negative."""
        return similarity(self.form.similarity, a_IP, b_JP)

    def save(self, folder: Path | str) -> None:
        """Writes a folder that this library and sentence-transformers read to the same vectors.

        Of several routes, it holds the one that was taken.

        Raises:
            InputError: as `jax_encoder.huggingface.save`.
        """
        write_sentence_form(self.form, self.source, Path(folder))

    def _encoded(
        self, tokens: Tokens, prompt: int, batch_size: int, progress: Progress | None
    ) -> Float[np.ndarray, "I P"]:
        """The vectors of texts as the pooling leaves them."""
        width = self.form._replace(modules=self.form.parts()[0]).width(self.config.embed_dim, self.config.num_layers)
        vectors_IP = np.zeros((len(tokens.starts) - 1, width), self._wide)
        waiting: list[tuple[Batch, Array]] = []

        def collect() -> None:
            batch, vectors_BKP = waiting.pop(0)
            vectors_IP[batch.texts] = np.asarray(vectors_BKP, self._wide)[batch.rows, batch.segment - 1]
            if progress is not None:
                progress(len(batch.texts))

        if jax.default_backend() == "cpu":
            batch_size = min(batch_size, ROWS_OF_ONE_ORDER)
        for batch in batches(tokens, longest=self._longest, batch_size=batch_size):
            types_BT = jnp.asarray(batch.types) if self.config.num_token_types else None
            inputs = _Inputs(jnp.asarray(batch.ids), types_BT, jnp.asarray(batch.segments), jnp.int32(prompt))
            waiting.append((batch, _vectors(self._graph, self._rows, self._state, inputs)))
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
        prompt = self.form.prompt(None, None)
        given = [checked([one], prompt)[0] if isinstance(one, str) else both(one) for one in texts]
        return self._tokenizer.encode_batch(given)

    def _prompt_length(self, prompt: str) -> int:
        """Tokens at the beginning of a text that are its prompt: of the prompt alone, less what marks its end."""
        if not prompt:
            return 0
        ids = self._tokenizer.encode(prompt).ids
        marks = {id_ for id_, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        return len(ids) - (1 if ids and ids[-1] in marks else 0)

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


def _finished(
    modules: tuple[Module, ...], vectors_ID: Float[np.ndarray, "I D"], width: int
) -> Float[np.ndarray, "I P"]:
    """What the modules behind the pooling make of vectors, always so many at once: another number has other bits."""
    if not modules:
        return vectors_ID
    made_IP = np.zeros((len(vectors_ID), width), vectors_ID.dtype)
    for start in range(0, len(vectors_ID), USUAL_WIDTH):
        some = vectors_ID[start : start + USUAL_WIDTH]
        padded = np.pad(some, ((0, USUAL_WIDTH - len(some)), (0, 0)))
        made_IP[start : start + len(some)] = np.asarray(apply(modules, padded), vectors_ID.dtype)[: len(some)]
    return made_IP


class _Inputs(NamedTuple):
    """Rows of texts, and how many tokens of each are its prompt."""

    ids: Int[Array, "B T"]
    types: Int[Array, "B T"] | None
    segments: Int[Array, "B T"]
    prompt: Int[Array, ""]


@partial(jax.jit, static_argnames="graph")
def _vectors(
    graph: Any,
    modules: tuple[Module, ...],
    state: Any,
    inputs: _Inputs,
) -> Float[Array, "B K P"]:
    """One vector for each text of each row; what stands where a row has no more texts has no meaning."""
    ids_BT, types_BT, segments_BT, prompt = inputs
    encoder, places_BT = nnx.merge(graph, state), masks.positions_from_segments(segments_BT)
    mask_BTS, positions_BT = masks.Documents(segments_BT), positions(ids_BT, segments_BT, encoder.config)
    x_BTD, taps = encoder(ids_BT, mask_BTS, positions_BT=positions_BT, token_types_BT=types_BT)
    layers = hidden_states(taps, x_BTD) if any(isinstance(one, WeightedLayerPooling) for one in modules) else ()
    rows = Rows(segments_BT, places_BT, TEXTS_PER_ROW, prompt, layers)
    features = {TOKENS: x_BTD.astype(at_least_float32(x_BTD.dtype))}
    for module in modules:
        features = module(features, rows)
    return features[SENTENCE]


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
