"""`python -m benchmarks compile`: whether depth costs compiling, and how soon a run takes its first step."""

import dataclasses
import time
from typing import Annotated

import tyro

from benchmarks import comparison
from benchmarks.comparison import Side
from benchmarks.machine import described, save
from benchmarks.start import starts
from benchmarks.workers import Record, WorkerError

FEW, MANY = 6, 24
# What is aimed at: compile time of many layers over few, and seconds from a second start to the first step.
MOST_RATIO, MOST_SECONDS = 1.2, 8.0
_MODULE = "benchmarks.compiled"
_NOTHING_KEPT = {"JAX_COMPILATION_CACHE_DIR": "", "JAX_ENABLE_COMPILATION_CACHE": "false"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compile:
    """Time to trace and compile the training step of 24 layers beside that of 6, in turn; and from starting a run of
    `mini` to its first step: with nothing compiled before, resumed, and started again."""

    seconds: float = 60.0
    """For the compiling in turn; there are three rounds at least."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """File for all results, from which `python -m benchmarks report` makes a page."""

    def run(self) -> int:
        """Returns the exit status: 1 if anything crashed."""
        result: Record = {"kind": "compile", "command": "python -m benchmarks compile", "tiny": False, **described()}
        try:
            few, many = (
                Side(f"{layers} layers", _MODULE, {"layers": layers}, (), _NOTHING_KEPT) for layers in (FEW, MANY)
            )
            with few.start({}) as worker:
                worker.ready(seconds=300)
                result["layers"] = comparison.against(worker, many, {}, until=time.monotonic() + self.seconds)
            if "trouble" in result["layers"]:
                raise WorkerError(result["layers"]["trouble"])
            print(line(result["layers"]), flush=True)
            result["starts"] = starts()
        except WorkerError as error:
            result["trouble"] = str(error)
            print(f"CRASHED: {error}")
        for one in result.get("starts", ()):
            print("\n  ".join([f"{one['start']}: first step after {one['seconds']:.1f} s", *one["said"]]))
        save(result, self.json_file)
        return 1 if "trouble" in result else 0


def line(one: Record) -> str:
    """Many layers beside few."""
    few, many = (comparison.median(one, side) for side in ("ours", "theirs"))
    return (
        f"compiling the training step: {FEW} layers {few:.1f} s, {MANY} layers {many:.1f} s: ratio "
        f"{comparison.ratio(one):.2f} (at most {MOST_RATIO} is aimed at), of core time "
        f"{comparison.ratio(one, 'core_seconds'):.2f}, n = {len(one['rounds'])}"
    )
