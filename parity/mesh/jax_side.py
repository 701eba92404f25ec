"""Our side: the trainer's own step, laid out over devices, and its state saved and restored between two steps."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jax_encoder.params import named, nested
from jax_encoder.training import step as steps
from jax_encoder.training.checkpoint import Checkpoints
from jax_encoder.training.mesh import MeshShape
from jax_encoder.training.optimizer import make_optimizer
from jax_encoder.training.session import abstract_state
from jax_encoder.training.sharding import layout_of
from parity.graph.programs import compiled_quickly
from parity.judge.crash import running
from parity.mesh.course import DONE, Course
from parity.mesh.stages import Stage, State, of_restored, of_step
from parity.mesh.torch_side import Reference


def run(course: Course, shape: MeshShape, reference: Reference) -> tuple[Stage, ...]:
    """All stages, on the first devices that there are.

    Args:
        course: what to train on.
        shape: of the mesh.
        reference: which knows the state to start from, and how it calls the parameters.
    """
    with running("JAX"):
        layout = layout_of(shape, jnp.float64, jax.devices()[: shape.devices])
        program = steps.build(course.config, course.encoder, dtype=jnp.float64, layout=layout)
        like = abstract_state(program)
        state = jax.device_put(_tree(course, reference.start), jax.tree.map(lambda leaf: leaf.sharding, like))
        batches = [program.placed(batch) for batch in course.batches]
        step = compiled_quickly(program.step.lower(state, batches[0]))
        stages = []
        for number, batch in enumerate(batches, start=1):
            if number > 1:
                state = _saved_and_restored(state, like)
                stages.append(of_restored(reference.to_torch(_state_of(state))))
            before = reference.to_torch(_state_of(state))
            state, measured = step(state, batch)
            after = reference.to_torch(_state_of(state))
            told = np.asarray(measured.loss), np.asarray(measured.grad_norm)
            stages.append(of_step(number, told, before, after, course.config.optimizer.b1))
    return tuple(stages)


def _saved_and_restored(state: steps.TrainState, like: steps.TrainState) -> steps.TrainState:
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder) / "checkpoints", keep=1)
        checkpoints.save(state)
        return checkpoints.restore(like).state


def _tree(course: Course, state: State) -> steps.TrainState:
    params, mu, nu = (nested({name: jnp.asarray(array) for name, array in arrays.items()}) for arrays in state)
    done = jnp.asarray(DONE, jnp.int32)
    started = make_optimizer(course.config.optimizer, course.config.steps).init(params)
    # Copied: a step writes to the memory that it is given, and must not be given any twice.
    return jax.tree.map(jnp.copy, steps.TrainState(params, optax.tree.set(started, count=done, mu=mu, nu=nu), done))


def _state_of(state: steps.TrainState) -> State:
    moments = (optax.tree.get(state.opt_state, name) for name in ("mu", "nu"))
    return State(*map(_arrays, (state.params, *moments)))


def _arrays(tree: Mapping) -> dict[str, np.ndarray]:
    return {name: np.array(leaf) for name, leaf in named(tree).items()}
