"""A program cut at its operations: what each computed, from what, and where it is written."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from parity.models.fingerprint import Fingerprint, fingerprint

Kind = Literal["operation", "parameter", "input", "constant", "cotangent"]
Cotangents = Callable[[str, int, tuple[int, ...]], np.ndarray]  # (an output's name, its place, its shape) -> cotangent

# Values are kept while all of a program's take less than this; of more, fingerprints alone: then a place is found, and
# no name.
KEPT_BYTES = 1 << 30


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Operations whose result may be nothing but the rounding of what they add.
_SUMS = _words(
    """add sub rsub sum mean reduce_sum add_any dot_general mm bmm addmm baddbmm matmul cumsum mv dot logsumexp einsum
    MatMul Gemm Add Sub Sum Mean ReduceSum ReduceMean CumSum Einsum Conv
    conv_general_dilated convolution native_layer_norm_backward _softmax_backward_data _log_softmax_backward_data
    scatter-add scatter_add embedding_dense_backward index_put"""
)
# Operations that leave what they are given, in another layout or in part.
_LAYOUT = _words(
    """t transpose permute view _unsafe_view reshape expand clone contiguous squeeze unsqueeze slice select split alias
    broadcast_in_dim copy neg stack cat concatenate expand_dims detach _to_copy convert_element_type unbind as_strided
    _reshape_alias dynamic_slice gather split_with_sizes chunk pad stop_gradient optimization_barrier copy_p unstack
    select_backward slice_backward
    Transpose Reshape Expand Squeeze Unsqueeze Slice Split Concat Identity Cast CastLike Gather Flatten Tile Pad Neg"""
)
_PRODUCTS = frozenset(
    ("mul", "mm", "bmm", "dot_general", "matmul", "mv", "dot", "addmm", "baddbmm", "MatMul", "Gemm", "Mul")
)


class Place(NamedTuple):
    """Where an operation is written: the path of the module that runs it, file and line, either empty if unknown."""

    module: str = ""
    line: str = ""

    def __str__(self) -> str:
        return " at ".join(part for part in self if part) or "an unknown place"


NOWHERE = Place()


@dataclasses.dataclass(eq=False)
class Node:
    """One value.

    Attributes:
        index: its place in the program's order.
        op: the operation's name in its framework.
        reads: the values that it is computed from.
        options: of the operation, the plain ones (numbers, names, axes).
        name: of a parameter, an input or a cotangent.
    """

    index: int
    kind: Kind
    op: str
    reads: tuple[int, ...]
    shape: tuple[int, ...]
    print: Fingerprint | None
    place: Place = NOWHERE
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    name: str = ""
    backward: bool = False
    value: np.ndarray | None = None


class Cast(NamedTuple):
    """A cast to fewer digits that was read as float64."""

    dtype: str
    place: Place


@dataclasses.dataclass
class Program:
    """What one side did with one input, in float64.

    Attributes:
        nodes: every value in the order computed.
        outputs: an output's name -> its value's number, in order.
        gradients: what a derivative is by (a parameter's or an input's name) -> its value's number.
        results: arrays of outputs and gradients by their numbers.
        casts: to fewer digits, read as float64.
        random: where random numbers are drawn.
        opaque: operations that show nothing of their inside, and where.
        notes: what else is to be said of the run.
    """

    nodes: list[Node] = dataclasses.field(default_factory=list)
    outputs: dict[str, int] = dataclasses.field(default_factory=dict)
    gradients: dict[str, int] = dataclasses.field(default_factory=dict)
    results: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)
    casts: dict[Cast, None] = dataclasses.field(default_factory=dict)
    random: list[int] = dataclasses.field(default_factory=list)
    opaque: dict[str, Place] = dataclasses.field(default_factory=dict)
    notes: dict[str, None] = dataclasses.field(default_factory=dict)
    kept: int = 0

    def add(self, kind: Kind, op: str, value: Any, reads: Sequence[int] = (), **rest: Any) -> Node:
        """Notes a value; it must not change afterwards."""
        array = np.asarray(value)
        summed = self._summed(op, reads) if kind == "operation" else 0.0
        node = Node(len(self.nodes), kind, op, tuple(reads), array.shape, fingerprint(array, summed), **rest)
        if self.kept + array.nbytes <= KEPT_BYTES:
            node.value = array
            self.kept += array.nbytes
        self.nodes.append(node)
        return node

    def readers(self) -> dict[int, list[int]]:
        """Value -> the values that are computed from it."""
        found: dict[int, list[int]] = {}
        for node in self.nodes:
            for one in node.reads:
                found.setdefault(one, []).append(node.index)
        return found

    def _summed(self, op: str, reads: Sequence[int]) -> float:
        """The magnitude of what a sum adds, and of what is merely laid out another way."""
        name = op.partition(".")[0].rstrip("_")
        scales = [found.scale for one in reads if (found := self.nodes[one].print) is not None]
        if name in _PRODUCTS and len(scales) > 1:
            product = float(np.prod(scales[-2:]))
            return max(product, scales[0]) if name in ("addmm", "baddbmm") else product
        return max(scales, default=0.0) if name in _SUMS or name in _LAYOUT else 0.0
