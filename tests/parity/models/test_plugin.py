"""The pytest plugin, in a run of its own."""

import subprocess
import sys
from pathlib import Path

TESTS = """
import numpy as np
import parity

X = {"x": np.random.default_rng(0).normal(size=(3, 4))}

def test_same(assert_same):
    assert_same(parity.torch(lambda x: x + x), parity.torch(lambda x: x * 2), X)

def test_other(assert_same):
    assert_same(parity.torch(lambda x: x + x), parity.torch(lambda x: x * 3), X)
"""


def test_the_failure_is_the_report_and_pages_are_kept(tmp_path):
    (tmp_path / "test_pair.py").write_text(TESTS)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "parity.models.plugin",
            "-q",
            "--parity-report",
            "pages",
            "--rootdir",
            ".",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "parity FAIL semantic at test_pair.py:11; 1 of 1 value at the end differs" in done.stdout
    pages = sorted(path.name for path in (tmp_path / "pages").iterdir())
    assert pages == ["test_pair.py-test_other.html", "test_pair.py-test_same.html"]
