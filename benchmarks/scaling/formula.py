"""What a training step costs on a mesh, by formula: operations, and bytes between devices. `docs/scaling.md` says it.

Axes: B rows of one micro-batch, T column, K target, D embed_dim, E width of the tables, V vocabulary.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.scaling.collectives import Moved
from jax_encoder.config import EncoderConfig
from jax_encoder.model import MASKED_LM, shapes_of
from jax_encoder.training.mesh import MeshShape
from jax_encoder.training.sharding import axes_of, spec_of


class Work(NamedTuple):
    """What one step computes.

    Attributes:
        rows: B, of one micro-batch, over all devices.
        length: T.
        targets: K, of a row.
        accumulate: micro-batches to a step.
        number: bytes of one number.
        layers: that a parameter is stacked over.
    """

    rows: int
    length: int
    targets: int
    accumulate: int = 1
    number: int = 4
    layers: int = 1


def collectives(encoder: EncoderConfig, shape: MeshShape, work: Work) -> Moved:
    """What one step moves between devices, single numbers left out; layers are in a loop."""
    moved = Moved()
    for name, size in shapes_of(encoder, MASKED_LM).items():
        layers = size[0] if name.startswith("encoder.layers.") else 1
        for part in _parts_of(name, encoder):
            _parameter(moved, part, size, shape, work._replace(layers=layers))
    if shape.tensor > 1:
        _activations(moved, encoder, shape, work)
    return moved


def _parts_of(name: str, encoder: EncoderConfig) -> tuple[str, ...]:
    """The gradients of a parameter that are summed by themselves: that of tied words comes from two places."""
    twice = name == "encoder.embedding.word" and encoder.mlm_tied
    return (name, f"gradient alone of {name}") if twice else (name,)


def _parameter(moved: Moved, name: str, size: tuple[int, ...], shape: MeshShape, work: Work) -> None:
    """Gathers a parameter over fsdp wherever it is needed, and sums its gradient over all that have other rows."""
    spec, layers, again = spec_of(name, len(size)), work.layers, work.accumulate
    own = math.prod(size) // layers * work.number // (shape.tensor if "tensor" in spec else 1)
    if "fsdp" in spec and not name.startswith("gradient alone"):
        # A layer's are gathered for the forward and again for the backward pass of every micro-batch, others once.
        layered = name.startswith("encoder.layers.")
        moved.add("all-gather", shape.fsdp, own, 2 * again * layers if layered else 1)
    if in_two_steps(name, size) and shape.fsdp > 1 and shape.data > 1:
        moved.add("all-reduce", shape.fsdp, own, again * layers)
        moved.add("all-reduce", shape.data, own // shape.fsdp, again * layers)
    else:
        moved.add("all-reduce", shape.rows, own, again * layers)


def in_two_steps(name: str, size: tuple[int, ...]) -> bool:
    """Whether a gradient is summed over fsdp first, and then its shares over data: where the product that makes it has
    its axes in the order of the parameter."""
    return bool(axes_of(name)) and "fsdp" in spec_of(name, len(size)) and len(axes_of(name)) > 1 and _ordered(name)


def _ordered(name: str) -> bool:
    return name.startswith(("encoder.layers.", "encoder.first.")) and not name.endswith("down.kernel")


def _activations(moved: Moved, encoder: EncoderConfig, shape: MeshShape, work: Work) -> None:
    """Sums over tensor of what its devices have made of their own heads, columns and words."""
    rows, again = work.rows // shape.rows, work.accumulate
    inputs = 3 + (2 if encoder.mlp_kind == "gated" else 1)  # query, key, value; gate and up
    stream = rows * work.length * encoder.embed_dim * work.number
    moved.add("all-reduce", shape.tensor, stream, again * encoder.num_layers * (2 + inputs))
    moved.add("all-reduce", shape.tensor, rows * work.length * encoder.table_width * work.number, again)  # words
    moved.add("all-reduce", shape.tensor, rows * work.targets * encoder.table_width * work.number, again)  # the head
    # The loss: the largest logit twice, the sum of powers, and the label's logit twice.
    moved.add("all-reduce", shape.tensor, rows * work.targets * work.number, 5 * again)


def flops(encoder: EncoderConfig, work: Work) -> int:
    """Of one step over all devices, forward and twice that backward; a product of m x k and k x n counts 2 m k n.

    Attention is counted for rows that are one document; in packed rows it is the sum of the documents' squares.
    """
    tokens = work.rows * work.length * work.accumulate
    targets = work.rows * work.targets * work.accumulate
    heads = encoder.num_heads * encoder.head_dim
    keys = encoder.num_key_value_heads * encoder.head_dim
    mlp = (3 if encoder.mlp_kind == "gated" else 2) * encoder.embed_dim * encoder.mlp_dim
    per_token = 2 * (encoder.embed_dim * (2 * heads + 2 * keys) + mlp) * encoder.num_layers
    seen = sum(work.length if window is None else min(work.length, 2 * window + 1) for window in encoder.windows)
    attention = 4 * heads * seen
    head = 2 * encoder.embed_dim * encoder.table_width * (encoder.mlm_activation is not None)
    per_target = head + 2 * encoder.table_width * encoder.vocab_size
    return 3 * (tokens * (per_token + attention) + targets * per_target)


def parameters(encoder: EncoderConfig) -> int:
    """How many numbers there are to train."""
    return sum(math.prod(size) for size in shapes_of(encoder, MASKED_LM).values())


def state_bytes(encoder: EncoderConfig, shape: MeshShape, number: int = 4) -> int:
    """Parameters and both moments of the optimizer, on one device."""
    total = 0
    for name, size in shapes_of(encoder, MASKED_LM).items():
        total += math.prod(size) // _parts(name, len(size), shape._asdict())
    return 3 * total * number


def whole_bytes(encoder: EncoderConfig, number: int = 4) -> int:
    """The vectors among them, which every device has whole along fsdp."""
    shapes = shapes_of(encoder, MASKED_LM).items()
    return 3 * number * sum(math.prod(size) for name, size in shapes if "fsdp" not in spec_of(name, len(size)))


def _parts(name: str, ndim: int, sizes: Mapping[str, int]) -> int:
    return math.prod(sizes[axis] for axis in spec_of(name, ndim) if axis is not None)
