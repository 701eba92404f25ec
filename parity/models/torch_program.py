"""A PyTorch function run once in float64, every operation of it seen: forward, and backward.

Tensors are known by where they lie in memory, not by their Python objects, of which autograd makes new ones.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map

from parity.models.program import Cast, Cotangents, Node, Place, Program
from parity.models.trees import flatten, user_line

_SMALLER = (torch.float32, torch.float16, torch.bfloat16)
_EMPTY = ("empty", "empty_like", "empty_strided", "new_empty")  # whatever lies in memory is no value
_OWN = ("aten", "prims", "prim")  # whose operations are no black boxes
_Where = tuple[int, int, tuple[int, ...], tuple[int, ...]]  # memory, offset, shape, strides


def trace(
    function: Callable[[], Any],
    leaves: Mapping[str, Tensor],
    inputs: Mapping[str, Tensor],
    *,
    modules: Mapping[nn.Module, str],
    cotangents: Cotangents | None = None,
    given: Mapping[int, np.ndarray] | None = None,
) -> Program:
    """Runs a function and notes all that it computes.

    Args:
        function: what to run, on these leaves and inputs.
        leaves: its parameters and buffers, in float64.
        inputs: of any dtype.
        modules: their paths.
        cotangents: of the outputs, if it is to go backward; then the leaves and inputs must require gradients.
        given: values to go on with in the place of those computed, by their numbers.
    """
    recorder = _Recorder(modules, given or {})
    for kind, named in (("parameter", leaves), ("input", inputs)):
        for name, tensor in named.items():
            recorder.leaf(kind, name, tensor)
    with _ideal(), recorder.paths(), torch.set_grad_enabled(cotangents is not None), recorder:
        result = function()
        outputs = flatten(result, lambda leaf: isinstance(leaf, Tensor))
        if cotangents is not None:
            _backward(recorder, outputs, {**leaves, **inputs}, cotangents)
    for name, tensor in outputs.items():
        node = recorder.find(tensor)
        recorder.program.outputs[name] = node.index
        recorder.program.results[node.index] = _array(tensor)
    return recorder.program


def _backward(
    recorder: "_Recorder", outputs: Mapping[str, Tensor], leaves: Mapping[str, Tensor], cotangents: Cotangents
) -> None:
    ends, seeds = [], []
    for place, (name, tensor) in enumerate(outputs.items()):
        if tensor.requires_grad:
            seed = torch.from_numpy(cotangents(name, place, tuple(tensor.shape)).copy())
            recorder.leaf("cotangent", name, seed)
            ends.append(tensor)
            seeds.append(seed)
    by = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    if not ends or not by:
        return
    found = torch.autograd.grad(ends, list(by.values()), seeds, allow_unused=True)
    for name, grad in zip(by, found, strict=True):
        if grad is not None:
            node = recorder.find(grad)
            recorder.program.gradients[name] = node.index
            recorder.program.results[node.index] = _array(grad)


@contextmanager
def _ideal() -> Iterator[None]:
    """float64 by default, attention spelled out, one thread: and what was set before, restored."""
    dtype, threads, fast = torch.get_default_dtype(), torch.get_num_threads(), torch.backends.mha.get_fastpath_enabled()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        torch.backends.mha.set_fastpath_enabled(fast)


def _array(tensor: Tensor) -> np.ndarray:
    with _disable_current_modes():
        return tensor.detach().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format).numpy()


class _Recorder(TorchDispatchMode):
    """Sees every operation, and lets none compute in fewer digits."""

    def __init__(self, modules: Mapping[nn.Module, str], given: Mapping[int, np.ndarray]) -> None:
        super().__init__()
        self.program = Program()
        self.modules, self.given = modules, given
        self.stack: list[str] = []
        self.memory: dict[int, dict[_Where, int]] = {}
        self.forward_places: dict[int, Place] = {}  # autograd's number of an operation -> where it is written

    @contextmanager
    def paths(self) -> Iterator[None]:
        """Follows which module runs."""

        def enter(module: nn.Module, _: Any) -> None:
            self.stack.append(self.modules.get(module, self.stack[-1] if self.stack else ""))

        def leave(*_: Any) -> None:
            self.stack.pop()

        hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def leaf(self, kind: Any, name: str, tensor: Tensor) -> None:
        """A value that is given."""
        self._remember(tensor, self.program.add(kind, kind, _array(tensor), name=name), fresh=False)

    def find(self, tensor: Tensor) -> Node:
        """The node of a tensor, or a new constant."""
        place = _where(tensor)
        index = self.memory.get(place[0], {}).get(place)
        if index is not None:
            return self.program.nodes[index]
        node = self.program.add("constant", "constant", _array(tensor))
        self._remember(tensor, node, fresh=False)
        return node

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        place, backward = self._place()
        args, kwargs = self._widened(function, place, args, dict(kwargs or {}))
        given = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
        reads = [self.find(one).index for one in given]
        owned = {_where(one)[0] for one in given}
        result = function(*args, **kwargs)
        name = str(function.overloadpacket.__name__)
        if name in _EMPTY:
            self.memory.pop(_where(result)[0], None)
            return result
        options = _options(function, args, kwargs)
        for tensor in tree_flatten(result)[0]:
            if isinstance(tensor, Tensor):
                self._note(tensor, name, reads, options, (place, backward), _where(tensor)[0] not in owned)
        self._remark(function, name, place)
        return result

    def _note(self, tensor: Tensor, op: str, reads: list[int], options: Any, where: Any, fresh: bool) -> None:
        forced = self.given.get(len(self.program.nodes))
        if forced is not None and forced.shape == tuple(tensor.shape):
            with _disable_current_modes(), torch.no_grad():
                tensor.detach().copy_(torch.from_numpy(np.ascontiguousarray(forced)))
        (place, backward), nodes = where, self.program
        node = nodes.add("operation", op, _array(tensor), reads, place=place, options=options, backward=backward)
        self._remember(tensor, node, fresh)
        if not fresh and op.endswith("_"):  # torch's name of what writes in place
            self._rewrite(tensor, node)

    def _remark(self, function: Any, name: str, place: Place) -> None:
        """What is to be said of an operation beside what it computes."""
        last = len(self.program.nodes) - 1
        if torch.Tag.nondeterministic_seeded in function.tags:
            self.program.random.append(last)
        if function.namespace not in _OWN:
            self.program.opaque[f"{function.namespace}::{name}"] = place
        if name == "_local_scalar_dense":
            self.program.notes[f"a number decides what is computed: read by item() at {place.line or place}"] = None

    def _place(self) -> tuple[Place, bool]:
        """Where the operation that runs now is written, and whether it goes backward."""
        module = self.stack[-1] if self.stack else ""
        if torch._C._current_graph_task_id() == -1:
            place = Place(module, user_line(sys._getframe(2)))
            self.forward_places.setdefault(torch.autograd._get_sequence_nr() - 1, place)
            return place, False
        node = torch._C._current_autograd_node()
        known = self.forward_places.get(node._sequence_nr()) if node is not None else None
        return known or Place(module, user_line(sys._getframe(2))), True

    def _widened(self, function: Any, place: Place, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """The same arguments in float64; a cast to fewer digits is noted."""

        def widen(one: Any) -> Any:
            if isinstance(one, Tensor) and one.dtype in _SMALLER and not function._schema.is_mutable:
                node = self.find(one)
                with _disable_current_modes():
                    wide = one.detach().double()
                self._remember(wide, node, fresh=False)
                return wide
            return torch.float64 if isinstance(one, torch.dtype) and one in _SMALLER else one

        dtypes = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, torch.dtype) and one in _SMALLER]
        if dtypes:
            self.program.casts[Cast(str(dtypes[0]).removeprefix("torch."), place)] = None
        return tree_map(widen, args), tree_map(widen, kwargs)

    def _remember(self, tensor: Tensor, node: Node, fresh: bool) -> None:
        """Where a value lies; what lay in new memory before is gone."""
        place = _where(tensor)
        known = self.memory.setdefault(place[0], {})
        if fresh:
            known.clear()
        known[place] = node.index

    def _rewrite(self, tensor: Tensor, node: Node) -> None:
        """What shares memory that was written has changed, too."""
        place = _where(tensor)
        known = self.memory[place[0]]
        for other in [one for one in known if one != place]:
            with _disable_current_modes():
                view = tensor.detach().as_strided(other[2], other[3], other[1])
            reads = (known[other], node.index)
            changed = self.program.add("operation", "alias", _array(view), reads, place=node.place)
            known[other] = changed.index


def _where(tensor: Tensor) -> _Where:
    return (tensor.untyped_storage().data_ptr(), int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride())


def _options(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The plain arguments by name: numbers, words, axes."""
    names = [argument.name for argument in function._schema.arguments]
    named = dict(zip(names, args, strict=False)) | dict(kwargs)
    plain = (bool, int, float, str)
    return {
        name: value
        for name, value in named.items()
        if isinstance(value, plain)
        or (isinstance(value, list | tuple) and all(isinstance(one, plain) for one in value))
    }
