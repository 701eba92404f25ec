"""How a family's tensors and our parameters correspond: one row per kind of tensor, both ways.

Names of ours are those of `jax_encoder.model.Model`, with layers counted one by one: `encoder.layers.3.mlp.up.kernel`.
Axes: O out, I in, N heads, H head_dim, D embed_dim.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Layout(NamedTuple):
    """One array's way into ours and back."""

    to_ours: Callable[[Array], Array]
    to_theirs: Callable[[Array], Array]


SAME = Layout(lambda array: array, lambda array: array)
TRANSPOSED = Layout(lambda w_OI: w_OI.T, lambda w_IO: w_IO.T)


class Row(NamedTuple):
    """One tensor of theirs.

    Attributes:
        theirs: its name.
        ours: what it holds, one parameter or several end to end along its first axis.
        layout: of each part.
        order: of the whole, before it is cut.
    """

    theirs: str
    ours: tuple[str, ...]
    layout: Layout
    order: Layout = SAME

    def split(self, tensor: Array) -> dict[str, Array]:
        """Our parameters from their tensor. Raises ValueError if it cannot be cut or laid out so."""
        whole = self.order.to_ours(tensor)
        parts = np.split(whole, len(self.ours)) if len(self.ours) > 1 else [whole]
        return {name: self.layout.to_ours(part) for name, part in zip(self.ours, parts, strict=True)}

    def join(self, params: dict[str, Array]) -> Array:
        """Their tensor from our parameters."""
        parts = [self.layout.to_theirs(params[name]) for name in self.ours]
        return self.order.to_theirs(np.concatenate(parts) if len(parts) > 1 else parts[0])


def heads(head_dim: int) -> tuple[Layout, Layout, Layout]:
    """Layouts of projections into heads, of their biases, and of the projection out of them."""
    into = Layout(
        lambda w_OD: w_OD.T.reshape(w_OD.shape[1], -1, head_dim), lambda w_DNH: w_DNH.reshape(len(w_DNH), -1).T
    )
    bias = Layout(lambda b_O: b_O.reshape(-1, head_dim), lambda b_NH: b_NH.reshape(-1))
    out = Layout(
        lambda w_DO: w_DO.T.reshape(-1, head_dim, len(w_DO)), lambda w_NHD: w_NHD.reshape(-1, w_NHD.shape[-1]).T
    )
    return into, bias, out


def table(theirs: str, ours: str) -> list[Row]:
    """An embedding, or a bias that stands alone."""
    return [Row(theirs, (ours,), SAME)]


def linear(theirs: str, *ours: str) -> list[Row]:
    """A projection with its bias."""
    kernels, biases = tuple(f"{name}.kernel" for name in ours), tuple(f"{name}.bias" for name in ours)
    return [Row(f"{theirs}.weight", kernels, TRANSPOSED), Row(f"{theirs}.bias", biases, SAME)]


def norm(theirs: str, ours: str) -> list[Row]:
    """A norm with its bias."""
    return [Row(f"{theirs}.weight", (f"{ours}.scale",), SAME), Row(f"{theirs}.bias", (f"{ours}.bias",), SAME)]


def attention(head_dim: int, projections: dict[str, tuple[str, ...]], out: str) -> list[Row]:
    """Attention's projections.

    Args:
        head_dim: H.
        projections: their names -> ours, several where theirs is packed.
        out: their name of the output projection.
    """
    into, bias, back = heads(head_dim)
    rows = []
    for theirs, parts in projections.items():
        rows.append(Row(f"{theirs}.weight", tuple(f"attention.{part}.kernel" for part in parts), into))
        rows.append(Row(f"{theirs}.bias", tuple(f"attention.{part}.bias" for part in parts), bias))
    return [
        *rows,
        Row(f"{out}.weight", ("attention.out.kernel",), back),
        Row(f"{out}.bias", ("attention.out.bias",), SAME),
    ]


def separate(query: str, key: str, value: str) -> dict[str, tuple[str, ...]]:
    """Three projections, each a tensor of its own."""
    return {query: ("query",), key: ("key",), value: ("value",)}


def within(rows: Iterable[Row], theirs: str, ours: str) -> Iterator[Row]:
    """Rows of a part, under the names of the whole."""
    for row in rows:
        yield row._replace(theirs=theirs + row.theirs, ours=tuple(ours + name for name in row.ours))
