"""The libraries' reading of a folder, transformers' or sentence-transformers', and what they make of it, in float64.

Axes: I texts, T columns, N tokens of one text, K masks, D embed_dim, V vocabulary, P pooled width.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import transformers

from parity.encoder.wide import wide
from parity.errors import MismatchError
from parity.judge.crash import running
from parity.text import network
from parity.text.corpus import Text
from parity.text.reading import Reading, Rows
from parity.text.recipe import Counting

SIDE = "torch"
MODULES = "modules.json"
_OPTIONS: dict[str, Any] = {"dtype": torch.float64, "attn_implementation": "eager"}
# Texts that go through the network at once.
_BATCH = 16


class Pipeline(Protocol):
    """One library's way from texts to vectors."""

    tokenizer: Any
    network: Any

    @property
    def prompt(self) -> str:
        """What stands before every single text."""

    @property
    def columns(self) -> int | None:
        """Columns that are kept of a vector; None keeps all."""

    def features(self, texts: list[Text]) -> dict[str, Any]:
        """One padded batch, with `special_tokens_mask`; the prompt stands before single texts."""

    def vectors(self, texts: list[str]) -> np.ndarray:
        """[I, P]."""


class Plain:
    """transformers' tokenizer and encoder, and the mean of what it computes at the tokens that are attended to."""

    prompt, columns = "", None

    def __init__(self, folder: Path):
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(folder, local_files_only=True, **_OPTIONS).eval()
        self.network = model.encoder if hasattr(model, "decoder") else model

    def features(self, texts: list[Text]) -> dict[str, Any]:
        options = {"padding": True, "truncation": True, "return_tensors": "pt", "return_special_tokens_mask": True}
        return dict(self.tokenizer(texts, **options))

    def vectors(self, texts: list[str]) -> np.ndarray:
        found = []
        for start in range(0, len(texts), _BATCH):
            features = self.features(list(texts[start : start + _BATCH]))
            hidden_ITD = self.network(**network.fed(self.network, features)).last_hidden_state
            mask_IT1 = features["attention_mask"][..., None].double()
            found.append(((hidden_ITD * mask_IT1).sum(dim=1) / mask_IT1.sum(dim=1).clamp(min=1e-9)).numpy())
        return np.concatenate(found)


class Sentences:
    """sentence-transformers, whatever modules the folder names."""

    def __init__(self, folder: Path):
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs=dict(_OPTIONS))
        self.network = self.model.transformers_model
        self.tokenizer = self.model.tokenizer

    @property
    def prompt(self) -> str:
        """What stands before every text unless the caller says otherwise."""
        name = self.model.default_prompt_name
        return (self.model.prompts.get(name) or "") if name is not None else ""

    @property
    def columns(self) -> int | None:
        return self.model.truncate_dim

    def features(self, texts: list[Text]) -> dict[str, Any]:
        prompt = None if isinstance(texts[0], tuple) else self.prompt or None
        asked = {"text": {"return_special_tokens_mask": True}}
        return dict(self.model.preprocess(texts, prompt=prompt, processing_kwargs=asked))

    def vectors(self, texts: list[str]) -> np.ndarray:
        return self.model.encode(texts, batch_size=_BATCH, show_progress_bar=False)


class Library:
    """The reference.

    Args:
        folder: that is read.
        family: as we call it.

    Raises:
        MismatchError: the libraries cannot read it.
    """

    def __init__(self, folder: Path, family: str):
        self.family = family
        sentences = (folder / MODULES).is_file()
        with self._running():
            try:
                self.pipeline: Pipeline = Sentences(folder) if sentences else Plain(folder)
            except (OSError, ValueError) as error:
                raise MismatchError(f"the libraries cannot read {folder}: {error}") from error
        self.name = "sentence-transformers" if sentences else "transformers"
        # Beyond its positions the encoder computes nothing: these libraries fail there.
        self.asked = int(self.tokenizer.model_max_length)
        self.possible = network.most(self.pipeline.network) or self.asked
        self.tokenizer.model_max_length = min(self.asked, self.possible)

    @property
    def tokenizer(self) -> Any:
        """transformers' tokenizer."""
        return self.pipeline.tokenizer

    @property
    def content(self) -> str | None:
        """The tokenizer.json that its class made; None of a class that reads by code of its own."""
        return self.tokenizer.backend_tokenizer.to_str() if hasattr(self.tokenizer, "backend_tokenizer") else None

    @property
    def counting(self) -> Counting:
        """How the encoder counts positions."""
        return network.counting(self.pipeline.network)

    @property
    def takes_types(self) -> bool:
        """Whether the encoder has token types."""
        return network.takes_types(self.pipeline.network)

    @property
    def fed_types(self) -> bool:
        """Whether the encoder is given token types."""
        return self.takes_types and "token_type_ids" in self.tokenizer.model_input_names

    @property
    def pad(self) -> int:
        """The token that stands for padding where positions are counted."""
        return network.first_row(self.pipeline.network) - 1

    def read(self, texts: Sequence[Text]) -> Reading:
        """What the encoder is fed of one batch."""
        with self._running():
            features = self.pipeline.features(list(texts))
            positions_IT = network.positions_of(self.pipeline.network, features)
        mask = features["attention_mask"].bool().numpy()
        types_IT = features.get("token_type_ids") if self.takes_types else None
        types_IT = torch.zeros_like(features["input_ids"]) if types_IT is None else types_IT

        def rows(array_IT: Any) -> Rows:
            return tuple(row[seen].astype(np.int64) for row, seen in zip(np.asarray(array_IT), mask, strict=True))

        positions = rows(positions_IT)
        if self.counting == "distances":
            positions = tuple(row - row[:1] for row in positions)
        return Reading(
            rows(features["input_ids"]), rows(features["special_tokens_mask"]), rows(types_IT), mask, positions
        )

    def refuses(self, text: str) -> bool:
        """Whether a text is refused as none."""
        with quiet():
            try:
                self.pipeline.features([text])
            except (TypeError, ValueError):
                return True
        return False

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """A vector a text, [I, P], by the way that users take."""
        with self._running(), torch.no_grad():
            return np.array(self.pipeline.vectors(list(texts)))

    def hidden(self, texts: Sequence[str]) -> list[np.ndarray]:
        """What the encoder computes at the tokens of each text, [N, D]."""
        found: list[np.ndarray] = []
        with self._running(), torch.no_grad():
            for start in range(0, len(texts), _BATCH):
                features = self.pipeline.features(list(texts[start : start + _BATCH]))
                hidden_ITD = self.pipeline.network(
                    **network.fed(self.pipeline.network, features)
                ).last_hidden_state.numpy()
                mask_IT = features["attention_mask"].bool().numpy()
                found += [row[seen] for row, seen in zip(hidden_ITD, mask_IT, strict=True)]
        return found

    def words(self, texts: Sequence[Text], folder: Path) -> np.ndarray:
        """The scores of all words at the mask tokens of texts, one by one: [I K, V]; `folder` is the encoder's own."""
        found = []
        with self._running(), torch.no_grad():
            cls = transformers.AutoModelForMaskedLM
            model = cls.from_pretrained(folder, local_files_only=True, **_OPTIONS).eval()
            for text in texts:
                features = self.pipeline.features([text])
                logits_ITV = model(**network.fed(model, features)).logits
                found.append(logits_ITV[features["input_ids"] == self.tokenizer.mask_token_id].numpy())
        return np.concatenate(found)

    def spell(self, id_: int) -> str:
        """How a token is written."""
        return self.tokenizer.convert_ids_to_tokens(id_) or f"#{id_}"

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """In float64, without a word, and whatever is raised is the reference's doing."""
        with quiet(), wide(self.family), running(SIDE):
            yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, no log: what matters is told in the report."""
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
        if bars:
            transformers.utils.logging.enable_progress_bar()
