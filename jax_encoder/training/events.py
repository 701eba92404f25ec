"""Scalars for TensorBoard. Its own writer works in a thread, which a full disk kills, and the next value then waits for
ever; here a value is written when it comes."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar


class Events:
    """Appends to a file of events. What a full disk does not take is left out: metrics.jsonl has it, too.

    Args:
        folder: made if it is not there.
        step: values behind it, in older files, are no longer shown.
    """

    def __init__(self, folder: Path, *, step: int):
        self._writer: RecordWriter | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # What stands at the end keeps two writers of one second apart.
            name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.from_{step}"
            self._writer = RecordWriter(str(folder / name))
        except OSError:
            return
        self._write(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))
        if step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(event_pb2.Event(wall_time=time.time(), step=step + 1, session_log=start))

    def add(self, name: str, value: float | int, step: int) -> None:
        """Adds one value."""
        self._write(event_pb2.Event(wall_time=time.time(), step=step, summary=scalar(name, value)))

    def flush(self) -> None:
        """Puts all values on the disk."""
        with self._stopping_where_full():
            if self._writer is not None:
                self._writer.flush()

    def close(self) -> None:
        """Flushes and closes."""
        self.flush()
        self._stop()

    def _write(self, event: event_pb2.Event) -> None:
        with self._stopping_where_full():
            if self._writer is not None:
                self._writer.write(event.SerializeToString())

    @contextlib.contextmanager
    def _stopping_where_full(self) -> Iterator[None]:
        """A record that is cut off makes all behind it unreadable: the file ends there."""
        try:
            yield
        except OSError:
            self._stop()

    def _stop(self) -> None:
        with contextlib.suppress(OSError):
            if self._writer is not None:
                self._writer.close()
        self._writer = None
