"""The same, read from programs that are compiled for simulated devices; run in a process that has them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.scaling import formula
from benchmarks.scaling.collectives import Collective, read
from jax_encoder.training.mesh import MeshShape
from jax_encoder.training.session import abstract_state
from jax_encoder.training.sharding import layout_of
from jax_encoder.training.step import build
from parity.mesh.course import ACCUMULATE, B, K, T, course, shapes

NUMBER = 8  # bytes of a float64


class Compiled(NamedTuple):
    """What a compiled step says of itself.

    Attributes:
        moved: every array between devices.
        arguments: bytes on one device of what the step is given: the state, and the device's rows.
        temporary: bytes on one device of what is not there before or after.
    """

    moved: list[Collective]
    arguments: int
    temporary: int


def compiled(part: tuple[str, str]) -> Compiled:
    """The step of one form of the mesh's course on one shape, by names."""
    form, name = part
    shape: MeshShape = shapes()[name]
    jax.config.update("jax_enable_x64", True)
    given = course(form)
    layout = layout_of(shape, jnp.float64, jax.devices()[: shape.devices])
    program = build(given.config, given.encoder, dtype=jnp.float64, layout=layout)
    made = program.step.lower(abstract_state(program), program.placed(given.batches[0])).compile()
    memory = made.memory_analysis()
    text = made.as_text()
    if memory is None or text is None:
        raise RuntimeError("this backend does not say what it has compiled")
    return Compiled(read(text, shape.devices), memory.argument_size_in_bytes, memory.temp_size_in_bytes)


def work() -> formula.Work:
    """What one step of the course is."""
    return formula.Work(B // ACCUMULATE, T, K, ACCUMULATE, NUMBER)


def batch_bytes(shape: MeshShape) -> int:
    """Of the rows of a step that one device is given: tokens, segments, positions; targets, labels, weights."""
    return B // shape.rows * (3 * T + 3 * K) * 4
