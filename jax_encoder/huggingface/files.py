"""JSON and paths in a folder that somebody else wrote: what may be read in two ways, or lies elsewhere, is refused."""

import json
from pathlib import Path
from typing import Any

from jax_encoder.data.files import once
from jax_encoder.errors import InputError


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        InputError: no such file, no JSON object in it, or a name that stands twice.
    """
    values = read_any_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a JSON object, got {type(values).__name__}")
    return values


def read_json_if_there(path: Path) -> dict[str, Any]:
    """Reads a JSON object, or none where there is no such file."""
    return read_json(path) if path.is_file() else {}


def read_any_json(path: Path) -> Any:
    """Reads what JSON a file holds; raises `InputError` as `read_json`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: a checkpoint's folder has it") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, or a number too long
        raise InputError(f"{path} cannot be read as JSON: {error}") from None


def inside(folder: Path, name: str, source: Path) -> Path:
    """A path that a file names, within its folder.

    Args:
        folder: that the path starts from and must not leave, by a link neither.
        name: the path.
        source: the file that names it, for messages.

    Raises:
        InputError: it is absolute or leads outside.
    """
    path, roots = folder / name, [folder.resolve()]
    if roots[0].parent.name == "snapshots":  # the hub's cache, where files are links to their contents
        roots.append(roots[0].parents[1] / "blobs")
    try:
        within = ".." not in Path(name).parts and any(path.resolve().is_relative_to(root) for root in roots)
    except (OSError, ValueError, RuntimeError):  # links in a circle, and names that no file can have
        within = False
    if not within:
        raise InputError(
            f"{source} names {name!r}, which lies outside of {folder}: files of a checkpoint lie within it"
        )
    return path
