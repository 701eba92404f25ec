"""How long things may grow, and where a test lies."""

import ast
from collections.abc import Collection

import pytest

from tests.sources import ROOT, sources

MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 300, 50, 6  # of tests, too


def budget_violations(path: str, source: str) -> list[str]:
    """What of `path` has grown past its budget."""
    found = []
    if len(source.splitlines()) > MAX_FILE_LINES:
        found.append(f"{path} has {len(source.splitlines())} lines")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                found.append(f"{path}: {node.name} has {lines} lines")
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = len([a for a in arguments if a.arg not in ("self", "cls")])
            if count > MAX_PARAMETERS:
                found.append(f"{path}: {node.name} has {count} parameters")
            if node.args.kwarg and node.args.kwarg.arg == "kwargs":
                found.append(f"{path}: {node.name} takes **kwargs")
    return found


def mirror_violations(tests: Collection[str], modules: Collection[str]) -> list[str]:
    """Tests that lie where the package they test has no such folder, or are called after none of its modules.

    A file of tests is called as its module, or as that and what they are about: `test_checkpoint.py`,
    `test_damaged_checkpoint.py`. What lies in `tests/` itself is about the project as a whole.
    """
    names: dict[str, set[str]] = {}
    for module in modules:
        parts = module.removesuffix(".py").split("/")
        for depth in range(1, len(parts)):
            names.setdefault("/".join(parts[:depth]), set()).add(parts[depth])
    found = []
    for path in tests:
        folder, _, name = path.removeprefix("tests/").removesuffix(".py").rpartition("/")
        if folder and folder not in names:
            found.append(f"{path}: there is no folder {folder}")
        elif folder and name.startswith("test_"):
            words = name.removeprefix("test_")
            if not any(
                f"_{words}_".startswith(f"_{one}_") or f"_{words}_".endswith(f"_{one}_") for one in names[folder]
            ):
                found.append(f"{path} is called after no module of {folder}")
    return found


def test_budgets():
    files = sources() | sources("tests")
    assert len(files) > 250
    assert not [v for path, source in files.items() for v in budget_violations(path, source)]
    assert len((ROOT / "train.py").read_text().splitlines()) <= 200


def test_tests_mirror_the_packages():
    tests, modules = sources("tests"), sources()
    assert len([path for path in tests if path.count("/") > 1]) > 80
    assert not mirror_violations(tests, modules)


@pytest.mark.parametrize(
    ("source", "violation"),
    [
        ("x = 1\n" * 301, "m.py has 301 lines"),
        ("def f():\n" + "    pass\n" * 50, "m.py: f has 51 lines"),
        ("def f(self, a, b, c, d, *, e, f, g): pass", "m.py: f has 7 parameters"),
        ("def f(**kwargs): pass", "m.py: f takes **kwargs"),
    ],
)
def test_the_budgets_can_fail(source, violation):
    assert budget_violations("m.py", source) == [violation]


@pytest.mark.parametrize(
    ("path", "violation"),
    [
        ("tests/test_anything.py", None),
        ("tests/parity/helpers.py", None),
        ("tests/parity/test_cli.py", None),
        ("tests/parity/test_judge.py", None),
        ("tests/parity/judge/test_compare.py", None),
        ("tests/parity/judge/test_exact_compare.py", None),
        ("tests/parity/judge/test_compare_halves.py", None),
        (
            "tests/parity/judge/test_comparison.py",
            "tests/parity/judge/test_comparison.py is called after no module of ",
        ),
        ("tests/parity/test_compare.py", "tests/parity/test_compare.py is called after no module of parity"),
        ("tests/judge/test_compare.py", "tests/judge/test_compare.py: there is no folder judge"),
        ("tests/judge/helpers.py", "tests/judge/helpers.py: there is no folder judge"),
    ],
)
def test_the_mirror_can_fail(path, violation):
    found = mirror_violations([path], ["parity/cli.py", "parity/__init__.py", "parity/judge/compare.py"])
    assert len(found) == (violation is not None)
    assert not found or found[0].startswith(violation)
