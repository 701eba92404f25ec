"""Asks the parity harness about the trained parameters, in a process of its own: float64 and torch stay out of ours."""

import enum
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax_encoder
from jax_encoder.data.files import written_whole
from jax_encoder.training.run_folder import RunFolder


class Result(enum.Enum):
    """How a check ended."""

    NOT_CHECKED = "not asked for, or torch is not there"
    PASSED = "PASS"
    FAILED = "FAIL or VACUOUS"
    RAISED = "ERROR: a side raised, the report says where"
    CRASHED = "the harness came to no report"


# By the exit status of a harness that came to a report.
_RESULTS = {0: Result.PASSED, 1: Result.FAILED, 3: Result.RAISED}


class Verdict(NamedTuple):
    """One line to print, and how the check ended."""

    line: str
    result: Result

    @property
    def status(self) -> int:
        """The exit status of the run that asked."""
        return {Result.FAILED: 1, Result.RAISED: 3, Result.CRASHED: 3}.get(self.result, 0)


def verify(folder: RunFolder) -> Verdict:
    """Compares the newest checkpoint with PyTorch, site by site.

    The report goes to parity.txt and parity.json; where there is none, all that the harness said to parity-output.txt.
    """
    if not _importable("torch"):
        return Verdict("parity not checked: pip install 'jax-encoder[parity]'", Result.NOT_CHECKED)
    # What they say is of another checkpoint.
    for path in (folder.parity_text, folder.parity_json, folder.parity_output):
        path.unlink(missing_ok=True)
    command = ["-m", "parity", "trained", str(folder.path.absolute())]
    process = subprocess.run(
        [sys.executable, *command, "--json", str(folder.parity_json.absolute())],
        # parity lies beside jax_encoder. An accelerator's memory is taken by this process, and it has no fast float64.
        cwd=Path(jax_encoder.__file__).parents[1],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    first_line = process.stdout.partition("\n")[0]
    result = _RESULTS.get(process.returncode)
    if result is not None and first_line.startswith("parity "):
        with written_whole(folder.parity_text) as temporary:
            temporary.write_text(process.stdout, encoding="utf-8")
        return Verdict(first_line, result)
    folder.parity_json.unlink(missing_ok=True)
    ended = f"{shlex.join(['python', *command])} {_how_it_ended(process.returncode)}"
    with written_whole(folder.parity_output) as temporary:
        temporary.write_text("\n".join([ended, "", process.stdout, process.stderr]), encoding="utf-8")
    said = process.stderr.strip().splitlines()
    reason = f": {said[-1]}" if said else " and said no reason"
    return Verdict(f"parity check broke off: {ended}{reason}", Result.CRASHED)


def _how_it_ended(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
