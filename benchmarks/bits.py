"""Whether a text has the same vector whatever else is encoded: bit by bit, in other orders and batches, and alone."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import jax

from benchmarks.encode import minilm, sentences
from jax_encoder.encode import TextEncoder
from jax_encoder.errors import InputError

if TYPE_CHECKING:
    import numpy as np

Encode = Callable[[list[str], int], "np.ndarray"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bits:
    """Counts the bits that differ between the vectors of the same sentences, in float32, in other company: shuffled, in
    batches of every size that is asked for, and each alone. The first vectors are of all in their order, in batches of
    32. Ends with status 0 if no bit differs, 1 if one does."""

    texts: int = 1000
    """How many sentences, drawn as `encode` draws them."""
    batch_size: tuple[int, ...] = (1, 2, 3, 5, 8, 16, 32, 64, 100, 128, 256)
    """Rows of 64 tokens that are computed at once; each size has an order of its own."""
    model: str | None = None
    """Folder of the checkpoint; all-MiniLM-L6-v2, if left out."""

    def run(self) -> int:
        """Returns the exit status."""
        if self.texts < 1 or not self.batch_size or min(self.batch_size) < 1:
            raise InputError("--texts and every --batch-size must be at least 1")
        texts, encoder = sentences(self.texts), TextEncoder.from_pretrained(self.model or minilm())
        print(f"{len(texts):,} sentences, float32 on {jax.devices()[0].platform}, {encoder.width} numbers each")
        total = 0
        for how, bits, different in compared(encoder.encode, texts, self.batch_size):
            print(f"{how}: {bits:,} bits differ, in {different:,} texts")
            total += bits
        print(f"{total:,} differing bits in all")
        return 1 if total else 0


def compared(encode: Encode, texts: list[str], batch_sizes: tuple[int, ...]) -> Iterator[tuple[str, int, int]]:
    """How texts were encoded, how many bits of their vectors differ from the first ones, and in how many texts."""
    import numpy as np

    first, rng = encode(texts, 32), np.random.default_rng(0)
    for size in batch_sizes:
        order = rng.permutation(len(texts))
        found = np.empty_like(first)
        found[order] = encode([texts[index] for index in order], size)
        yield f"shuffled, batches of {size}", *differing(found, first)
    yield "each alone", *differing(np.concatenate([encode([text], 1) for text in texts]), first)


def differing(one: "np.ndarray", other: "np.ndarray") -> tuple[int, int]:
    """How many bits of two float32 arrays of vectors differ, and in how many vectors."""
    import numpy as np

    bits = np.bitwise_count(one.view(np.uint32) ^ other.view(np.uint32)).sum(axis=1, dtype=np.int64)
    return int(bits.sum()), int((bits > 0).sum())
