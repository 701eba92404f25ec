"""`jax-encoder fill-mask`."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jax_encoder.commands.called import notes_shown
from jax_encoder.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer

    from jax_encoder.huggingface import Checkpoint

# BERT's and RoBERTa's, for a checkpoint that does not say.
_MASKS = ("[MASK]", "<mask>")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FillMask:
    """Shows what a checkpoint with a masked-language-model head puts where a text has its mask token, as in
    "Paris is the [MASK] of France."."""

    text: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TEXT")]
    """With one mask token or several, spelled as the checkpoint spells it."""
    model: Annotated[str, tyro.conf.arg(metavar="DIR")]
    """Folder of a published checkpoint, or its name on the Hugging Face hub where huggingface_hub is installed."""
    top: int = 5
    """How many candidates to show."""
    allow_pickle: bool = False
    """Read pickled weights, where there are no others, through torch's reader of weights only."""

    def run(self) -> int:
        """Returns the exit status."""
        if self.top < 1:
            raise InputError(f"--top must be at least 1, got {self.top}")
        from jax_encoder.huggingface import load
        from jax_encoder.huggingface.hub import folder_of
        from jax_encoder.huggingface.vocabularies import why_unread

        with notes_shown():
            checkpoint = load(self.model, allow_pickle=self.allow_pickle)
        if not checkpoint.parts.head:
            raise InputError(
                f"{self.model} is of class {checkpoint.architecture}, which has no masked-language-model head: name a "
                "checkpoint of a class that ends with ForMaskedLM"
            )
        if checkpoint.tokenizer is None:
            raise InputError(why_unread(folder_of(self.model)))
        ids, columns = _masked(checkpoint, checkpoint.tokenizer, self.text)
        console = Console()
        for number, probabilities_V in enumerate(_probabilities(checkpoint, ids, columns), start=1):
            title = f"mask {number} of {len(columns)}" if len(columns) > 1 else None
            console.print(_table(probabilities_V, checkpoint.tokenizer, self.top, title))
        return 0


def _masked(checkpoint: "Checkpoint", tokenizer: "Tokenizer", text: str) -> tuple[list[int], list[int]]:
    """The text's ids and the columns of its masks."""
    mask = _mask(checkpoint, tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids = tokenizer.encode(text).ids
    columns = [column for column, id_ in enumerate(ids) if id_ == tokenizer.token_to_id(mask)]
    if not columns:
        raise InputError(f"the text has no mask token: write {mask} where a word is to be filled in")
    if len(ids) > checkpoint.config.max_len:
        raise InputError(f"the text has {len(ids)} tokens, more than this encoder's {checkpoint.config.max_len}")
    if max(ids) >= checkpoint.config.vocab_size:
        raise InputError(
            f"the tokenizer gives the text the token id {max(ids)}, and the encoder knows "
            f"{checkpoint.config.vocab_size}: they are not of one checkpoint"
        )
    return ids, columns


def _mask(checkpoint: "Checkpoint", tokenizer: "Tokenizer") -> str:
    """The mask token, as the checkpoint spells it."""
    from jax_encoder.huggingface.reading import tokenizer_config

    named = tokenizer_config(checkpoint.folder).get("mask_token") if checkpoint.folder else None
    if isinstance(named, dict):  # an older form, which says how it is cut out of the text
        named = named.get("content")
    for name in _MASKS if named is None else (named,):
        if isinstance(name, str) and tokenizer.token_to_id(name) is not None:
            return name
    raise InputError(
        f"{checkpoint.folder} has no mask token: expected {named or ' or '.join(_MASKS)} in its vocabulary"
    )


def _probabilities(checkpoint: "Checkpoint", ids: list[int], columns: list[int]) -> "np.ndarray":
    """Of every word of the vocabulary, for every mask."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from jax_encoder import masks

    tokens_BT = jnp.asarray([ids], jnp.int32)
    run = nnx.jit(lambda model, tokens_BT, mask_BTS: model(tokens_BT, mask_BTS)[0].logits)
    logits_BTV = run(checkpoint.model(), tokens_BT, masks.from_segments(jnp.ones_like(tokens_BT)))
    return np.asarray(jax.nn.softmax(logits_BTV[0, np.array(columns)], axis=-1))


def _table(probabilities_V: "np.ndarray", tokenizer: "Tokenizer", top: int, title: str | None) -> Table:
    import numpy as np

    table = Table("probability", "token", title=title)
    # Tables of embeddings have rows to spare, which stand for no token whatever their probability.
    words = np.array([id_ for id_ in range(len(probabilities_V)) if tokenizer.id_to_token(id_) is not None], np.int64)
    for id_ in words[(-probabilities_V[words]).argsort(kind="stable")[:top]].tolist():
        # As it stands in a text: byte-level tokens are spelled in letters of their own.
        shown = tokenizer.decode([id_], skip_special_tokens=False).strip() or repr(tokenizer.id_to_token(id_))
        table.add_row(f"{probabilities_V[id_]:.4f}", escape(shown))
    return table
