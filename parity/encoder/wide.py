"""Lets published classes compute in float64 that would fall back to float32 somewhere."""

import contextlib
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch

# These compute rotations, norms, scales or the softmax in float32 whatever their dtype.
_NARROW = ("modernbert", "eurobert", "deberta-v2", "t5", "esm", "nomic_bert", "gte")


class _Float64Torch(ModuleType):
    """torch, but whoever asks it for float32 gets float64."""

    float = float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@contextlib.contextmanager
def wide(family: str) -> Iterator[None]:
    """Lets a family's code in transformers compute in float64 where it would fall back to float32."""
    if family not in _NARROW:
        yield
        return
    name = family.replace("-", "_")
    module: Any = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
    plain = torch.Tensor.float
    module.torch, torch.Tensor.float = _Float64Torch("torch"), torch.Tensor.double  # type: ignore[method-assign]
    try:
        yield
    finally:
        module.torch, torch.Tensor.float = torch, plain  # type: ignore[method-assign]
