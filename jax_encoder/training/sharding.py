"""What lies on which device: one table of the parameters' axes by name, one of what splits them.

A parameter, and all that the optimizer keeps of it, lies split over `fsdp` and `tensor`, and is gathered over `fsdp`
where a layer computes with it. Rows are split over `data` and `fsdp`. The compiler, XLA's, puts in what devices have to
tell one another.

Axes: B batch, A micro-batches, b rows of one micro-batch.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.typing import DTypeLike
from jaxtyping import Array

from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.errors import InputError
from jax_encoder.kernels.sight import Attend, Sight
from jax_encoder.params import name_of
from jax_encoder.training.config import PretrainConfig
from jax_encoder.training.mesh import AXES, MeshShape, check_encoder, check_rows, counted, shape_for

Tree = TypeVar("Tree")

# What splits an axis of a parameter; an axis that is not here is never split.
RULES: dict[str, str] = {"embed": "fsdp", "heads": "tensor", "mlp": "tensor", "vocabulary": "tensor"}
ROWS = ("data", "fsdp")

# The axes of a parameter, by how its name ends. What is stacked over layers has one more before these.
_TABLES = {"word": ("vocabulary", "embed"), "decoder": ("vocabulary", "embed")}
_TABLES |= dict.fromkeys(("position", "token_type", "relative_embedding.table"), ("row", "embed"))
_INTO_HEADS = ("query", "key", "value", "position_query", "position_key")
LOGICAL_AXES: dict[str, tuple[str, ...]] = {
    **_TABLES,
    **{f"{name}.kernel": ("embed", "heads", "head_dim") for name in _INTO_HEADS},
    **{f"{name}.bias": ("heads", "head_dim") for name in _INTO_HEADS},
    "out.kernel": ("heads", "head_dim", "embed"),
    **dict.fromkeys(("up.kernel", "gate.kernel"), ("embed", "mlp")),
    **dict.fromkeys(("up.bias", "gate.bias"), ("mlp",)),
    "down.kernel": ("mlp", "embed"),
    "transform.kernel": ("column", "embed"),
    "embedding_projection.kernel": ("column", "embed"),
    "relative_bias.table": ("row", "head"),
    "head.bias": ("vocabulary",),
}
# Vectors that every device has whole: a share of so little would cost more to gather than it saves.
_WHOLE = frozenset({"scale", "bias"})
# Is read in the dtype that the network computes in, and can be gathered in it.
_NARROW = frozenset({"kernel", "word", "decoder", "position", "token_type"})


def axes_of(name: str) -> tuple[str, ...]:
    """The axes of a parameter, without that over layers; none for a vector that every device has whole.

    Raises:
        ValueError: a parameter whose name does not say which axes it has.
    """
    parts = name.split(".")
    for length in (1, 2):
        axes = LOGICAL_AXES.get(".".join(parts[-length:]))
        if axes is not None:
            return axes
    if parts[-1] in _WHOLE:
        return ()
    raise ValueError(f"how to split {name} is not known: its name must end in one of {', '.join(LOGICAL_AXES)}")


def spec_of(name: str, ndim: int, among: Sequence[str] = AXES) -> P:
    """How a parameter is split.

    Args:
        name: of the parameter.
        ndim: how many axes it has, with that over layers if there is one.
        among: the axes of the mesh that count; others split nothing.
    """
    splits = [RULES.get(axis) for axis in axes_of(name)]
    named = [axis if axis in among else None for axis in splits]
    return P(*[None] * (ndim - len(named)), *named)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A `jax_encoder.placement.Placement`: where everything of a training step lies.

    Attributes:
        mesh: the devices.
        dtype: that the network computes in.
    """

    mesh: Mesh
    dtype: DTypeLike

    @property
    def gathers(self) -> bool:
        return self.mesh.shape["fsdp"] > 1

    def whole(self, params: Tree) -> Tree:
        def gathered(path: tuple[Any, ...], leaf: Array) -> Array:
            name = name_of(path).removesuffix(".value")  # what nnx calls an array within its variable
            stored, computed = (self._of(spec_of(name, leaf.ndim, axes)) for axes in (AXES, ("tensor",)))
            if stored == computed:
                return leaf
            return _gathered(leaf, computed, stored, self.dtype if name.split(".")[-1] in _NARROW else leaf.dtype)

        return jax.tree_util.tree_map_with_path(gathered, params) if self.gathers else params

    def stream(self, x_BTD: Array) -> Array:
        return jax.lax.with_sharding_constraint(x_BTD, self._of(P(ROWS)))

    def attend(self, attend: Attend) -> Attend:
        heads = P(ROWS, "tensor")

        def split(query: Array, key: Array, value: Array, sight: Sight, scale: float) -> Array:
            def own(query: Array, key: Array, value: Array, segments: Array) -> Array:
                return attend(query, key, value, Sight(segments, sight.window), scale)

            run = jax.shard_map(
                own, mesh=self.mesh, in_specs=(heads, heads, heads, P(ROWS)), out_specs=heads, check_vma=False
            )
            return run(query, key, value, sight.segments)

        return split

    @property
    def everywhere(self) -> NamedSharding:
        """Of what every device has whole."""
        return self._of(P())

    def of_state(self, state: Tree) -> Tree:
        """Where every array of a training state lies: what an optimizer keeps of a parameter, where that lies."""

        def place(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
            name = ".".join(part.key for part in path if isinstance(part, jax.tree_util.DictKey))
            # Some keep a number or a vector where a parameter is a matrix.
            if not (name and leaf.ndim) or leaf.ndim < len(axes_of(name)):
                return self.everywhere
            return self._of(spec_of(name, leaf.ndim))

        return jax.tree_util.tree_map_with_path(place, state)

    def stored(self, params: Tree) -> Tree:
        return jax.lax.with_sharding_constraint(params, self.of_state(params))

    def of_batch(self, *, split: bool) -> NamedSharding:
        """Where a batch [B ...] lies, or one that is split into micro-batches [A b ...]."""
        return self._of(P(None, ROWS) if split else P(ROWS))

    def place(self, batch: Batch, *, split: bool) -> Batch:
        """Puts a batch on the devices, of each process those rows that its devices have."""
        sharding = self.of_batch(split=split)
        fields: Any = (jax.make_array_from_callback(one.shape, sharding, partial(_at, one)) for one in batch)
        return Batch(*fields)

    def _of(self, spec: P) -> NamedSharding:
        return NamedSharding(self.mesh, spec)


def _at(field: np.ndarray, index: Any) -> np.ndarray:
    return field[index]


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _gathered(leaf: Array, computed: NamedSharding, stored: NamedSharding, dtype: DTypeLike) -> Array:
    # Said of both, or the compiler keeps what was gathered for the backward pass, in the place of the share.
    share = jax.lax.with_sharding_constraint(leaf, stored)
    return jax.lax.with_sharding_constraint(share.astype(dtype), computed)


def _forward(leaf: Array, computed: NamedSharding, stored: NamedSharding, dtype: DTypeLike) -> tuple[Array, Array]:
    return _gathered(leaf, computed, stored, dtype), leaf[:0]


def _backward(
    computed: NamedSharding, stored: NamedSharding, dtype: DTypeLike, empty: Array, cotangent: Array
) -> tuple[Array]:
    # Summed into the shares alone: constrained as the value was, every device would have the sum of everything.
    if computed.spec[-1] is None and len(computed.spec) == 2:
        cotangent = jax.lax.with_sharding_constraint(cotangent, computed)
    return (jax.lax.with_sharding_constraint(cotangent, stored).astype(empty.dtype),)


_gathered.defvjp(_forward, _backward)


def layout_of(shape: MeshShape, dtype: DTypeLike, devices: Sequence[jax.Device] | None = None) -> Layout:
    """Lays devices out: neighbours along `tensor`, which has the most to tell, then along `fsdp`.

    Args:
        shape: of the mesh; its sizes multiply to the devices.
        dtype: that the network computes in.
        devices: None takes all that there are, in the order in which they are nearest.
    """
    kinds = (jax.sharding.AxisType.Auto,) * len(AXES)
    if devices is None:
        return Layout(jax.make_mesh(shape, AXES, axis_types=kinds), dtype)
    return Layout(Mesh(np.array(devices).reshape(shape), AXES, axis_types=kinds), dtype)


def choose_layout(config: PretrainConfig, encoder: EncoderConfig) -> Layout | None:
    """How the devices that JAX sees are to compute a run; None stands for one device.

    Raises:
        InputError: the mesh is not for so many devices, or cannot split the batch or the encoder.
    """
    if config.mesh is None and jax.process_count() > 1:
        devices = jax.device_count()
        raise InputError(
            f"{jax.process_count()} processes with {counted(devices)} in all need --mesh, or each would train by "
            f"itself: --mesh data={devices} or --mesh auto"
        )
    shape = shape_for(config.mesh, jax.device_count())
    check_rows(shape, config.batch_size, config.accumulate)
    check_encoder(shape, encoder)
    return None if shape.devices == 1 else layout_of(shape, config.model.dtype)


def told(layout: Layout | None, config: PretrainConfig) -> str:
    """One line for the screen: how many devices compute, and what would take those that stay idle; or nothing."""
    devices, rows = jax.device_count(), config.batch_size // config.accumulate
    if layout is None and devices == 1:
        return ""
    if layout is None:
        more = "" if rows % devices == 0 else f" with a --batch-size of which each part is a multiple of {devices}"
        return f"devices    1 of {devices} computes, the others stay idle: --mesh data={devices}{more} takes all"
    shape = MeshShape(*layout.mesh.devices.shape)
    return f"devices    {devices} compute, --mesh {shape}: {counted(rows // shape.rows, 'row')} at a time on each"
