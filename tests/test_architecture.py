"""The house rules that a reader relies on: who imports whom, and how long things may grow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)
OURS = {"jax_encoder", "torch_ref", "parity", "benchmarks", "train", "tests"}
FRAMEWORKS = {"jax", "jaxlib", "flax", "optax", "orbax", "torch", "transformers"}
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 300, 50, 6

# Path prefix -> top-level modules it may not import. The longest prefix that fits holds.
FORBIDDEN = {
    "jax_encoder/": {"torch", "transformers", "torch_ref", "parity", "train", "benchmarks"},
    "jax_encoder/data/": {"torch", "transformers", "jax", "flax", "torch_ref", "parity", "train", "benchmarks"},
    # Reads pickled weights through torch, where somebody asks for it and has it.
    "jax_encoder/huggingface/tensors.py": {"transformers", "torch_ref", "parity", "train", "benchmarks"},
    "torch_ref/": (OURS | FRAMEWORKS | {"numpy"}) - {"torch", "torch_ref"},
    "parity/": (OURS | FRAMEWORKS) - {"parity"},
    "parity/bugs/": {"train", "benchmarks", "transformers"},
    "parity/jax_graph.py": (OURS | FRAMEWORKS) - {"parity", "jax"},
    "parity/programs.py": (OURS | FRAMEWORKS) - {"parity", "jax"},
    "parity/torch_graph.py": (OURS | FRAMEWORKS) - {"parity", "torch"},
    "parity/encoder/": {"train", "benchmarks", "transformers"},
    "parity/published/": {"train", "benchmarks"},
    "parity/encoder/random_config.py": (OURS | FRAMEWORKS) - {"jax_encoder", "parity"},
    "parity/encoder/variants.py": (OURS | FRAMEWORKS) - {"jax_encoder", "parity"},
    "parity/encoder/weights.py": (OURS | FRAMEWORKS) - {"jax_encoder", "parity"},
    "train.py": {"torch", "torch_ref", "parity", "benchmarks"},
}
ONLY_STANDARD_LIBRARY = tuple(f"jax_encoder/{name}.py" for name in ("classifier_config", "config", "errors", "presets"))


def imported_modules(source: str) -> set[str]:
    """Top-level names of everything that is imported, wherever it stands in the file."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def import_violations(path: str, source: str) -> list[str]:
    """What `path` imports against the rules."""
    imported = imported_modules(source)
    if path in ONLY_STANDARD_LIBRARY:
        allowed = STANDARD_LIBRARY | ({"jax_encoder"} if "from jax_encoder import presets\n" in source else set())
        return [f"{path} imports {name}, may import the standard library only" for name in imported - allowed]
    if path == "parity/compare.py":
        return [f"{path} imports {name}, may import numpy only" for name in imported - STANDARD_LIBRARY - {"numpy"}]
    prefix = max((prefix for prefix in FORBIDDEN if path.startswith(prefix)), key=len, default=None)
    return [f"{path} imports {name}" for name in imported & FORBIDDEN.get(prefix, set())]


def option_violations(path: str, source: str) -> list[str]:
    """Where `path` tells a compiler what this release of it may not know."""
    if path == "parity/programs.py":
        return []
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    told = [keyword.arg for call in calls for keyword in call.keywords if keyword.arg == "compiler_options"]
    return [f"{path} passes {name}, only parity/programs.py may: it tries them first" for name in told]


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


def sources() -> dict[str, str]:
    """Every Python file that a user runs or reads, by its path."""
    roots = [ROOT / name for name in ("jax_encoder", "torch_ref", "parity", "benchmarks")]
    paths = [path for root in roots for path in root.rglob("*.py")] + [ROOT / "train.py"]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


def test_imports_point_one_way():
    files = sources()
    assert len(files) > 30
    assert not [v for path, source in files.items() for v in import_violations(path, source)]


def test_private_options_are_tried_first():
    assert not [v for path, source in sources().items() for v in option_violations(path, source)]
    planted = "run = jax.jit(f, compiler_options={'xla_gpu_autotune_level': 0})"
    message = "jax_encoder/step.py passes compiler_options, only parity/programs.py may: it tries them first"
    assert option_violations("jax_encoder/step.py", planted) == [message]
    assert option_violations("parity/programs.py", planted) == []


def test_budgets():
    assert not [v for path, source in sources().items() for v in budget_violations(path, source)]
    assert len((ROOT / "train.py").read_text().splitlines()) <= 200


@pytest.mark.parametrize(
    ("path", "source", "violation"),
    [
        ("jax_encoder/mlp.py", "import torch", "jax_encoder/mlp.py imports torch"),
        ("jax_encoder/data/x.py", "def f():\n    import jax", "jax_encoder/data/x.py imports jax"),
        ("jax_encoder/mlp.py", "from parity.compare import compare", "jax_encoder/mlp.py imports parity"),
        ("torch_ref/mlp.py", "import jax.numpy", "torch_ref/mlp.py imports jax"),
        ("torch_ref/mlp.py", "from jax_encoder import config", "torch_ref/mlp.py imports jax_encoder"),
        ("parity/report.py", "import jax_encoder", "parity/report.py imports jax_encoder"),
        ("parity/compare.py", "import rich", "parity/compare.py imports rich, may import numpy only"),
        (
            "jax_encoder/config.py",
            "import numpy",
            "jax_encoder/config.py imports numpy, may import the standard library only",
        ),
    ],
)
def test_the_import_rule_can_fail(path, source, violation):
    assert import_violations(path, source) == [violation]


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


BLOCK = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")
sys.meta_path.insert(0, Block())
"""


@pytest.mark.parametrize(
    ("package", "blocked"),
    [("jax_encoder", {"torch", "transformers"}), ("torch_ref", {"jax", "jaxlib", "flax", "optax", "transformers"})],
)
def test_every_module_imports_without_the_other_framework(package, blocked):
    modules = [path.removesuffix(".py").replace("/", ".") for path in sources() if path.startswith(f"{package}/")]
    modules = [name.removesuffix(".__init__") for name in modules]
    code = BLOCK.format(blocked=blocked) + "\n".join(f"import {name}" for name in modules)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_config_alone_loads_no_framework():
    code = "import sys, jax_encoder.config; print(sorted({'jax', 'flax', 'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
