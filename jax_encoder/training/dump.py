"""What a run keeps of a step whose loss or gradient is not finite, and the step, run again.

A step that is left out moves nothing: the parameters after it are those that it began with.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jax_encoder import masks
from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.errors import InputError
from jax_encoder.model import MaskedLM
from jax_encoder.params import name_of, named, nested, with_params
from jax_encoder.training import step as steps
from jax_encoder.training.config import PretrainConfig

_WHAT, _PARAMS, _BATCH = "step.json", "params.npz", "batch.npz"


class Dump(NamedTuple):
    """One step: of which run, its number counted from 1, the parameters that it began with, and what it saw."""

    config: PretrainConfig
    encoder: EncoderConfig
    step: int
    params: dict[str, np.ndarray]
    batch: Batch


class Replayed(NamedTuple):
    """What the step was when it was run again.

    Attributes:
        loss, gradient_norm: as the run had them.
        first: of the values of the network in the order computed, the first that is not finite, with its micro-batch,
            counted from 1, and the share of its entries; None if all are.
        params, gradients: names of those that are not finite.
    """

    loss: float
    gradient_norm: float
    first: tuple[str, int, float] | None
    params: list[str]
    gradients: list[str]


def write(folder: Path, dump: Dump) -> None:
    """Makes a folder that `read` reads; what an earlier dump left in it is written over."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / _PARAMS, **{name: np.asarray(array) for name, array in dump.params.items()})  # type: ignore[arg-type]
    np.savez(folder / _BATCH, **{name: np.asarray(field) for name, field in dump.batch._asdict().items()})  # type: ignore[arg-type]
    values = {
        "step": dump.step,
        "training": dump.config.to_dict(),
        "encoder": json.loads(dump.encoder.to_json()),
    }
    (folder / _WHAT).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> Dump:
    """Reads what `write` wrote.

    Raises:
        InputError: it is not such a folder, or not whole.
    """
    try:
        values = json.loads((folder / _WHAT).read_text(encoding="utf-8"))
        with np.load(folder / _PARAMS) as params, np.load(folder / _BATCH) as batch:
            return Dump(
                PretrainConfig.from_dict(values["training"], run=str(folder)),
                EncoderConfig.from_json(json.dumps(values["encoder"])),
                int(values["step"]),
                dict(params),
                Batch(**batch),
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} cannot be read as a step that a run has kept: {error}; expected {_WHAT}, {_PARAMS} and {_BATCH}"
        ) from None


def replay(dump: Dump) -> Replayed:
    """Runs the step again but for its update, and finds where it stops being finite."""
    config, encoder, step, params, batch = dump
    given = nested(jax.tree.map(jnp.asarray, params))
    parts = steps.split_batch(jax.tree.map(jnp.asarray, batch), config.accumulate)
    model = nnx.graphdef(nnx.eval_shape(lambda: _model(config, encoder)))
    key = steps.step_key(config.seed, step - 1)
    at_precision = jax.default_matmul_precision(config.model.matmul_precision)
    gradients = jax.jit(at_precision(steps.accumulated_gradients), static_argnums=(0, 4, 5))
    sums, found = gradients(model, given, parts, key, config.model.attention, steps.penalties_of(config))
    return Replayed(
        float(sums.loss) / max(float(sums.targets), 1),
        float(optax.tree.norm(found)),
        _first(model, given, parts, key, config),
        _not_finite(params),
        _not_finite(named(found)),
    )


def described(dump: Dump, replayed: Replayed) -> list[str]:
    """The lines to show."""
    lines = [f"step {dump.step}, run again: loss {replayed.loss}, gradient norm {replayed.gradient_norm}"]
    if replayed.first is None:
        lines.append("every value of the network is finite")
    else:
        name, part, share = replayed.first
        where = f" in part {part} of {dump.config.accumulate}" if dump.config.accumulate > 1 else ""
        lines.append(f"first value that is not finite: {name}{where}, {share:.2%} of its entries")
    for what, names in (("parameters", replayed.params), ("gradients", replayed.gradients)):
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        lines.append(f"{what} that are not finite: {', '.join(names[:5]) or 'none'}{more}")
    return lines


def _model(config: PretrainConfig, encoder: EncoderConfig) -> MaskedLM:
    dtype = jnp.dtype(config.model.dtype)
    return MaskedLM(encoder, rngs=nnx.Rngs(0), dtype=dtype, param_dtype=jnp.float32)


def _first(
    model: nnx.GraphDef, params: Any, parts: Batch, key: jax.Array, config: PretrainConfig
) -> tuple[str, int, float] | None:
    @jax.jit
    def shares(params: Any, part: Batch, key: jax.Array) -> Any:
        mask = masks.Documents(jnp.asarray(part.segments), config.model.attention)
        given = {"positions_BT": part.positions, "targets_BK": part.targets, "dropout_key": key}
        _, taps = with_params(model, params)(part.tokens, mask, **given)
        return jax.tree.map(lambda value: jnp.mean(~jnp.isfinite(value), dtype=jnp.float32), taps)

    for index in range(config.accumulate):
        part = jax.tree.map(lambda field, i=index: field[i], parts)
        found = shares(params, part, steps.micro_batch_key(key, index))
        for path, share in jax.tree_util.tree_leaves_with_path(found):
            if share > 0:
                return name_of(path), index + 1, float(share)
    return None


def _not_finite(arrays: dict[str, Any]) -> list[str]:
    return [name for name, array in arrays.items() if not np.isfinite(np.asarray(array)).all()]
