"""A measurement in a process of its own, so that it has the whole card and may crash alone.

The parent starts `python -m benchmarks.gpu.<name>` with one JSON object as its argument; the child prints a line for
every result, as soon as it has it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

Record = dict[str, Any]

_MARK = "RESULT "
_LAST_LINES = 12
ROOT = Path(__file__).resolve().parents[2]


class Ended(NamedTuple):
    """What a child left: its results, and why there may be more missing; None if it ended well."""

    records: list[Record]
    error: str | None


def call(name: str, spec: Mapping[str, Any], *, seconds: float, environment: Mapping[str, str]) -> Ended:
    """Runs one measurement to its end, or stops it.

    Args:
        name: a module of this package that calls `serve`.
        spec: what to measure.
        seconds: after which it is stopped, with all that it started; results until then count.
        environment: variables to add to this process's own; an empty value removes one.
    """
    variables = {key: value for key, value in (os.environ | dict(environment)).items() if value}
    command = [sys.executable, "-m", f"benchmarks.gpu.{name}", json.dumps(spec)]
    with tempfile.TemporaryFile("w+") as said:
        # A session of its own: a compiler's workers end with the child that started them.
        child = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True
        )
        lines: list[str] = []
        reader = threading.Thread(target=_read, args=(child.stdout, lines), daemon=True)
        reader.start()
        late = not _ends(child, seconds)
        # What the child left running would hold the pipe open, and the card.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        reader.join(timeout=10)
        assert child.stdout is not None, "it was asked for"
        child.stdout.close()
        said.seek(0)
        last = [*said.read().splitlines(), *(line for line in lines if not line.startswith(_MARK))][-_LAST_LINES:]
    records = [json.loads(line.removeprefix(_MARK)) for line in lines if line.startswith(_MARK)]
    if late:
        return Ended(records, f"stopped after {seconds:.0f} s; it had {len(records)} results")
    if child.returncode:
        return Ended(records, "\n".join([f"ended with status {child.returncode}", *last]))
    return Ended(records, None if records else "ended well and left no result")


def serve(measure: Callable[[Record], Iterator[Record]]) -> None:
    """The child's side: measures what the command line asks for, and hands every result on at once."""
    for record in measure(json.loads(sys.argv[1])):
        print(_MARK + json.dumps(record), flush=True)


def _ends(child: subprocess.Popen, seconds: float) -> bool:
    """Whether the child ends by itself in time; an interrupted parent leaves none behind."""
    try:
        child.wait(timeout=max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return False
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        raise
    return True


def _read(stream: IO[str], lines: list[str]) -> None:
    lines += [line.rstrip("\n") for line in stream]
