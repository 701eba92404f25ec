"""One process at a time in a folder: a lock that ends with its process, and a sign of life for other machines.

The lock is the system's (flock, by filelock): it can't be left behind. Some network file systems keep such locks to the
machine that they were taken on; what no lock tells, the sign of life does.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from jax_encoder.errors import InputError

BEAT = 10.0  # seconds between two signs of life
_DEAD_AFTER = 4.5  # beats; network file systems may show a file as it was for half a minute
_SUFFIXES = (".lock", ".lock.json")


def is_lock(name: str) -> bool:
    """Whether a file of this name is part of a lock."""
    return name.endswith(_SUFFIXES)


_ours: Counter[Path] = Counter()  # locks of this process, and how many blocks each is held for


@contextlib.contextmanager
def held(
    folder: Path, task: str, *, name: str = "folder", sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Keeps a folder to this process within the block; blocks of one process may lie within one another.

    Args:
        folder: exists.
        task: what is done meanwhile, for whoever comes second: "resume", "export".
        name: of the lock.
        sleep: waits so many seconds; only where another machine has left a lock.

    Raises:
        InputError: another process has the folder, or no lock can be taken there.
    """
    path = folder.resolve() / f"{name}{_SUFFIXES[0]}"
    with contextlib.ExitStack() as stack:
        if not _ours[path]:
            stack.enter_context(_taken(folder, task, path, sleep))
        _ours[path] += 1
        try:
            yield
        finally:
            _ours[path] -= 1


@contextlib.contextmanager
def _taken(folder: Path, task: str, path: Path, sleep: Callable[[float], None]) -> Iterator[None]:
    sign = path.with_suffix(_SUFFIXES[1])
    lock = filelock.FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise InputError(f"{folder} is in use by {_holder(sign)}: wait for it to end, or stop it") from None
    except OSError as error:
        raise InputError(
            f"{folder}: its file system gives no lock ({error.strerror}), and without one a second process would spoil "
            "what this one writes: choose a folder on another file system"
        ) from None
    try:
        _wait_for_others(folder, sign, sleep)
        with _beating(sign, task):
            yield
    finally:
        lock.release()


def _holder(sign: Path) -> str:
    """Who has the lock, as far as it is known."""
    found = _read(sign)
    return f"{found['task']} (process {found['pid']} on {found['host']})" if found else "another process"


def _read(sign: Path) -> dict | None:
    try:
        found = json.loads(sign.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) and {"task", "pid", "host", "beat"} <= found.keys() else None
    except (OSError, ValueError):
        return None


def _wait_for_others(folder: Path, sign: Path, sleep: Callable[[float], None]) -> None:
    """Until it is known that whoever left a sign on another machine is no more; on this one the lock has told."""
    before = _read(sign)
    if before is None or before["host"] == socket.gethostname():
        return
    sleep(_DEAD_AFTER * BEAT)
    if (now := _read(sign)) is not None and now["beat"] != before["beat"]:
        raise InputError(f"{folder} is in use by {_holder(sign)}: wait for it to end, or stop it")


@contextlib.contextmanager
def _beating(sign: Path, task: str) -> Iterator[None]:
    ended = threading.Event()
    about = {"task": task, "pid": os.getpid(), "host": socket.gethostname()}

    def beat() -> None:
        count = 0
        while True:
            with contextlib.suppress(OSError):  # a disk that is full, for now
                # In place: another machine sees a new content sooner than a new file.
                sign.write_text(json.dumps(about | {"beat": f"{os.getpid()}-{count}"}) + "\n", encoding="utf-8")
            count += 1
            if ended.wait(BEAT):
                return

    thread = threading.Thread(target=beat, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        sign.unlink(missing_ok=True)
