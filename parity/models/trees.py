"""What both frameworks' results and calls have in common: nested outputs, and lines of a user's own code."""

import dataclasses
import functools
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

# Code that is nobody's model: a frame of theirs says less than the nearest of another.
_LIBRARIES = frozenset(("torch", "jax", "jaxlib", "flax", "numpy", "jaxtyping", "beartype")) | sys.stdlib_module_names
_STANDARD = sysconfig.get_paths()["stdlib"]
_PARITY = str(Path(__file__).parents[1])
# The files that call a model: the frames beyond are no part of it.
_CALLERS = ("models/jax_program.py", "models/torch_program.py")


def flatten(tree: Any, is_leaf: Callable[[Any], bool], path: str = "") -> dict[str, Any]:
    """The arrays of a result by their paths, in order; what is none is left out.

    Args:
        tree: mappings, tuples, lists, dataclasses, nested as you like.
        is_leaf: whether something is an array.
        path: put before every name.
    """
    if is_leaf(tree):
        return {path or "output": tree}
    if isinstance(tree, Mapping):
        children = list(tree.items())
    elif isinstance(tree, tuple | list):
        children = list(zip(getattr(tree, "_fields", range(len(tree))), tree, strict=True))
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        children = [(field.name, getattr(tree, field.name)) for field in dataclasses.fields(tree)]
    else:
        return {}
    found: dict[str, Any] = {}
    for name, child in children:
        found |= flatten(child, is_leaf, f"{path}.{name}" if path else str(name))
    return found


@functools.cache
def is_users(file: str) -> bool:
    """Whether a file is a user's: of no library that runs models, and not of this package."""
    if file.startswith((_PARITY, "<")):
        return False
    parts = Path(file).parts
    if "site-packages" in parts:
        return parts[len(parts) - parts[::-1].index("site-packages")].removesuffix(".py") not in _LIBRARIES
    return not file.startswith(_STANDARD)


@functools.cache
def shown(file: str, line: int) -> str:
    """A file and a line as a report shows them: from the current folder, or from the package on."""
    path = Path(file)
    if "site-packages" in path.parts:
        path = Path(*path.parts[len(path.parts) - path.parts[::-1].index("site-packages") :])
    elif path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"{path}:{line}"


def user_line(frame: FrameType | None) -> str:
    """The innermost line of a user's own code, from a frame outward; of a library's module of modules if there is none.

    Where this package's own code is reached, the model's has ended.
    """
    library = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if is_users(file):
            return shown(file, frame.f_lineno)
        if file.endswith(_CALLERS):
            break
        if not library and getattr(frame.f_locals.get("self"), "_modules", None) and frame.f_code.co_name == "forward":
            library = shown(file, frame.f_lineno)
        frame = frame.f_back
    return library


@functools.cache
def _is_layers(file: str) -> bool:
    return "nn" in Path(file).parts


def innermost(frames: Sequence[tuple[str, int]]) -> str:
    """The same of files and lines, the innermost first; a library's layers stand in a folder `nn`."""
    own = next((place for place, (file, _) in enumerate(frames) if file.endswith(_CALLERS)), len(frames))
    users = [shown(*one) for one in frames[:own] if is_users(one[0])]
    layers = [shown(*one) for one in frames[:own] if _is_layers(one[0])]
    return next(iter([*users, *layers]), "")
