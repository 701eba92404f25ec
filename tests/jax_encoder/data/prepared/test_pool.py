"""Processes for a list of tasks: all results, one line for one that is killed, and none that outlives its parent."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jax_encoder.data.prepared import pool
from jax_encoder.errors import InputError


def squared(number: int) -> tuple[int, int]:
    pool.advance(number)
    return number * number, os.getpid()


def killed(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_every_task_once(workers):
    told = []
    results = list(pool.each(squared, range(9), workers=workers, progress=told.append))
    assert sorted(square for square, _ in results) == [number * number for number in range(9)]
    assert told[-1] == sum(range(9))
    assert (os.getpid() in {pid for _, pid in results}) == (workers == 1)


@pytest.mark.slow
def test_a_process_that_is_killed_is_told(capfd):
    with pytest.raises(InputError, match="a process was killed, which the system does when memory is short"):
        list(pool.each(killed, range(6), workers=2, progress=lambda _: None))
    assert capfd.readouterr().err == ""


ORPHANS = """
import sys
from jax_encoder.data.prepared import pool
from tests.jax_encoder.data.prepared.test_pool import slow
if __name__ == "__main__":
    list(pool.each(slow, [sys.argv[1]] * 4, workers=2, progress=lambda _: None))
"""


def slow(folder: str) -> None:
    with open(f"{folder}/{os.getpid()}", "w"):  # noqa: PTH123
        time.sleep(600)


@pytest.mark.slow
def test_no_process_outlives_its_parent(tmp_path):
    (tmp_path / "orphans.py").write_text(ORPHANS)
    (tmp_path / "pids").mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "orphans.py"), str(tmp_path / "pids")],
        env=os.environ | {"PYTHONPATH": os.getcwd()},  # noqa: PTH109
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 100
    while len(pids := [int(path.name) for path in (tmp_path / "pids").iterdir()]) < 2:
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
