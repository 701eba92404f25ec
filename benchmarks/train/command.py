"""`python -m benchmarks train`: our step beside its peers', in turn, and beside the rate of matrix products."""

import dataclasses
import shlex
import time
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro

from benchmarks import comparison, products
from benchmarks.comparison import Side
from benchmarks.machine import described, save
from benchmarks.train import lines
from benchmarks.train.tasks import TASKS
from benchmarks.workers import Record, WorkerError
from jax_encoder.errors import InputError

Task = Literal["minilm_l6", "minilm_l6_bfloat16", "text", "mini"]

OURS, TORCH = "benchmarks.train.ours", "benchmarks.train.torch_side"


# Of a small step torch's many short loops take longer to share out than to run: with two threads on two busy cores
# `mini` took 3 to 20 times as long as with one.
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def _torch(name: str, recipe: str, *, compiled: bool, dtype: str = "float32", **more: str) -> Side:
    how = "torch.compile" if compiled else "eager"
    spec = {"recipe": recipe, "compiled": compiled, "dtype": dtype, **more}
    return Side(f"{name}, {how}", TORCH, spec, ("torch", "transformers"))


def _both(name: str, recipe: str, dtype: str = "float32") -> tuple[Side, ...]:
    return tuple(_torch(name, recipe, compiled=compiled, dtype=dtype) for compiled in (False, True))


def _on_one_thread(side: Side) -> Side:
    return dataclasses.replace(side, name=f"{side.name}, one thread", environment=_ONE_THREAD)


# Peers that get ready at the same time, each with some 3 GB at most.
_AT_ONCE = 2
BEST = "torch's best recipe"
# What each step is measured beside; the first word of a task's name is that of its encoder and batches.
PEERS: dict[str, tuple[Side, ...]] = {
    "minilm_l6": (
        *_both("transformers as it ships", "shipped"),
        *_both(BEST, "best"),
        Side("Flax NNX, stock parts", "benchmarks.train.nnx_side", {}, ("torch",)),
        Side("keras-hub on JAX", "benchmarks.train.keras_side", {}, ("keras", "keras_hub")),
    ),
    "minilm_l6_bfloat16": _both(f"{BEST}, bfloat16 autocast", "best", "bfloat16"),
    "text": (
        _torch(f"{BEST}, padded to the longest", "best", compiled=False, padded="longest"),
        _torch(f"{BEST}, padded to 128", "best", compiled=True, padded="full"),
    ),
    "mini": tuple(
        one
        for side in (
            *_both("transformers' ModernBERT, its sparse prediction", "sparse"),
            _torch(BEST, "best", compiled=True),
        )
        for one in (side, _on_one_thread(side))
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Our training step beside what one would use instead, on this machine's CPU: the same tokens, the same batch, the
    same settings of the optimizer. Each side has a process of its own; they take turns, after a warm-up."""

    tasks: tuple[Task, ...] = ("minilm_l6", "minilm_l6_bfloat16", "text", "mini")
    """Steps to time."""
    only: str | None = None
    """Measure beside those peers alone whose names hold this."""
    seconds: float = 450.0
    """For everything together; each peer is measured for three rounds at least."""
    tiny: bool = False
    """Everything so small that it takes no time: to try the command, not to measure."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """File for all results, from which `python -m benchmarks report` makes a page."""

    def run(self) -> int:
        """Returns the exit status: 1 if any side crashed."""
        start = time.monotonic()
        peers = {task: sides for task in self.tasks if (sides := self._peers(task))}
        if not peers:
            raise InputError(f"--only {self.only}: no peer of {', '.join(self.tasks)} has this in its name")
        result = {"kind": "train", "command": self._command(), "tiny": self.tiny, **described()}
        print("\n".join(lines.machine(result)), flush=True)
        result["products"] = products.rates(self._dtypes(), tiny=self.tiny)
        print("\n".join(lines.products(result)), flush=True)
        result["tasks"] = []
        for index, (task, sides) in enumerate(peers.items()):
            later = sum(map(len, list(peers.values())[index + 1 :]))
            result["tasks"].append(self._task(task, sides, start + self.seconds, later))
            save(result, self.json_file)
        result["elapsed"] = time.monotonic() - start
        save(result, self.json_file)
        print("\n".join(lines.summary(result)))
        return 1 if lines.wrong(result) else 0

    def _task(self, task: str, sides: Sequence[Side], ends: float, later: int) -> Record:
        """One task beside each of its peers; our side stays as it is, through all of them."""
        name, dtype = task.removesuffix("_bfloat16"), "bfloat16" if task.endswith("_bfloat16") else "float32"
        work = {"task": name, "tiny": self.tiny}
        found: Record = {"task": task, "described": TASKS[name].described, "dtype": dtype, "peers": []}
        print(f"\n{task}: {found['described']}, {dtype}", flush=True)
        try:
            with Side("ours", OURS, {"dtype": dtype}).start(work) as ours:
                for first in range(0, len(sides), _AT_ONCE):

                    def until(waiting: int, first: int = first) -> float:
                        now, behind = time.monotonic(), later + max(0, len(sides) - first - _AT_ONCE)
                        return now + (ends - now) / (behind + waiting + 1)

                    found["peers"] += (ended := comparison.several(ours, sides[first : first + _AT_ONCE], work, until))
                    print("\n".join(map(lines.peer, ended)), flush=True)
                found["ours"] = ours.ready(seconds=0)
        except WorkerError as error:
            found["trouble"] = str(error)
            print(f"  ours: CRASHED: {error}", flush=True)
        return found

    def _peers(self, task: str) -> list[Side]:
        return [side for side in PEERS[task] if self.only is None or self.only in side.name]

    def _dtypes(self) -> list[str]:
        return sorted({"bfloat16" if task.endswith("_bfloat16") else "float32" for task in self.tasks}, reverse=True)

    def _command(self) -> str:
        words = ["python", "-m", "benchmarks", "train"]
        words += [] if len(self.tasks) == len(PEERS) else ["--tasks", *self.tasks]
        words += [] if self.only is None else ["--only", self.only]
        return shlex.join(words + (["--tiny"] if self.tiny else []))
