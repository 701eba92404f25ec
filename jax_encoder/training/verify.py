"""Asks the parity harness about the trained parameters, in a process of its own: float64 and torch stay out of ours."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax_encoder
from jax_encoder.data.files import written_whole
from jax_encoder.training.run_folder import RunFolder


class Verdict(NamedTuple):
    """One line to print; `passed` is None if nothing was compared."""

    line: str
    passed: bool | None


def verify(folder: RunFolder) -> Verdict:
    """Compares the newest checkpoint with PyTorch, site by site; the report goes to parity.txt and parity.json."""
    if not _importable("torch"):
        return Verdict("parity not checked: pip install 'jax-encoder[parity]'", None)
    command = [sys.executable, "-m", "parity", "trained", str(folder.path.absolute())]
    process = subprocess.run(
        [*command, "--json", str(folder.parity_json.absolute())],
        # parity lies beside jax_encoder. An accelerator's memory is taken by this process, and it has no fast float64.
        cwd=Path(jax_encoder.__file__).parents[1],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    with written_whole(folder.parity_text) as temporary:
        temporary.write_text(process.stdout, encoding="utf-8")
    first_line = process.stdout.partition("\n")[0]
    if process.returncode in (0, 1) and first_line.startswith("parity "):
        return Verdict(first_line, process.returncode == 0)
    reason = (process.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return Verdict(
        f"parity not checked: {' '.join(command[1:])} ended with status {process.returncode}: {reason}", None
    )


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
