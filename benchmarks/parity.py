"""`python -m benchmarks parity`: what it costs to prove one case."""

import dataclasses
import shlex
import statistics
from typing import Annotated

import tyro

from benchmarks.comparison import Side
from benchmarks.machine import described, save
from benchmarks.workers import Record, WorkerError

# The most that a proof may cost, in forward and backward passes of both models.
TARGET = 4.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parity:
    """Forward, backward and replay of one case, at every value, in float64, beside one forward and backward of both
    models in float64; in turn, after everything has run twice. The encoders are presets of full size."""

    encoders: tuple[str, ...] = ("mini", "minilm_l6")
    """Presets to prove: mini, minilm_l6, bert_base, roberta_base."""
    repeats: int = 5
    """How often both are measured."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """File for all results, from which `python -m benchmarks report` makes a page."""

    def run(self) -> int:
        """Returns the exit status: 1 if anything crashed or differs."""
        words = ["python", "-m", "benchmarks", "parity", "--encoders", *self.encoders, "--repeats", str(self.repeats)]
        result: Record = {"kind": "parity", "command": shlex.join(words), "tiny": False, **described(), "encoders": []}
        for name in self.encoders:
            result["encoders"].append(one := self._measured(name))
            print(line(one), flush=True)
            save(result, self.json_file)
        return 1 if any("trouble" in one or one["agree"] < compared(one) for one in result["encoders"]) else 0

    def _measured(self, name: str) -> Record:
        try:
            with Side(name, "benchmarks.proof").start({"encoder": name}) as worker:
                found = worker.ready(seconds=600)
                return {"encoder": name, **found, "rounds": [worker.measure() for _ in range(self.repeats)]}
        except WorkerError as error:
            return {"encoder": name, "trouble": str(error)}


def compared(one: Record) -> int:
    """Comparisons of one case."""
    return one["values"] + one["replayed"]


def ratio(one: Record, what: str = "seconds") -> float:
    """How many forward and backward passes of both models the proof takes."""
    return statistics.median(each["proof"][what] / each["plain"][what] for each in one["rounds"])


def seconds(one: Record, side: str) -> float:
    """Median of the "proof" or of the "plain" passes."""
    return statistics.median(each[side]["seconds"] for each in one["rounds"])


def line(one: Record) -> str:
    """One encoder."""
    if "trouble" in one:
        return f"{one['encoder']}: CRASHED: {one['trouble']}"
    return (
        f"{one['encoder']}, {one['tokens']} tokens: {compared(one):,} comparisons, {one['agree']:,} agree; proof "
        f"{seconds(one, 'proof'):.2f} s, forward and backward of both {seconds(one, 'plain'):.2f} s: ratio "
        f"{ratio(one):.1f} (at most {TARGET:.0f} is aimed at), of core time {ratio(one, 'core_seconds'):.1f}; first "
        f"time {one['first_seconds']:.1f} s"
    )
