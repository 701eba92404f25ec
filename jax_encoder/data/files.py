"""Files that appear whole or not at all, and JSON that can be read in one way."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class DiskFullError(OSError):
    """There was no room for a file; the message names it and says how much room is left."""


_FULL = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)}


@contextmanager
def full_disk_told(path: Path) -> Iterator[None]:
    """Turns what the system, or a library, raises when there is no room for `path` into one line.

    Raises:
        DiskFullError: there is no room.
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        # tensorstore has errors of its own, with the system's number in their text.
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if getattr(error, "errno", None) in _FULL or (code and int(code[1]) in _FULL):
            raise DiskFullError(f"no room for {path}: {_room(path)}") from None
        raise


def _room(path: Path) -> str:
    folder = next((one for one in path.absolute().parents if one.is_dir()), Path("/"))
    return f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB are free there, unless a quota says otherwise"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Lends a path beside `path` to write to, and renames it to `path` once the block has ended without an error.

    Raises:
        DiskFullError: there is no room; nothing is left behind.
    """
    # Numbers of processes are those of one machine, and several may write to one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(3)}")
    try:
        with full_disk_told(path):
            yield temporary
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def reserve(path: Path, size: int) -> None:
    """Finds out whether there is room for so many bytes at `path`, whatever limits it: disk, quota, the process.

    Raises:
        DiskFullError: there is none.
    """
    if hasattr(os, "posix_fallocate"):
        with full_disk_told(path), tempfile.TemporaryFile(dir=path.parent) as stream:
            try:
                os.posix_fallocate(stream.fileno(), 0, size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise


def write_json(path: Path, values: Any) -> None:
    """Writes a small file for people and programs."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """The checksum of a file, as sha256sum prints it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names differ; Python would take the last of two, and others the first. Raises ValueError."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"{', '.join(map(repr, twice[:5]))} stands there more than once, and only one can be meant")
    return values
