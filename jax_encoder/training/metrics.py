"""What a run measures, line by line in metrics.jsonl and as TensorBoard events.

A line holds "split" ("train" or "held_out"), "step" (updates made so far) and the numbers. "seconds" is the time spent
in steps until then; all other numbers are the same in every run from the same config.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from jax_encoder.data.files import DiskFullError, full_disk_told, written_whole
from jax_encoder.training import manifest
from jax_encoder.training.events import Events

Record = dict[str, Any]
Split = Literal["train", "held_out"]


def read(path: Path) -> list[Record]:
    """All whole lines; a line cut off by a kill, and what follows it, is left out."""
    return [record for _, record in _lines(path.read_bytes())] if path.exists() else []


def _lines(content: bytes) -> Iterator[tuple[bytes, Record]]:
    """Lines, and what they hold, up to one that is none of a run's."""
    for line in content.splitlines(keepends=True):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return
        whole = isinstance(record, dict) and type(record.get("step")) is int
        if not whole or record.get("split") not in ("train", "held_out") or not line.endswith(b"\n"):
            return
        yield line, record


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
        content = path.read_bytes() if path.exists() else b""
        kept = b"".join(line for line, record in _lines(content) if record["step"] <= step)
        self._sum, self._size = hashlib.sha256(kept), len(kept)
        # Before the file is cut: what is written down must be true at every moment.
        manifest.seal_lines(path.parent, self._so_far())
        with written_whole(path) as temporary:
            temporary.write_bytes(kept)
        self._path = path
        self._file = path.open("ab", buffering=0)  # by lines, for whoever follows it
        self._waiting = b""  # for room on the disk
        self._events = Events(events, step=step)

    def write(self, split: Split, step: int, values: Record) -> None:
        """Adds one line; None stands for a number that is not finite. A line that a full disk does not take waits."""
        self._waiting += _line({"split": split, "step": step, **values}).encode()
        with contextlib.suppress(DiskFullError):
            self._write_waiting()
        for name, value in values.items():
            if value is not None:
                self._events.add(f"{split}/{name}", value, step)

    def _write_waiting(self) -> None:
        while self._waiting:
            with full_disk_told(self._path):
                count = self._file.write(self._waiting)
            self._sum.update(self._waiting[:count])
            self._size += count
            self._waiting = self._waiting[count:]

    def flush(self) -> None:
        """Puts all lines on the disk: a checkpoint must never be newer than its lines.

        Raises:
            DiskFullError: there is no room; the lines wait for the next time.
        """
        self._write_waiting()
        with full_disk_told(self._path):
            os.fsync(self._file.fileno())
            manifest.seal_lines(self._path.parent, self._so_far())
        self._events.flush()

    def _so_far(self) -> manifest.Lines:
        return manifest.Lines(self._size, self._sum.hexdigest())

    def close(self) -> None:
        """Flushes, as far as there is room, and closes."""
        with contextlib.suppress(DiskFullError):
            self.flush()
        self._file.close()
        self._events.close()


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
