"""The project's own files, for the tests that read them."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def sources(*names: str) -> dict[str, str]:
    """Every Python file in these folders, by its path; without any, those that a user runs or reads."""
    ours = ("jax_encoder", "torch_ref", "parity", "benchmarks", "examples", "train.py")
    roots = [ROOT / name for name in names or ours]
    paths = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*.py")))]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}
