"""Compiled programs are kept from run to run, and the screen says when one is compiled.

The cache is JAX's own, and so are the variables that move it (JAX_COMPILATION_CACHE_DIR) or switch it off
(JAX_ENABLE_COMPILATION_CACHE=false).
"""

import contextlib
import hashlib
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_MOVE = "JAX_COMPILATION_CACHE_DIR"
_SWITCH = "JAX_ENABLE_COMPILATION_CACHE"
_LEAST = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
_DAYS_KEPT = 30
_SECONDS_WORTH_KEEPING = 0.1
_HIT = "/jax/compilation_cache/cache_hits"


def keep_programs(console: Console) -> None:
    """Has JAX keep what it compiles, in the folder that the user chose or in the user's cache folder, and says where.

    A folder that cannot be written, or a full disk, costs the time of compiling again; never the run.
    """
    if not _setting("jax_enable_compilation_cache"):
        _note(console, f"programs   not kept when they are compiled: {_SWITCH} is off")
        return
    chosen: str | None = _setting("jax_compilation_cache_dir")
    if chosen is not None and "://" in chosen:
        _note(console, f"programs   kept in {chosen} when they are compiled")
        return
    folder = Path(chosen) if chosen else user_folder()
    try:
        _try_to_write(folder)
    except OSError as error:
        jax.config.update("jax_compilation_cache_dir", None)
        reason = f"cannot be written ({error.strerror}); {_MOVE} names another folder"
        _warn(console, f"programs   not kept when they are compiled: {folder} {reason}")
        return
    if not chosen:
        _forget(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    compilation_cache.reset_cache()  # what was compiled before may have settled that there is none
    if _LEAST not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _SECONDS_WORTH_KEEPING)
    _note(console, f"programs   kept in {folder} when they are compiled")


def user_folder() -> Path:
    """Where this user's compiled programs lie on this kind of machine, by the platform's convention."""
    home = Path.home()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "jax-encoder" / "compiled" / _kind_of_machine()


@contextlib.contextmanager
def compiling(console: Console, what: str, *, spinner: bool = True) -> Iterator[None]:
    """Says that something is compiled while it is, and afterwards how long it took, or that it had been kept.

    Args:
        console: where to.
        what: the program.
        spinner: whether a terminal shows the seconds meanwhile; False where something else moves there already.
    """
    found = 0

    def count(event: str, **_: str | int) -> None:
        nonlocal found
        found += event == _HIT

    moving = spinner and console.is_terminal
    if not moving:
        _note(console, f"programs   compiling {what}")
    columns = SpinnerColumn(), TextColumn("compiling {task.description}"), TimeElapsedColumn()
    start = time.perf_counter()
    jax.monitoring.register_event_listener(count)
    try:
        with _said_in_lines(console), Progress(*columns, console=console, transient=True, disable=not moving) as shown:
            shown.add_task(what)
            yield
    finally:
        jax.monitoring.unregister_event_listener(count)
    how = "kept from an earlier run, ready" if found else "compiled"
    _note(console, f"programs   {what}: {how} in {time.perf_counter() - start:.1f} s")


@contextlib.contextmanager
def _said_in_lines(console: Console) -> Iterator[None]:
    """What JAX warns of its cache becomes a line, and an entry that cannot be read makes room for a whole one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("always", "Error (reading|writing) persistent compilation cache entry")
        before = warnings.showwarning

        def show(message: Warning | str, *place: object, **more: object) -> None:
            said = str(message)
            if not said.startswith(("Error reading persistent", "Error writing persistent")):
                before(message, *place, **more)  # type: ignore[arg-type]
                return
            reading, (name, reason) = said.startswith("Error reading"), _parts(said)
            if reading:
                _make_room(name)
            what = "cannot be read, and is compiled again" if reading else "cannot be kept"
            _warn(console, f"programs   {name} {what}: {reason}")

        warnings.showwarning = show
        yield


def _parts(said: str) -> tuple[str, str]:
    """The program's name, and what was wrong with it, of JAX's warning."""
    _, name, reason = said.split("'", 2)
    return name, reason.lstrip(": ").partition("\n")[0]


def _make_room(name: str) -> None:
    """Deletes the entries of a program: JAX would never write over one that is there."""
    for entry in Path(_setting("jax_compilation_cache_dir")).glob(f"{name}-*-cache"):
        with contextlib.suppress(OSError):
            entry.unlink()


def _setting(name: str) -> Any:
    """Of JAX: by the user's variables, or what was set since."""
    return getattr(jax.config, name)  # mypy does not know them


def _kind_of_machine() -> str:
    """Of the processor: what is compiled for one may not run on another that shares the user's home."""
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        features = next(line for line in described.splitlines() if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        features = platform.processor()
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:8]}"


def _try_to_write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(bytes(4096))
        file.flush()


def _forget(folder: Path) -> None:
    """Deletes programs that were compiled long ago; other runs may do the same meanwhile."""
    oldest = time.time() - _DAYS_KEPT * 86_400
    for entry in folder.glob("*-cache"):
        with contextlib.suppress(OSError):
            if entry.stat().st_mtime < oldest:
                entry.unlink()


def _note(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _warn(console: Console, text: str) -> None:
    console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)
