"""A whole training step lowered for the device that an implementation is for, and read: where are T x T numbers?"""

import contextlib
import dataclasses
import functools
import re
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.kernels import table
from jax_encoder.training.config import ModelOptions, PretrainConfig
from jax_encoder.training.step import build
from parity.judge.check import attempt
from parity.judge.compare import SEMANTIC, compare
from parity.judge.crash import running
from parity.judge.verdict import Run, Verdict

# No other size of the step is the length of its rows, or a multiple of it.
LENGTH, WINDOW, HEAD_DIMS = 1664, 32, (32, 64, 128)
_PLATFORMS = {"gpu": "cuda", "tpu": "tpu", "cpu": "cpu"}


def runs(name: str) -> Iterator[Run]:
    """One run for every device that an implementation is for and does not run on here."""
    if name == table.EINSUM:  # has every score, everywhere
        return
    for platform in table.IMPLEMENTATIONS[name].platforms:
        for head_dim in HEAD_DIMS[: 3 if len(table.IMPLEMENTATIONS[name].platforms) == 1 else 1]:
            case = f"training step for {platform}, heads of {head_dim}"
            yield attempt(f"{name}, lowered", case, functools.partial(_run, name, platform, head_dim, case))


def _run(name: str, platform: str, head_dim: int, case: str) -> Run:
    with running("JAX"):
        program = lowered(name, platform, head_dim)
    # That there is a program is counted with what it holds: a count of nothing alone would say nothing.
    found = np.array([int("stablehlo" in program), len(square_arrays(program, LENGTH))])
    comparison = compare("score arrays", found, np.array([1, 0]), allowed=SEMANTIC)
    return Run(f"{name}, lowered", case, (comparison,), agreed=Verdict.LOWERED)


def lowered(name: str, platform: str, head_dim: int, length: int = LENGTH) -> str:
    """The program of a training step in bfloat16, as its text.

    Args:
        name: of the implementation.
        platform: that it is lowered for.
        head_dim: of two heads.
        length: columns of the rows.
    """
    encoder = dataclasses.replace(
        EncoderConfig.mini(),
        vocab_size=64,
        max_len=length,
        embed_dim=32,
        mlp_dim=32,
        head_dim=head_dim,
        windows=((WINDOW if _windowed(name) else None),) * 4,
    )
    options: Any = {"attention": name, "dtype": "bfloat16"}
    config = PretrainConfig(model=ModelOptions(**options))
    program = build(config, encoder)
    rows: Any = [jax.ShapeDtypeStruct((2, columns), kind) for columns, kind in _fields(length)]
    with table.made_for(platform), _gpu_of_no_machine(platform), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # jax 0.12 says that Pallas' way to Triton will go
        state = jax.eval_shape(program.init)
        return program.step.trace(state, Batch(*rows)).lower(lowering_platforms=(_PLATFORMS[platform],)).as_text()


@contextlib.contextmanager
def _gpu_of_no_machine(platform: str) -> Iterator[None]:
    """What jax 0.12 asks for before it lowers for a GPU where there is none; earlier releases lower without."""
    known = {field.name for field in dataclasses.fields(jax.sharding.AbstractDevice)}
    if platform != "gpu" or jax.default_backend() == "gpu" or "platform" not in known:
        yield
        return
    device: Any = {"device_kind": "NVIDIA H100 80GB HBM3", "num_cores": 132, "platform": "gpu"}
    mesh = jax.sharding.AbstractMesh(
        (1,),
        ("nothing",),
        axis_types=jax.sharding.AxisType.Auto,
        abstract_device=jax.sharding.AbstractDevice(**device),
    )
    with jax.sharding.use_abstract_mesh(mesh):
        yield


def _fields(length: int) -> list[tuple[int, type]]:
    """Columns and dtypes of a batch's fields, in their order."""
    return [*[(length, np.int32)] * 3, (8, np.int32), (8, np.int32), (8, np.float32)]


def _windowed(name: str) -> bool:
    """Whether an implementation is tried with a window: where it takes one."""
    layer = table.Layer("cpu", "bfloat16", 64, LENGTH, WINDOW, None, False)
    return not table.IMPLEMENTATIONS[name].refuses(layer)


def square_arrays(program: str, length: int) -> tuple[str, ...]:
    """The types in a program that have two axes as long as its rows, or as what they are filled up to."""
    found = []
    for shape in sorted(set(re.findall(r"tensor<([\dx]+)x[a-z]\w*>", program))):
        axes = [int(axis) for axis in shape.split("x")]
        if sum(axis >= length for axis in axes) > 1:
            found.append(shape)
    return tuple(found)
