"""The state of our optimizer that a snapshot of the reference's is."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jax_encoder.params import Params, name_of, named


def resumed(fresh: optax.OptState, first: Params, second: Params, *, moved: int, done: int) -> optax.OptState:
    """A fresh state with moments and counts put in.

    Args:
        fresh: as the optimizer makes it.
        first, second: moments of every parameter; those that the optimizer has no use for are left out.
        moved: how often the parameters have moved.
        done: how many steps there have been, by which the learning rate goes.
    """
    moments = {"trace": named(first), "mu": named(first), "nu": named(second)}
    trees = {name: optax.tree.get(fresh, name, None) for name in moments}
    given = {
        name: jax.tree_util.tree_map_with_path(lambda path, _, flat=moments[name]: flat[name_of(path)], tree)
        for name, tree in trees.items()
        if tree is not None
    }
    state = optax.tree.set(fresh, count=jnp.asarray(moved, jnp.int32), **given)
    return jax.tree.map(lambda node: _at(node, done), state, is_leaf=_is_schedule)


def _at(node: Any, done: int) -> Any:
    return node._replace(count=jnp.asarray(done, jnp.int32)) if _is_schedule(node) else node


def _is_schedule(node: object) -> bool:
    return isinstance(node, optax.ScaleByScheduleState)
