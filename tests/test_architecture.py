"""The house rules that a reader relies on: who imports whom."""

import ast
import subprocess
import sys

import pytest

from tests.sources import ROOT, sources

STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)
OURS = {"jax_encoder", "torch_ref", "parity", "benchmarks", "train", "tests", "examples"}
FRAMEWORKS = {"jax", "jaxlib", "flax", "optax", "orbax", "torch", "transformers"}
ROOT_MODULES = {"__init__", "__main__", "cli", "errors"}

# The floors of parity, from the ground up: a folder imports those of the floors below it and itself, and where a floor
# says "in turn", those before it on its own floor. What all questions share holds no model.
SHARED = ("cases", "judge", "graph", "report")  # in turn
BINDING = ("encoder",)
ANY_MODELS = ("models",)  # whoever wrote them: knows what all questions share, and nothing of our encoders
QUESTIONS = ("kernels", "optimizer", "training", "mesh", "precision", "text", "published")  # never one another
TOGETHER = ("check", "certificate", "fuzz", "selftest")  # put several questions; in turn

# Folder or file, as a dotted prefix -> the third-party frameworks that it may import; of nested ones the longest holds.
MAY_IMPORT = {
    "jax_encoder": {"jax", "jaxlib", "flax", "optax", "orbax"},
    "jax_encoder.data": set(),
    # Reads pickled weights through torch, where somebody asks for it and has it.
    "jax_encoder.huggingface.tensors": {"jax", "torch"},
    "torch_ref": {"torch"},
    "parity": set(),
    "parity.graph.jax_graph": {"jax"},
    "parity.graph.programs": {"jax"},
    "parity.graph.torch_graph": {"torch"},
    "parity.encoder": {"jax", "flax", "optax", "torch"},
    "parity.encoder.form": set(),
    "parity.encoder.random_config": set(),
    "parity.encoder.table": set(),
    "parity.encoder.variants": set(),
    "parity.encoder.weights": set(),
    "parity.kernels": {"jax", "torch"},
    "parity.kernels.matrix": set(),
    "parity.kernels.command": set(),
    **{f"parity.models.{name}": {"jax", "flax"} for name in ("jax_side", "jax_program", "loops")},
    **{f"parity.models.{name}": {"torch"} for name in ("torch_side", "torch_program")},
    "parity.optimizer": {"jax", "flax", "optax", "torch"},
    "parity.training": {"jax", "flax", "optax", "torch"},
    "parity.mesh": {"jax", "flax", "optax", "torch"},
    **{f"parity.mesh.{name}": set() for name in ("devices", "course", "stages", "command")},
    "parity.precision": {"jax", "flax", "torch"},
    "parity.published": {"jax", "flax", "optax", "torch", "transformers"},
    "parity.text": {"jax", "flax", "torch", "transformers"},
    **{f"parity.text.{name}": set() for name in ("corpus", "built", "reading", "recipe", "wrong", "bugs", "command")},
    "parity.certificate": {"jax", "torch"},
    "benchmarks": FRAMEWORKS,
    "examples": FRAMEWORKS,
    "train": set(),
}
# The same -> our own packages that it may import beside its own.
MAY_KNOW = {
    "benchmarks": {"jax_encoder", "torch_ref", "parity"},
    "examples": {"jax_encoder", "torch_ref", "parity"},
    "train": {"jax_encoder"},
    "parity.encoder": {"jax_encoder", "torch_ref"},
    "parity.encoder.random_config": {"jax_encoder.config", "jax_encoder.classifier_config"},
    "parity.encoder.table": set(),
    "parity.encoder.form": {"jax_encoder.config", "jax_encoder.classifier_config"},
    "parity.encoder.variants": {"jax_encoder.config", "jax_encoder.classifier_config"},
    "parity.encoder.weights": {"jax_encoder.config", "jax_encoder.classifier_config"},
    "parity.fuzz": {"jax_encoder.config", "jax_encoder.classifier_config"},
    "parity.certificate": {"jax_encoder"},
    **{f"parity.{name}": {"jax_encoder", "torch_ref"} for name in QUESTIONS},
}
STANDALONE = ("classifier_config", "config", "config_rules", "errors", "presets", "versions")
ONLY_STANDARD_LIBRARY = tuple(f"jax_encoder.{name}" for name in STANDALONE)
ONLY_NUMPY = ("parity.cases", "parity.judge")


def module_of(path: str) -> str:
    """`parity/judge/compare.py` -> `parity.judge.compare`; a package is its folder."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def within(module: str, prefix: str) -> bool:
    """Whether a dotted name is the prefix, or below it: `parity.checks` is not within `parity.check`."""
    return module == prefix or module.startswith(f"{prefix}.")


def imported_modules(source: str) -> set[str]:
    """Dotted names of everything that is imported, wherever it stands in the file.

    `from a import b` may mean the module a.b: it counts as that, which is within a as well.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def import_violations(path: str, source: str) -> list[str]:
    """What `path` imports against the rules."""
    here = module_of(path)
    return [f"{path} imports {name}" for name in sorted(imported_modules(source)) if not may_import(here, name)]


def may_import(here: str, name: str) -> bool:
    """Whether the module `here` may import `name`."""
    top = name.split(".")[0]
    if here in ONLY_STANDARD_LIBRARY:
        return top in STANDARD_LIBRARY or any(within(name, one) for one in ONLY_STANDARD_LIBRARY)
    if top in STANDARD_LIBRARY:
        return True
    if top in FRAMEWORKS:
        return top in _longest(MAY_IMPORT, here)
    if top not in OURS:
        return top == "numpy" or not any(within(here, one) for one in ONLY_NUMPY)
    if top != here.split(".")[0]:
        return any(within(name, one) for one in _longest(MAY_KNOW, here))
    return top != "parity" or floor_allows(here, name)


def _longest(rules: dict[str, set[str]], here: str) -> set[str]:
    return rules[max((prefix for prefix in rules if within(here, prefix)), key=len)] if _any(rules, here) else set()


def _any(rules: dict[str, set[str]], here: str) -> bool:
    return any(within(here, prefix) for prefix in rules)


def floor_allows(here: str, name: str) -> bool:
    """Whether one part of parity may import another."""
    ours, theirs = ((module.split(".") + [""])[1] for module in (here, name))
    if theirs == "errors" or ours == theirs:
        return True
    if here in ("parity.cli", "parity.__main__"):
        return True
    if here == "parity":
        return theirs in ANY_MODELS  # the public face
    below = {
        **{folder: SHARED[:index] for index, folder in enumerate(SHARED)},
        **dict.fromkeys((*BINDING, *ANY_MODELS), SHARED),
        **dict.fromkeys(QUESTIONS, (*SHARED, *BINDING)),
        **{folder: (*SHARED, *BINDING, *QUESTIONS, *TOGETHER[:index]) for index, folder in enumerate(TOGETHER)},
    }
    return theirs in below.get(ours, ())


def option_violations(path: str, source: str) -> list[str]:
    """Where `path` tells a compiler what this release of it may not know."""
    if path == "parity/graph/programs.py":
        return []
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    told = [keyword.arg for call in calls for keyword in call.keywords if keyword.arg == "compiler_options"]
    return [f"{path} passes {name}, only parity/graph/programs.py may: it tries them first" for name in told]


def test_imports_point_one_way():
    files = sources()
    assert len(files) > 150
    assert not [v for path, source in files.items() for v in import_violations(path, source)]


def test_private_options_are_tried_first():
    assert not [v for path, source in sources().items() for v in option_violations(path, source)]
    planted = "run = jax.jit(f, compiler_options={'xla_gpu_autotune_level': 0})"
    message = "jax_encoder/step.py passes compiler_options, only parity/graph/programs.py may: it tries them first"
    assert option_violations("jax_encoder/step.py", planted) == [message]
    assert option_violations("parity/graph/programs.py", planted) == []


def test_the_layout_is_the_one_that_the_rules_know():
    folders = {path.name for path in (ROOT / "parity").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {*SHARED, *BINDING, *ANY_MODELS, *QUESTIONS, *TOGETHER}
    assert {path.stem for path in (ROOT / "parity").glob("*.py")} == ROOT_MODULES


@pytest.mark.parametrize(
    ("path", "source", "name"),
    [
        ("jax_encoder/mlp.py", "import torch", "torch"),
        ("jax_encoder/data/x.py", "def f():\n    import jax", "jax"),
        ("jax_encoder/mlp.py", "from parity.judge.compare import compare", "parity.judge.compare.compare"),
        ("jax_encoder/config.py", "import numpy", "numpy"),
        ("torch_ref/mlp.py", "import jax.numpy", "jax.numpy"),
        ("torch_ref/mlp.py", "from jax_encoder import config", "jax_encoder.config"),
        ("parity/judge/check.py", "from parity.encoder.pair import Pair", "parity.encoder.pair.Pair"),
        ("parity/judge/check.py", "from parity import encoder", "parity.encoder"),
        ("parity/judge/compare.py", "import rich", "rich"),
        ("parity/judge/compare.py", "from parity.report.text import render", "parity.report.text.render"),
        ("parity/cases/case.py", "from parity.judge.sites import Site", "parity.judge.sites.Site"),
        ("parity/report/text.py", "import jax_encoder", "jax_encoder"),
        ("parity/graph/torch_graph.py", "import jax", "jax"),
        ("parity/encoder/pair.py", "from parity.precision import runs", "parity.precision.runs"),
        ("parity/encoder/bugs/norm.py", "import parity.check.command", "parity.check.command"),
        ("parity/encoder/weights.py", "import torch", "torch"),
        ("parity/optimizer/bench.py", "from parity.training import runs", "parity.training.runs"),
        ("parity/training/runs.py", "from parity.selftest.table import Outcome", "parity.selftest.table.Outcome"),
        ("parity/encoder/pair.py", "import transformers", "transformers"),
        ("parity/fuzz/problems.py", "from jax_encoder.encoder import Encoder", "jax_encoder.encoder.Encoder"),
        ("parity/text/recipe.py", "import transformers", "transformers"),
        ("parity/text/library.py", "from parity.published import oracle", "parity.published.oracle"),
        ("train.py", "import torch", "torch"),
        ("parity/__init__.py", "from parity.encoder.pair import Pair", "parity.encoder.pair.Pair"),
        ("parity/models/compare.py", "import jax", "jax"),
        ("parity/models/jax_side.py", "import torch", "torch"),
        ("parity/models/cause.py", "from parity.encoder.bugs import norm", "parity.encoder.bugs.norm"),
    ],
)
def test_the_import_rule_can_fail(path, source, name):
    assert import_violations(path, source) == [f"{path} imports {name}"]


@pytest.mark.parametrize(
    ("module", "prefix", "inside"),
    [
        ("parity.check", "parity.check", True),
        ("parity.check.x", "parity.check", True),
        ("parity.checks", "parity.check", False),
    ],
)
def test_prefixes_are_dotted(module, prefix, inside):
    assert within(module, prefix) == inside


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
