"""How devices are laid out, and whether a run fits on them. Standard library only, so that `--help` starts at once.

Three axes: `data` has rows of its own and all parameters, `fsdp` has rows of its own and its share of every large
parameter (Rajbhandari et al. 2020, https://arxiv.org/abs/1910.02054), `tensor` has all rows and its share of the heads,
of the MLP and of the vocabulary (Shoeybi et al. 2019, https://arxiv.org/abs/1909.08053).
"""

import math
from typing import NamedTuple

from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError

AUTO = "auto"


class MeshShape(NamedTuple):
    """Devices along each axis."""

    data: int = 1
    fsdp: int = 1
    tensor: int = 1

    @property
    def devices(self) -> int:
        """How many there are in all."""
        return math.prod(self)

    @property
    def rows(self) -> int:
        """Into how many parts the rows of a batch are split."""
        return self.data * self.fsdp

    def __str__(self) -> str:
        parts = [f"{name}={size}" for name, size in self._asdict().items() if size > 1]
        return ",".join(parts or ["data=1"])


AXES = MeshShape._fields


def parse(text: str) -> MeshShape:
    """Reads what `--mesh` is given, unless that is "auto".

    >>> parse("data=4,fsdp=2")
    MeshShape(data=4, fsdp=2, tensor=1)

    Raises:
        InputError: an axis is unknown or named twice, or a size is no whole number of at least 1.
    """
    sizes: dict[str, int] = {}
    for part in text.split(","):
        name, _, size = (piece.strip() for piece in part.partition("="))
        if name not in AXES:
            raise InputError(
                f"--mesh {text}: {name!r} is no axis; there are {', '.join(AXES)}, as in --mesh data=4,fsdp=2, or auto"
            )
        if name in sizes:
            raise InputError(f"--mesh {text} names {name} twice: give each axis one size")
        if not (size.isascii() and size.isdigit() and int(size)):
            raise InputError(f"--mesh {text}: {name} must be a whole number of at least 1, got {size!r}")
        sizes[name] = int(size)
    return MeshShape(**sizes)


def shape_for(text: str | None, devices: int) -> MeshShape:
    """The shape that was asked for, on so many devices; None asks for one device, "auto" for all along `data`.

    Raises:
        InputError: the axes do not multiply to the devices.
    """
    if text is None:
        return MeshShape()
    if text == AUTO:
        return MeshShape(data=devices)
    shape = parse(text)
    if shape.devices != devices:
        raise InputError(
            f"--mesh {shape} is for {counted(shape.devices)}, and JAX sees {devices}: "
            f"{' or '.join(f'--mesh {one}' for one in _near(shape, devices))} would fit"
        )
    return shape


def check_parts(batch_size: int, accumulate: int, text: str | None) -> None:
    """Raises InputError for parts of a batch that are not equal, or what can be no mesh, whatever the devices."""
    if batch_size % accumulate:
        raise InputError(f"--batch-size {batch_size} cannot be computed in --accumulate {accumulate} equal parts")
    if text not in (None, AUTO):
        parse(text)


def check_rows(shape: MeshShape, batch_size: int, accumulate: int) -> None:
    """Raises InputError for a batch whose rows cannot be split evenly."""
    rows = batch_size // accumulate
    if rows % shape.rows:
        parts = f" in --accumulate {accumulate} parts" if accumulate > 1 else ""
        step = shape.rows * accumulate
        least = -(-batch_size // step) * step
        raise InputError(
            f"--batch-size {batch_size}{parts} is {rows} rows at a time, which --mesh {shape} cannot split over "
            f"{counted(shape.rows, 'group')} of devices: --batch-size {least} would fit"
        )


def check_encoder(shape: MeshShape, encoder: EncoderConfig) -> None:
    """Raises InputError for an encoder whose parameters an axis cannot split evenly."""
    heads = {"heads": encoder.num_heads, "heads of keys and values": encoder.num_key_value_heads}
    split = {
        "tensor": heads | {"columns of the MLP": encoder.mlp_dim, "words of the vocabulary": encoder.vocab_size},
        "fsdp": {"columns of the encoder": encoder.embed_dim, "columns of the embeddings": encoder.table_width},
    }
    for axis, sizes in split.items():
        size = getattr(shape, axis)
        for what, count in sizes.items():
            if count % size:
                common = math.gcd(*sizes.values())
                fitting = ", ".join(str(one) for one in range(1, common + 1) if common % one == 0)
                raise InputError(
                    f"--mesh {shape} cannot split the {count:,} {what} over {axis}={size}: {axis} may be {fitting}"
                )


def _near(shape: MeshShape, devices: int) -> list[MeshShape]:
    """Shapes for so many devices that keep something of the one that was asked for, the nearest first."""
    found = []
    for fsdp, tensor in ((shape.fsdp, shape.tensor), (shape.fsdp, 1), (1, shape.tensor), (1, 1)):
        if devices % (fsdp * tensor) == 0:
            found.append(MeshShape(devices // (fsdp * tensor), fsdp, tensor))
    return list(dict.fromkeys(found))[:2]


def counted(number: int, what: str = "device") -> str:
    """`1 device`, `8 devices`."""
    return f"{number:,} {what}{'s' * (number != 1)}"
