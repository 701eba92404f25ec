"""The module Router, which older versions call Asym: texts of different tasks take different modules."""

import ast
from pathlib import Path
from typing import Any, NamedTuple

from jax_encoder.errors import InputError
from jax_encoder.huggingface.files import inside, read_json

_FILES = ("router_config.json", "config.json")


class Entry(NamedTuple):
    """A module that a folder lists: its class, and where its files are."""

    kind: str
    place: Path

    @classmethod
    def of(cls, type_: str, place: Path, source: Path) -> "Entry":
        """Raises `InputError` for a class that is not sentence-transformers' own."""
        if not type_.startswith("sentence_transformers."):
            raise InputError(f"{source}: the module {type_} is code of its own, which is never run")
        return cls(type_.rsplit(".", 1)[-1], place)


def routed(entry: Entry, folder: Path, task: str | None) -> list[Entry]:
    """The modules of one route.

    Args:
        entry: the Router.
        folder: of the checkpoint, which no module's path may leave.
        task: of the texts; None takes the default route.

    Raises:
        InputError: there is no such route, or the file cannot be read.
    """
    path = next((entry.place / name for name in _FILES if (entry.place / name).is_file()), entry.place / _FILES[0])
    values = read_json(path)
    try:
        types, structure = dict(values["types"]), dict(values["structure"])
        route = _route(structure, dict(values.get("parameters") or {}), task, path)
        names = [str(name) for name in structure[route]]
        return [
            Entry.of(str(types[name]), inside(folder, f"{place_of(entry, folder)}{name}", path), path) for name in names
        ]
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as routes with types and structure: {error!r}") from None


def place_of(entry: Entry, folder: Path) -> str:
    """The beginning of the paths of a Router's modules, seen from the folder."""
    return "" if entry.place == folder else f"{entry.place.relative_to(folder).as_posix()}/"


def _route(structure: dict[str, Any], parameters: dict[str, Any], task: str | None, path: Path) -> str:
    """In the order in which sentence-transformers looks for one."""
    mapped = {ast.literal_eval(key): route for key, route in (parameters.get("route_mappings") or {}).items()}
    strange = parameters.keys() - {"route_mappings", "default_route", "allow_empty_key"}
    if strange:
        raise InputError(f"{path}: {', '.join(sorted(strange))} is not known here: use sentence-transformers")
    for key in ((task, "text"), (task, None), (None, "text"), (None, None)):
        if key in mapped:
            return str(mapped[key])
    if task in structure:
        return str(task)
    if "text" in structure:
        return "text"
    default = parameters.get("default_route")
    if default is None and parameters.get("allow_empty_key", True):
        default = next(iter(structure), None)
    if task is not None or default is None:
        raise InputError(f"{path}: task must be one of {', '.join(map(repr, structure))}, got {task!r}")
    return str(default)
