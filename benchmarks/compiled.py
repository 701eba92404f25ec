"""How long a training step takes to trace and compile, from nothing, by the number of layers."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from benchmarks.workers import Record, serve, timed
from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.training.config import PretrainConfig
from jax_encoder.training.step import build

_ROWS, _COLUMNS, _TARGETS = 8, 128, 19


def encoder_of(layers: int) -> EncoderConfig:
    """minilm_l6 with so many layers."""
    encoder = EncoderConfig.minilm_l6()
    return dataclasses.replace(
        encoder, num_layers=layers, layer_groups=tuple(range(layers)), windows=(None,) * layers, scan_layers=True
    )


def prepared(spec: Record) -> tuple[Record, Callable[[], Record]]:
    """Compiles once, so that everything that a process does once is done.

    Args:
        spec: "layers".
    """
    encoder = encoder_of(spec["layers"])

    def compile_step() -> None:
        jax.clear_caches()
        program = build(PretrainConfig(), encoder)
        program.step.lower(jax.eval_shape(program.init), _batch()).compile()

    def measure() -> Record:
        return timed(compile_step) | {"units": 1}

    return {"first_seconds": measure()["seconds"]}, measure


def _batch() -> Batch:
    columns, targets = ((_ROWS, width) for width in (_COLUMNS, _TARGETS))
    kinds = (*[(columns, "int32")] * 3, *[(targets, "int32")] * 2, (targets, "float32"))
    fields: list[Any] = [jax.ShapeDtypeStruct(*kind) for kind in kinds]
    return Batch(*fields)


if __name__ == "__main__":
    serve(prepared)
