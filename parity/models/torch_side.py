"""A PyTorch module or function as one side of a comparison."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from parity.models import torch_program
from parity.models.program import Cotangents, Program
from parity.models.side import Arrays, Names, bind, in_float64


@dataclasses.dataclass(eq=False)
class TorchSide:
    """A module, with its parameters, or a function."""

    function: Callable[..., Any]
    names: Names = None
    framework: str = "torch"
    params: Arrays = dataclasses.field(init=False)
    buffers: frozenset[str] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        module = self.function if isinstance(self.function, nn.Module) else nn.Module()
        buffers = {name: one for name, one in module.named_buffers() if one.is_floating_point()}
        every = {**dict(module.named_parameters()), **buffers}
        self.params = {name: one.detach().cpu().double().numpy() for name, one in every.items()}
        self.buffers = frozenset(buffers)

    def run(
        self,
        inputs: Arrays,
        params: Arrays,
        cotangents: Cotangents | None = None,
        given: Mapping[int, np.ndarray] | None = None,
    ) -> Program:
        """Runs once, in float64; backward too if there are cotangents, with given values in the place of some."""
        backward = cotangents is not None
        leaves = {name: torch.from_numpy(value.copy()) for name, value in params.items()}
        tensors = {name: torch.from_numpy(in_float64(value).copy()) for name, value in inputs.items()}
        for name, tensor in [*leaves.items(), *tensors.items()]:
            tensor.requires_grad_(backward and tensor.is_floating_point() and name not in self.buffers)
        module = self.function if isinstance(self.function, nn.Module) else None
        called = self.function if module is None else module.forward
        positional, renamed = bind(called, inputs, self.names)
        args = tuple(tensors[name] for name in positional)
        kwargs = {there: tensors[name] for name, there in renamed.items()}

        def call() -> Any:
            if module is None:
                return self.function(*args, **kwargs)
            return torch.func.functional_call(module, leaves, args, kwargs)

        paths = {one: path for path, one in module.named_modules()} if module is not None else {}
        return torch_program.trace(call, leaves, tensors, modules=paths, cotangents=cotangents, given=given)
