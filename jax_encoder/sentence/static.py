"""The module StaticEmbedding: a text's vector is the mean of its tokens' rows of a table.

Axes: V vocabulary, P width, I texts.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from tokenizers import Tokenizer

from jax_encoder.errors import InputError
from jax_encoder.huggingface.reading import opened_tokenizer
from jax_encoder.huggingface.tensors import Tensors, read_tensors

_CHUNK = 4096  # texts


class Table(NamedTuple):
    """Vectors of tokens, and the tokenizer that numbers them; it adds no special tokens."""

    vectors: Float32[np.ndarray, "V P"]
    tokenizer: Tokenizer

    def means(
        self, tokenizer: Tokenizer, texts: Sequence[str], progress: Callable[[int], None] | None
    ) -> Float32[np.ndarray, "I P"]:
        """The vectors of texts; zero for one without a token. Raises `InputError` for a token beyond the table."""
        means_IP = np.zeros((len(texts), self.vectors.shape[1]), np.float32)
        for start in range(0, len(texts), _CHUNK):
            encodings = tokenizer.encode_batch(texts[start : start + _CHUNK], add_special_tokens=False)
            for text, encoding in enumerate(encodings, start=start):
                if encoding.ids and max(encoding.ids) >= len(self.vectors):
                    raise InputError(
                        f"the tokenizer gives texts[{text}] the token id {max(encoding.ids)}, and the table has "
                        f"{len(self.vectors)} rows: they are not of one checkpoint"
                    )
                if encoding.ids:
                    means_IP[text] = self.vectors[encoding.ids].mean(axis=0)
            if progress is not None:
                progress(len(encodings))
        return means_IP


def _folded(tensors: Tensors) -> np.ndarray:
    """A row a token of model2vec's table: which of its rows, and how much that counts."""
    vectors = tensors["embeddings"]
    vectors = vectors[tensors["mapping"]] if "mapping" in tensors else vectors
    if "weights" not in tensors:
        return vectors
    wide = vectors if vectors.dtype == np.float64 else vectors.astype(np.float32)
    return wide * tensors["weights"][:, None]


def read_table(folder: Path, *, allow_pickle: bool = False) -> Table:
    """Reads the module's files, in its own form or model2vec's.

    Raises:
        InputError: a file is missing or damaged.
    """
    tokenizer, _ = opened_tokenizer(folder / "tokenizer.json")
    tensors = read_tensors(folder, allow_pickle=allow_pickle)
    if tensors.keys() == {"embedding.weight"}:
        vectors = tensors["embedding.weight"].astype(np.float32)
    elif "embeddings" in tensors and tensors.keys() <= {"embeddings", "mapping", "weights"}:
        vectors = _folded(tensors).astype(np.float32)
    else:
        raise InputError(f"{folder} must hold the tensor embedding.weight, got {', '.join(sorted(tensors))}")
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise InputError(f"{folder} must hold a table of finite numbers, got shape {vectors.shape}")
    return Table(vectors, tokenizer)
