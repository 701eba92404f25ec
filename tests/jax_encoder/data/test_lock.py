"""One process in a folder: across processes for real, across machines by signs of life."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from jax_encoder.data import lock
from jax_encoder.errors import InputError

HOLD = """
import sys, time
from pathlib import Path
from jax_encoder.data import lock
with lock.held(Path(sys.argv[1]), "resume"):
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)])
    deadline = time.monotonic() + 60
    while not (tmp_path / "folder.lock.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    yield process
    process.kill()
    process.wait()


def refusal(folder) -> str:
    with pytest.raises(InputError) as caught, lock.held(folder, "export", sleep=lambda _: None):
        pass
    return str(caught.value)


def test_the_second_is_refused_and_told_who_is_first(tmp_path, holder):
    who = f"resume (process {holder.pid} on {socket.gethostname()})"
    assert refusal(tmp_path) == f"{tmp_path} is in use by {who}: wait for it to end, or stop it"


def test_a_lock_goes_with_its_process_however_that_ends(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "folder.lock.json").exists()
    with lock.held(tmp_path, "export"):
        pass
    assert not (tmp_path / "folder.lock.json").exists()


def test_blocks_of_one_process_lie_within_one_another(tmp_path):
    with lock.held(tmp_path, "pretrain"), lock.held(tmp_path, "export"):
        time.sleep(0.05)
        assert json.loads((tmp_path / "folder.lock.json").read_text())["task"] == "pretrain"
    with lock.held(tmp_path, "export"), lock.held(tmp_path, "prepare", name="other"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"folder.lock", "other.lock"}
    assert all(lock.is_lock(path.name) for path in tmp_path.iterdir())


@pytest.mark.parametrize("alive", [True, False])
def test_a_machine_whose_locks_we_do_not_see_shows_signs_of_life(tmp_path, alive):
    sign = tmp_path / "folder.lock.json"
    about = {"task": "resume", "pid": 7, "host": "elsewhere", "beat": "7-1"}
    sign.write_text(json.dumps(about))
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        sign.write_text(json.dumps(about | {"beat": "7-5"} if alive else about))

    if alive:
        with (
            pytest.raises(InputError, match=r"in use by resume \(process 7 on elsewhere\)"),
            lock.held(tmp_path, "export", sleep=sleep),
        ):
            pass
    else:
        with lock.held(tmp_path, "export", sleep=sleep):
            pass
    assert waited == [45.0]


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    import errno
    import fcntl

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert refusal(tmp_path).startswith(f"{tmp_path}: its file system gives no lock (No locks available)")
