"""The tests that need an accelerator, on this one."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.children import ROOT, Record, serve

_MARK = "pytest.mark.gpu"


def measure(spec: Record) -> Iterator[Record]:
    """Runs them, and says of each how it went.

    Raises:
        RuntimeError: pytest left no report.
    """
    # Other files are not even collected: they need packages that only development has.
    files = [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if _MARK in path.read_text("utf-8")]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        # A new release's warnings are not what is asked here; programs are compiled as a user's are.
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-W", "default", f"--junitxml={report}", *files]
        if spec["tiny"]:
            command.append("--accelerator=cpu")
        environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if not report.is_file():
            raise RuntimeError(f"pytest left no report, only:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        cases = list(ElementTree.parse(report).iter("testcase"))
    for case in cases:
        outcome = next((kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None), "passed")
        found = case.find(outcome)
        why = "" if found is None else (found.get("message") or "")[:500]
        yield {"test": case.get("name"), "outcome": outcome, "why": why, "seconds": float(case.get("time") or 0)}


if __name__ == "__main__":
    serve(measure)
