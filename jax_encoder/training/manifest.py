"""The checksums of a run's files: what it was told, what it was made from, and its metrics up to the newest checkpoint.

Checkpoints have lists of their own. What a run leaves for people, pictures and reports, is not compared.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jax_encoder.data.files import once, sha256_of, write_json
from jax_encoder.errors import InputError

NAME = "manifest.json"
_WHAT_TO_DO = "put it back as it was, or start a new run"


class Lines(NamedTuple):
    """The beginning of metrics.jsonl."""

    size: int
    sha256: str


def seal(folder: Path, files: Iterable[Path]) -> None:
    """Writes down what files of a run hold, none of which will change."""
    sums = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
    _write(folder, {"files": sums, "metrics": Lines(0, hashlib.sha256().hexdigest())._asdict()})


def seal_lines(folder: Path, lines: Lines) -> None:
    """Writes down how metrics.jsonl begins; a run from before there were manifests has none, and gets none."""
    if (folder / NAME).is_file():
        _write(folder, _read(folder) | {"metrics": lines._asdict()})


def check(folder: Path, *, metrics: Path) -> None:
    """Compares every file with what was written.

    Raises:
        InputError: naming the first that is missing or not what was written.
    """
    values = _read(folder)
    for name, expected in values["files"].items():
        if not (folder / name).is_file():
            raise InputError(f"{folder / name} is missing: {_WHAT_TO_DO}")
        if sha256_of(folder / name) != expected:
            raise InputError(f"{folder / name} is not what was written: {_WHAT_TO_DO}")
    lines = Lines(**values["metrics"])
    if not lines.size:
        return
    if not metrics.is_file():
        raise InputError(f"{metrics} is missing: {_WHAT_TO_DO}")
    with metrics.open("rb") as stream:
        if hashlib.sha256(stream.read(lines.size)).hexdigest() != lines.sha256:
            raise InputError(f"{metrics} is not what was written: {_WHAT_TO_DO}")


def _write(folder: Path, values: dict[str, Any]) -> None:
    values = {"version": 1, "files": values["files"], "metrics": values["metrics"]}
    write_json(folder / NAME, {**values, "sha256": _checksum(values)})


def _read(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
        if values.pop("sha256") == _checksum(values):
            return values
        reason = "it is not what was written"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error)
    raise InputError(f"{path} is damaged ({reason}): {_WHAT_TO_DO}")


def _checksum(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
