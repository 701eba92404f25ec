"""Sides of a comparison, each in a process of its own, which waits while the other side is measured.

The parent starts `python -m <module>` with one JSON object as its argument. The child gets ready, says what it has
found on the way, and then measures once for every line that it is sent.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from benchmarks.gpu.children import ROOT

Record = dict[str, Any]

_MARK = "RESULT "
_LAST_LINES = 12


class WorkerError(Exception):
    """A side crashed or took too long; the message is its last lines."""


class Worker:
    """One side, started; used as a context, at whose end it is stopped.

    Args:
        module: what calls `serve`, by its whole name.
        spec: what it is to measure.
        environment: variables to add to this process's own; an empty value removes one.
    """

    def __init__(self, module: str, spec: Mapping[str, Any], environment: Mapping[str, str]):
        variables = {name: value for name, value in (os.environ | dict(environment)).items() if value}
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the side
        # A session of its own: a compiler's workers end with the side that started them.
        self._child = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(spec)],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            start_new_session=True,
        )
        self._found: Record | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def ready(self, *, seconds: float) -> Record:
        """What the side found while it got ready; asked again, the same.

        Raises:
            WorkerError: it crashed, or was not ready in time.
        """
        if self._found is None:
            self._found = self._next(seconds)
        return self._found

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._child.poll() is None

    def measure(self, *, seconds: float = 300.0) -> Record:
        """Measures once.

        Raises:
            WorkerError: it crashed, or took too long.
        """
        assert self._child.stdin is not None, "it was asked for"
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write("again\n")
            self._child.stdin.flush()
        return self._next(seconds)

    def close(self) -> None:
        """Stops the side and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout, self._said):
            with contextlib.suppress(BrokenPipeError):
                stream.close()  # type: ignore[union-attr]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self, seconds: float) -> Record:
        ends = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(ends - time.monotonic(), 0.0))
            except queue.Empty:
                raise WorkerError(f"took more than {seconds:.0f} s") from None
            if line is None:
                raise WorkerError(f"ended with status {self._child.wait()}\n{self._last()}")
            if line.startswith(_MARK):
                return json.loads(line.removeprefix(_MARK))

    def _read(self) -> None:
        assert self._child.stdout is not None, "it was asked for"
        with contextlib.suppress(ValueError):  # closed while it was read
            for line in self._child.stdout:
                self._lines.put(line)
        self._lines.put(None)

    def _last(self) -> str:
        self._said.seek(0)
        return "\n".join(self._said.read().splitlines()[-_LAST_LINES:])


def serve(prepare: Callable[[Record], tuple[Record, Callable[[], Record]]]) -> None:
    """The child's side: gets ready as the command line says, then measures whenever it is asked to."""
    found, measure = prepare(json.loads(sys.argv[1]))
    _say(found)
    for _ in sys.stdin:
        _say(measure())


def timed(run: Callable[[], object]) -> Record:
    """Seconds that a call takes, on the clock and of all cores together."""
    clock, cores = time.perf_counter(), time.process_time()
    run()
    return {"seconds": time.perf_counter() - clock, "core_seconds": time.process_time() - cores}


def _say(record: Record) -> None:
    print(_MARK + json.dumps(record), flush=True)
