"""Our reading of a folder, and what our encoder makes of it, in float64."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from tokenizers import Tokenizer

from jax_encoder import masks
from jax_encoder.encode import TextEncoder, positions
from jax_encoder.errors import InputError
from jax_encoder.huggingface.checkpoint import Checkpoint
from jax_encoder.huggingface.reading import TOKENIZER
from jax_encoder.huggingface.vocabularies import BYTES, WORDPIECE
from jax_encoder.sentence.form import SentenceForm
from jax_encoder.sentence.modules import Normalize
from parity.judge.crash import running
from parity.text.corpus import Text
from parity.text.reading import Reading, Rows
from parity.text.recipe import Pooled, Recipe, mask_of

SIDE = "JAX"


class Ours:
    """Our side.

    Args:
        checkpoint: of the folder.
        form: what the folder says of whole texts.

    Raises:
        InputError: its texts cannot be read here.
    """

    def __init__(self, checkpoint: Checkpoint, form: SentenceForm):
        self.checkpoint, self.form = checkpoint, form
        self.encoder = TextEncoder(checkpoint, form, dtype=jnp.float64)

    @property
    def source(self) -> Path:
        """The file that says how texts are read: tokenizer.json, or a vocabulary."""
        places = [self.form.encoder / name for name in (TOKENIZER, WORDPIECE, BYTES)]
        return next((path for path in places if path.is_file()), places[0])

    @property
    def content(self) -> str:
        """tokenizer.json; what we make of a vocabulary where there is none."""
        if self.source.name == TOKENIZER:
            return self.source.read_text(encoding="utf-8")
        assert self.checkpoint.tokenizer is not None, "a text encoder has one"
        return self.checkpoint.tokenizer.to_str()

    def read(self, texts: Sequence[Text]) -> Reading:
        """What the encoder is fed."""
        with running(SIDE):
            encodings = self.encoder.read(texts)
        ids = _rows([one.ids for one in encodings])
        # Texts lie in a row one behind another, each counted by itself from 0 on; padding stands behind all.
        mask = mask_of([len(one) for one in ids], left=False)
        ids_IT = np.zeros(mask.shape, np.int32)
        ids_IT[mask] = np.concatenate([np.zeros(0, np.int64), *ids])
        positions_IT = positions(jnp.asarray(ids_IT), jnp.asarray(mask, jnp.int32), self.encoder.config)
        types = _rows([one.type_ids for one in encodings])
        return Reading(
            ids=ids,
            special=_rows([one.special_tokens_mask for one in encodings]),
            types=types if self.encoder.config.num_token_types else tuple(map(np.zeros_like, types)),
            mask=mask,
            positions=tuple(
                row[: len(one)].astype(np.int64) for row, one in zip(np.asarray(positions_IT), ids, strict=True)
            ),
        )

    def refuses(self, text: str) -> bool:
        """Whether a text is refused as none."""
        try:
            self.encoder.read([text])
        except InputError:
            return True
        return False

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """A vector a text, [I, P], by the way that users take."""
        with running(SIDE):
            return self.encoder.encode(texts, batch_size=64)

    def words(self, rows: Sequence[tuple[np.ndarray, np.ndarray]], mask: int) -> np.ndarray:
        """The scores of all words at the mask tokens of texts, given the ids and types of each: [I K, V]."""
        config, width = self.checkpoint.config, max(len(ids) for ids, _ in rows)
        ids_IT, types_IT = (
            np.array([np.pad(row[part], (0, width - len(row[part]))) for row in rows], np.int32) for part in (0, 1)
        )
        seen_ITS = masks.from_lengths(jnp.asarray([len(ids) for ids, _ in rows], jnp.int32), width)
        types = jnp.asarray(types_IT) if config.num_token_types else None
        with running(SIDE):
            model = self.checkpoint.model(dtype=jnp.float64)
            run = nnx.jit(lambda model, *given, types: model(*given, token_types_BT=types)[0].logits)
            logits_ITV = np.asarray(run(model, jnp.asarray(ids_IT), seen_ITS, types=types))
        at_IT = (ids_IT == mask) & (np.arange(width)[None] < np.array([[len(ids)] for ids, _ in rows]))
        return logits_ITV[at_IT]

    def spell(self, id_: int) -> str:
        """How a token is written."""
        tokenizer = self.checkpoint.tokenizer
        assert tokenizer is not None, "a text encoder has one"
        return tokenizer.id_to_token(id_) or f"#{id_}"

    def mistaken(self, wrong: Recipe | Pooled) -> "Ours":
        """The same with a mistake, as far as our own options and files can say it."""
        if isinstance(wrong, Pooled):
            others = tuple(one for one in self.form.modules if not isinstance(one, Normalize))
            modules = (*others, Normalize()) if wrong.normalize else others
            return Ours(self.checkpoint, self.form._replace(modules=modules))
        changed = dataclasses.replace(self.checkpoint, tokenizer=Tokenizer.from_str(wrong.tokenizer))
        form = self.form._replace(max_length=wrong.limit, cut_left=wrong.cut_left)
        form = form._replace(prompts={"mistaken": wrong.prompt}, default_prompt="mistaken")
        return Ours(changed, form)


def _rows(lists: Sequence[Sequence[int]]) -> Rows:
    return tuple(np.array(one, np.int64) for one in lists)
