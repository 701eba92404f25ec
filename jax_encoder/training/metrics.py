"""What a run measures, line by line in metrics.jsonl and as TensorBoard events.

A line holds "split" ("train" or "held_out"), "step" (updates made so far) and the numbers. "seconds" is the time spent
in steps until then; all other numbers are the same in every run from the same config.
"""

import json
import os
from pathlib import Path
from typing import Any, Literal

from tensorboardX import SummaryWriter

from jax_encoder.data.files import written_whole

Record = dict[str, Any]
Split = Literal["train", "held_out"]


def read(path: Path) -> list[Record]:
    """All whole lines; a line cut off by a kill, and what follows it, is left out."""
    records: list[Record] = []
    if not path.exists():
        return records
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def of_split(path: Path, split: Split) -> list[Record]:
    """The lines of one split, oldest first."""
    return [record for record in read(path) if record["split"] == split]


def training_seconds(path: Path) -> float:
    """Seconds spent in the steps so far."""
    return max((record["seconds"] for record in of_split(path, "train")), default=0.0)


class MetricsLog:
    """Appends to metrics.jsonl and to TensorBoard events.

    Args:
        path: the .jsonl file.
        events: folder of the TensorBoard events.
        step: the step that the run goes on from; whatever was written after it is dropped.
    """

    def __init__(self, path: Path, events: Path, *, step: int):
        kept = [record for record in read(path) if record["step"] <= step]
        with written_whole(path) as temporary:
            temporary.write_text("".join(_line(record) for record in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8", buffering=1)  # by lines, for whoever follows it
        # The suffix keeps two writers of one second apart.
        self._writer = SummaryWriter(
            str(events), purge_step=step + 1 if step else None, filename_suffix=f".from_{step}"
        )

    def write(self, split: Split, step: int, values: Record) -> None:
        """Adds one line; None stands for a number that is not finite."""
        self._file.write(_line({"split": split, "step": step, **values}))
        for name, value in values.items():
            if value is None:
                continue
            self._writer.add_scalar(f"{split}/{name}", value, step)

    def flush(self) -> None:
        """Puts all lines on the disk: a checkpoint must never be newer than its lines."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._writer.flush()

    def close(self) -> None:
        """Flushes and closes."""
        self.flush()
        self._file.close()
        self._writer.close()


class NoLog:
    """Writes nothing: for processes of a run beside the first."""

    def write(self, split: Split, step: int, values: Record) -> None:
        """Leaves it to the first."""

    def flush(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"
