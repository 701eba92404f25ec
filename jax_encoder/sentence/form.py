"""What a folder says of whole texts, and whether its modules fit together."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jax_encoder.errors import InputError
from jax_encoder.sentence.modules import SENTENCE, TOKENS, Module, Pooling, WeightedLayerPooling


class SentenceForm(NamedTuple):
    """What a checkpoint's folder says of whole texts.

    Attributes:
        encoder: folder of the encoder, or of the table of tokens' vectors.
        modules: behind it, in their order.
        max_length: tokens of a text that are read, special ones included; None says nothing.
        cut_left: whether a longer text loses its beginning instead of its end; None leaves it to the tokenizer.
        lower_case: whether texts are lower-cased before the tokenizer sees them.
        prompts: name -> what stands before a text.
        default_prompt: name of the one that stands there unless the caller names another.
        truncate_dim: how many numbers of a vector are kept; None keeps all.
        similarity: of two vectors: cosine, dot, euclidean or manhattan.
        static: whether a text's vector is the mean of rows of a table, without an encoder.
    """

    encoder: Path
    modules: tuple[Module, ...] = (Pooling(modes=("mean",)),)
    max_length: int | None = None
    cut_left: bool | None = None
    lower_case: bool = False
    prompts: Mapping[str, str] = {"query": "", "document": ""}
    default_prompt: str | None = None
    truncate_dim: int | None = None
    similarity: str = "cosine"
    static: bool = False

    def prompt(self, text: str | None, name: str | None) -> str:
        """What stands before a text: what the caller gives, else what he names, else the default.

        Raises:
            InputError: a name that is not known.
        """
        if text is not None:
            return text
        name = self.default_prompt if name is None else name
        if name is not None and name not in self.prompts:
            raise InputError(f"prompt_name must be one of {', '.join(map(repr, self.prompts))}, got {name!r}")
        return "" if name is None else self.prompts[name]

    def parts(self) -> tuple[tuple[Module, ...], tuple[Module, ...]]:
        """The modules up to the last that reads tokens, and those behind it, which see a text's vector alone."""
        last = max((i for i, module in enumerate(self.modules) if isinstance(module, Pooling)), default=-1)
        return self.modules[: last + 1], self.modules[last + 1 :]

    def width(self, embed_dim: int, num_layers: int = 0) -> int:
        """How many numbers a text becomes before truncation.

        Args:
            embed_dim: of the encoder, or of the table.
            num_layers: of the encoder.

        Raises:
            InputError: a module reads what is not there, or another width.
        """
        widths = {SENTENCE if self.static else TOKENS: embed_dim}
        for number, module in enumerate(self.modules, start=1):
            who = f"{self.encoder}: module {number}, {type(module).__name__},"
            if module.reads not in widths:
                raise InputError(f"{who} reads {module.reads}, which no module before it has made")
            width = widths[module.reads]
            if (needed := _needed(module)) not in (None, width):
                raise InputError(f"{who} reads vectors of {needed} numbers, got {width}")
            if isinstance(module, WeightedLayerPooling) and len(module.weights) != num_layers + 1 - module.start:
                raise InputError(
                    f"{who} has {len(module.weights)} weights from layer {module.start} on, and the encoder has "
                    f"{num_layers} layers"
                )
            widths[module.writes] = module.width(width)
            if isinstance(module, Pooling) and module is self.parts()[0][-1]:
                del widths[TOKENS]
        if SENTENCE not in widths:
            raise InputError(f"{self.encoder}: no module makes one vector of a text's tokens: Pooling does")
        return widths[SENTENCE]


def _needed(module: Module) -> int | None:
    """Width that a module can read, as its arrays say; None reads any."""
    for name in ("kernel", "scale"):
        if (array := getattr(module, name, None)) is not None:
            return int(array.shape[0])
    return None
