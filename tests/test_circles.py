"""No file imports one that needs it, wherever the import stands: what goes round in a circle has no top to begin at."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def module_of(path: str) -> str:
    """The dotted name of a file."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports_of(path: str, source: str, known: frozenset[str]) -> frozenset[str]:
    """Which of the `known` modules a file imports, at its top, in a function or for the type checker alone.

    `from package import name` is an import of `package.name` where there is such a module. What Python runs on the way
    to a module, the packages that it lies in, is not counted: it is not what the file asks for.
    """
    module = module_of(path)
    package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
    return frozenset(name for name in _named(ast.parse(source), package, known) if name in known and name != module)


def _named(tree: ast.Module, package: str, known: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base


def circles(files: Mapping[str, str]) -> list[list[str]]:
    """The sets of modules that all import one another, by way of others or not; each sorted."""
    known = frozenset(map(module_of, files))
    imports = {module_of(path): imports_of(path, source, known) for path, source in files.items()}
    reached = {module: _reached(module, imports) for module in imports}
    sets = {
        frozenset(one for one in reached[module] if module in reached[one])
        for module in imports
        if module in reached[module]
    }
    return sorted(map(sorted, sets))


def _reached(module: str, imports: Mapping[str, frozenset[str]]) -> set[str]:
    """What a module imports, and what that imports, and so on."""
    reached: set[str] = set()
    waiting = list(imports[module])
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting.extend(imports[one])
    return reached


def test_no_file_imports_one_that_needs_it():
    roots = [ROOT / name for name in ("jax_encoder", "torch_ref", "parity", "benchmarks", "examples")]
    paths = [*(path for root in roots for path in root.rglob("*.py")), ROOT / "train.py"]
    files = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    assert len(files) > 100
    assert circles(files) == []


TWO = {"p/__init__.py": "", "p/a.py": "from p import b", "p/b.py": ""}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"p/b.py": "import p.a"}, [["p.a", "p.b"]]),
        ({"p/b.py": "from p.a import name"}, [["p.a", "p.b"]]),
        ({"p/b.py": "from p import a as other"}, [["p.a", "p.b"]]),
        ({"p/b.py": "from . import a"}, [["p.a", "p.b"]]),
        ({"p/b.py": "from .a import name"}, [["p.a", "p.b"]]),
        ({"p/b.py": "def f():\n    from p.a import name"}, [["p.a", "p.b"]]),
        ({"p/b.py": "if TYPE_CHECKING:\n    from p.a import name"}, [["p.a", "p.b"]]),
        ({"p/b.py": "from p import c", "p/c.py": "from p import a"}, [["p.a", "p.b", "p.c"]]),
        ({"p/b.py": "import p.a", "p/c.py": "import q", "q.py": "import p.c"}, [["p.a", "p.b"], ["p.c", "q"]]),
        ({"p/c.py": "import p.a", "q.py": "import p.c"}, []),
        # A package by its own name is its __init__.py, which may hand on what its modules hold, or look it up.
        ({"p/__init__.py": "from p.a import name"}, []),
        ({"p/__init__.py": "from p.a import name", "p/b.py": "from p import name"}, [["p", "p.a", "p.b"]]),
        ({"p/__init__.py": "from p.a import name", "p/b.py": "from p import a"}, [["p.a", "p.b"]]),
        ({"p/__init__.py": "def __getattr__(name): return table[name]", "p/b.py": "from p import name"}, []),
        (
            {"p/q/__init__.py": "", "p/q/c.py": "from ..a import name", "p/b.py": "from .q import c"},
            [["p.a", "p.b", "p.q.c"]],
        ),
        ({"p/q/__init__.py": "from .. import a", "p/b.py": "from p import q"}, [["p.a", "p.b", "p.q"]]),
    ],
)
def test_circles_are_found(changes, found):
    assert circles(TWO | changes) == found
