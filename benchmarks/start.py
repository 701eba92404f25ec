"""From starting a training run to its first step, as a user has it: another process, whose lines are read."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence

from benchmarks.gpu.children import ROOT
from benchmarks.workers import Record, WorkerError

_SECONDS_AT_MOST = 600.0
# Without a terminal a run of so few steps says a line of each.
_OPTIONS = ("--steps=20", "--warmup-steps=5", "--no-verify")


def starts(options: Sequence[str] = ()) -> list[Record]:
    """The first start of `mini`, with no program compiled; the same run resumed; the same run from its text again.

    Raises:
        WorkerError: a run ended before its first step.
    """
    with tempfile.TemporaryDirectory() as place:
        kept = {"JAX_COMPILATION_CACHE_DIR": f"{place}/compiled"}
        first, second = (("pretrain", f"--run={place}/{name}") for name in ("first", "second"))
        commands = {
            "first start": (*first, *_OPTIONS, *options),
            "resumed": ("resume", f"{place}/first"),
            "started again from its text": (*second, *_OPTIONS, *options),
        }
        return [{"start": name, **_until_first_step(command, kept)} for name, command in commands.items()]


def _until_first_step(command: Sequence[str], environment: dict[str, str]) -> Record:
    """Seconds until a line says that a step is done, and what was said of compiling until then."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            [sys.executable, "-u", "train.py", *command],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        late = threading.Timer(_SECONDS_AT_MOST, child.kill)
        late.start()
        said: list[str] = []
        try:
            assert child.stdout is not None, "it was asked for"
            for line in child.stdout:
                said.append(line.rstrip("\n"))
                if line.startswith("step "):
                    return {
                        "seconds": time.perf_counter() - begun,
                        "said": [one for one in said if one.startswith("programs")],
                    }
            errors.seek(0)
            raise WorkerError(f"train.py {command[0]} ended before its first step\n{errors.read()[-1000:]}")
        finally:
            late.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            child.stdout.close()  # type: ignore[union-attr]
