"""Mistakes that devices make which share a step, made in the reference, and in ours."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_encoder import dropout, norm
from jax_encoder.training import optimizer as optimizers
from jax_encoder.training import step as steps
from jax_encoder.training.checkpoint import Checkpoints
from jax_encoder.training.mesh import MeshShape
from jax_encoder.training.sharding import RULES, axes_of
from parity.encoder.bugs.model import Patch
from parity.judge.bug import Bug
from parity.mesh.stages import State
from parity.mesh.torch_side import (
    DecayOfShards,
    GradientTwice,
    MasksRepeated,
    MeanOfShards,
    NormsOfShards,
    Recipe,
    Reference,
    Sharing,
)

# The shape that exposes all of them: no axis of it is one device.
SHAPE = MeshShape(data=2, fsdp=2, tensor=2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshBug(Bug):
    """A mistake in how a step is shared.

    Attributes:
        axes: what it needs; along one of them there is more than one device.
        plant: makes it in the reference.
        in_jax: makes it in our code.
    """

    axes: tuple[str, ...]
    plant: Callable[[Reference, MeshShape], Recipe]
    in_jax: Callable[[Patch, MeshShape], object]

    def applies(self, shape: MeshShape) -> bool:
        """Whether it is a mistake on such devices."""
        return any(getattr(shape, axis) > 1 for axis in self.axes)


def _trained_by(kind: type[Sharing]) -> Callable[[Reference, MeshShape], Recipe]:
    def plant(reference: Reference, shape: MeshShape) -> Recipe:
        return Recipe(trainer=type(kind.__name__, (kind,), {"shape": shape}))

    return plant


def _shards_turned(reference: Reference, shape: MeshShape) -> Recipe:
    def restored(state: State) -> State:
        ours = State(*(reference.table.to_jax(dict(arrays)) for arrays in state))
        turned = State(*({name: turn(name, array, shape) for name, array in arrays.items()} for arrays in ours))
        return reference.to_torch(turned)

    return Recipe(restored=restored)


def turn(name: str, array: Any, shape: MeshShape) -> Any:
    """A parameter, or what is kept of it, of which every device has the next one's share of what `fsdp` splits."""
    axes = axes_of(name)
    for place, axis in enumerate(axes, start=array.ndim - len(axes)):
        if RULES.get(axis) == "fsdp":
            return np.roll(np.asarray(array), array.shape[place] // shape.fsdp, axis=place)
    return array


def _our_mean_of_means(patch: Patch, shape: MeshShape) -> None:
    right = steps.accumulated_gradients

    def accumulated(model: Any, params: Any, batches: Any, key: Any, attention: str = "auto") -> Any:
        weights_AbK = batches.weights.astype(jnp.float64)
        grouped = weights_AbK.reshape(weights_AbK.shape[0], shape.rows, -1, weights_AbK.shape[2])
        own = grouped.sum(axis=(2, 3), keepdims=True)
        mean = own.mean(axis=1, keepdims=True)
        weighed = (grouped * mean / jnp.maximum(own, 1)).reshape(weights_AbK.shape)
        return right(model, params, batches._replace(weights=weighed), key, attention)

    patch.set(steps, "accumulated_gradients", accumulated)


def _our_gradient_twice(patch: Patch, shape: MeshShape) -> None:
    right = steps.accumulated_gradients

    def accumulated(*given: Any) -> Any:
        sums, grads = right(*given)
        return sums, jax.tree.map(lambda leaf: leaf * jnp.asarray(shape.data, leaf.dtype), grads)

    patch.set(steps, "accumulated_gradients", accumulated)


def _our_masks_repeated(patch: Patch, shape: MeshShape) -> None:
    right = dropout.keep

    def keep(key: Any, rate: float, of: tuple[int, ...]) -> Any:
        own = right(key, rate, (of[0] // shape.rows, *of[1:]))
        return jnp.concatenate([own] * shape.rows)

    patch.set(dropout, "keep", keep)


def _our_norms_of_shards(patch: Patch, shape: MeshShape) -> None:
    right = norm.Norm.__call__

    def call(self: norm.Norm, x: Any) -> Any:
        parts = x.reshape(*x.shape[:-1], shape.tensor, -1)
        scale = self.scale[...].reshape(shape.tensor, -1)
        bias = None if self.bias is None else self.bias[...].reshape(shape.tensor, -1)
        own = [
            right(_Part(self.kind, self.eps, scale[i], None if bias is None else bias[i]), parts[..., i, :])  # type: ignore[arg-type]
            for i in range(shape.tensor)
        ]
        return jnp.concatenate(own, axis=-1)

    patch.set(norm.Norm, "__call__", call)


@dataclasses.dataclass
class _Part:
    """Some columns of a norm."""

    kind: str
    eps: float
    scale: Any
    bias: Any


def _our_decay_of_shards(patch: Patch, shape: MeshShape) -> None:
    right = optimizers.make_optimizer

    def make(options: Any, steps: int) -> Any:
        return right(dataclasses.replace(options, weight_decay=shape.data * options.weight_decay), steps)

    patch.set(optimizers, "make_optimizer", make)


def _our_shards_turned(patch: Patch, shape: MeshShape) -> None:
    right = Checkpoints.restore

    def restore(self: Checkpoints, like: steps.TrainState) -> Any:
        restored = right(self, like)

        def one(path: Any, leaf: jax.Array) -> jax.Array:
            name = ".".join(part.key for part in path if isinstance(part, jax.tree_util.DictKey))
            return jax.device_put(turn(name, leaf, shape), leaf.sharding) if name else leaf

        return restored._replace(state=jax.tree_util.tree_map_with_path(one, restored.state))

    patch.set(Checkpoints, "restore", restore)


MESH_BUGS: tuple[MeshBug, ...] = (
    MeshBug(
        name="mesh-mean-of-means",
        mistake="every group of devices takes the mean over its own targets, and the means are averaged",
        where=r"step \d+ loss",
        axes=("data", "fsdp"),
        plant=_trained_by(MeanOfShards),
        in_jax=_our_mean_of_means,
        source="transformers#34191",
    ),
    MeshBug(
        name="mesh-gradient-twice",
        mistake="the gradient, summed over all devices, is summed over the axis data once more",
        where=r"step \d+ gradient_norm",
        axes=("data",),
        plant=_trained_by(GradientTwice),
        in_jax=_our_gradient_twice,
    ),
    MeshBug(
        name="mesh-dropout-repeated",
        mistake="every group of devices drops what the first one drops",
        where=r"step \d+ loss",
        axes=("data", "fsdp"),
        plant=_trained_by(MasksRepeated),
        in_jax=_our_masks_repeated,
    ),
    MeshBug(
        name="mesh-norm-of-shard",
        mistake="every device of the axis tensor takes the statistics of a norm over its own columns",
        where=r"step \d+ loss",
        axes=("tensor",),
        plant=_trained_by(NormsOfShards),
        in_jax=_our_norms_of_shards,
    ),
    MeshBug(
        name="mesh-decay-per-shard",
        mistake="every device of the axis data decays its parameters, and the changes are added up",
        where=r"step \d+ parameter .*",
        axes=("data",),
        plant=_trained_by(DecayOfShards),
        in_jax=_our_decay_of_shards,
    ),
    MeshBug(
        name="mesh-restore-order",
        mistake="every device of the axis fsdp is given the next one's share when a state is restored",
        where=r"restored (parameter|first_moment|second_moment) .*",
        axes=("fsdp",),
        plant=_shards_turned,
        in_jax=_our_shards_turned,
    ),
)
