"""`python -m benchmarks gpu`: which measurements there are, in what order, and what becomes of the results."""

import dataclasses
import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from benchmarks.gpu import lines
from benchmarks.gpu.children import Record, call
from benchmarks.gpu.machine import describe, has_gpu, peak_of
from benchmarks.gpu.results import OURS, wrong
from benchmarks.gpu.work import DEFAULT_SHAPES, encoder_of, shape_of
from jax_encoder.errors import InputError

Part = Literal["products", "train", "precision", "tests"]
# Seconds that each part is given at most; training gets all that the others leave.
_RESERVED: dict[Part, float] = {"products": 60, "precision": 90, "tests": 150}
_LEAST = 10.0  # seconds that are worth starting a process for

# What leaves one thing out of our step, to see what it costs: changes to the encoder and to the model's options.
ABLATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no dropout": ({"embedding_dropout": 0.0, "attention_dropout": 0.0, "residual_dropout": 0.0}, {}),
    "no attention dropout": ({"attention_dropout": 0.0}, {}),
    "unrolled": ({"scan_layers": False}, {}),
    "default precision": ({}, {"matmul_precision": "default"}),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu:
    """Training steps on this machine's GPU, ours beside PyTorch's best, and whether this device computes what a CPU
    does. Needs no network: tokens are random, the same for both sides, and each side has a process of its own."""

    parts: tuple[Part, ...] = ("products", "train", "precision", "tests")
    """What to do: rates of matrix products, training steps, errors against the CPU, the tests marked gpu."""
    shapes: tuple[str, ...] = DEFAULT_SHAPES
    """Training steps to time: bert_base, bert_large, modernbert_base, bert_base_packed."""
    sides: tuple[Literal["ours", "torch"], ...] = ("ours", "torch")
    """Whose steps."""
    recipes: tuple[Literal["eager", "compiled"], ...] = ("eager", "compiled")
    """How PyTorch runs its step; the faster one counts."""
    rows: int | None = None
    """Rows a step, in place of each shape's own; halved where memory does not suffice."""
    ablate: bool = False
    """Whether to time our step again without dropout, unrolled, and so on."""
    seconds: float = 470.0
    """For everything together; what would not fit is left out, and said to be."""
    tiny: bool = False
    """Everything so small that a CPU has it at once: to try the command, not to measure."""
    trace: str | None = None
    """Folder for profiles of our steps, whose device time is then summed up by kind of operation."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """File for all results, from which `python -m benchmarks report` makes a page."""

    def run(self) -> int:
        """Returns the exit status: 1 if any part crashed or a value is wrong."""
        self._check()
        start = time.monotonic()
        result: Record = {"command": self._command(), **describe()}
        result |= {"tiny": self.tiny, "peak": peak_of(result["device"]), "trouble": []}
        print("\n".join(lines.machine(result)), flush=True)
        for part, name, spec, seconds in self._plan(start + self.seconds):
            title = f"{part} {lines.title(spec)}".strip()
            if seconds < _LEAST:
                result["trouble"].append({"what": title, "why": "left out: no time was left"})
                print(f"{title}: left out, no time was left", flush=True)
                continue
            began = time.monotonic()
            ended = call(name, spec | {"seconds": seconds}, seconds=seconds, environment=_environment(part, self.tiny))
            result.setdefault(part, []).extend(ended.records)
            for record in ended.records:
                print(lines.record(part, record, result), flush=True)
            if ended.error is not None:
                result["trouble"].append({"what": title, "why": ended.error})
                print(f"{title}: CRASHED: {ended.error}", flush=True)
            print(f"  ({title}: {time.monotonic() - began:.0f} s)", flush=True)
            self._save(result)
        result["seconds"] = time.monotonic() - start
        self._save(result)
        print("\n".join(lines.summary(result)))
        return 1 if wrong(result) else 0

    def _command(self) -> str:
        """What was asked for, without the places of files."""
        words = ["python", "-m", "benchmarks", "gpu"]
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value == field.default or field.name in ("trace", "json_file"):
                continue
            flag = f"--{field.name.replace('_', '-')}"
            words += [flag, *map(str, value if isinstance(value, tuple) else () if value is True else (value,))]
        return shlex.join(words)

    def _check(self) -> None:
        for name in self.shapes:
            shape_of(name)
        if self.rows is not None and self.rows < 1:
            raise InputError(f"--rows must be at least 1, got {self.rows}")
        if not self.tiny and not has_gpu():
            raise InputError("this machine has no NVIDIA GPU: give --tiny to try the command on the CPU")

    def _plan(self, ends: float) -> Iterator[tuple[Part, str, Record, float]]:
        """Part, module, what to measure and for how long at most, in order; the time left is read when it is asked."""
        jobs = [(part, *job) for part in self.parts for job in self._jobs(part)]
        for index, (part, name, spec) in enumerate(jobs):
            later = sum(_RESERVED.get(other, 0.0) for other in self.parts[self.parts.index(part) + 1 :])
            left = ends - time.monotonic()
            if part in _RESERVED:
                yield part, name, spec, min(left, _RESERVED[part] / len(self._jobs(part)))
                continue
            # A slow one may take twice its share from those behind it.
            waiting = len([job for job in jobs[index:] if job[0] == part])
            yield part, name, spec, min(left - later, 2 * (left - later) / waiting)

    def _jobs(self, part: Part) -> list[tuple[str, Record]]:
        """Module and arguments of every process of a part."""
        if part == "products":
            return [("products", {"by": by, "tiny": self.tiny}) for by in ("jax", "torch")]
        if part != "train":
            return [({"precision": "precision", "tests": "suite"}[part], {"tiny": self.tiny})]
        jobs: list[tuple[str, Record]] = []
        for shape in self.shapes:
            of_shape: Record = {"shape": shape, "tiny": self.tiny, "rows": self.rows}
            for side in self.sides:
                if side == "torch":
                    jobs.append(("torch_best", of_shape | {"side": "torch", "recipes": self.recipes}))
                else:
                    jobs.append(("ours", of_shape | self._ours(OURS, {}, {}, self.trace and f"{self.trace}/{shape}")))
        for shape in self.shapes if self.ablate else ():
            encoder = dataclasses.asdict(encoder_of(shape_of(shape)))
            for name, (changes, model) in ABLATIONS.items():
                # Where there is no dropout, leaving it out changes nothing.
                if model or any(encoder[field] != value for field, value in changes.items()):
                    of_shape = {"shape": shape, "tiny": self.tiny, "rows": self.rows}
                    jobs.append(("ours", of_shape | self._ours(name, changes, model, None)))
        return jobs

    @staticmethod
    def _ours(recipe: str, encoder: Record, model: Record, trace: str | None) -> Record:
        return {"side": "ours", "recipe": recipe, "encoder": encoder, "model": model, "trace": trace}

    def _save(self, result: Record) -> None:
        if self.json_file is not None:
            Path(self.json_file).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _environment(part: Part, tiny: bool) -> dict[str, str]:
    """What a child is told. A step has the card to itself; elsewhere JAX takes what it needs, and leaves the rest."""
    own = part in ("train", "products")
    # Compiling is timed, so nothing may be found compiled.
    cache = {} if tiny or part == "tests" else {"JAX_COMPILATION_CACHE_DIR": ""}
    return cache | {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "true" if own else "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.93",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
