"""How exact this device is: outputs and gradients of small encoders against the CPU's in float64."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.gpu.children import Record, serve
from benchmarks.gpu.machine import require_accelerator
from benchmarks.gpu.work import batches_of, encoder_of, rows_of, shape_of
from jax_encoder import dropout
from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.model import MaskedLM
from jax_encoder.params import Params, params_of
from jax_encoder.training.objective import loss_sums
from jax_encoder.training.step import step_key

# Rounding leaves some 1e-15, another function 1e-6 and more.
SEMANTIC = 1e-10
_WIDE, _NARROW = ("float64", "highest"), ("bfloat16", "default")
_FLOAT32 = tuple(("float32", precision) for precision in ("highest", "high", "default"))
_COMPARED = {
    "bert_base": (_WIDE, *_FLOAT32, _NARROW),
    "modernbert_base": (_WIDE, _FLOAT32[0], _NARROW),
}


class Values(NamedTuple):
    """What is compared: the summed loss, and its gradient by parameter."""

    loss: np.ndarray
    gradients: Params


def measure(spec: Record) -> Iterator[Record]:
    """One record for every dtype and precision; that of float64 carries a verdict."""
    jax.config.update("jax_enable_x64", True)
    require_accelerator(jax.default_backend(), tiny=spec["tiny"])
    device, cpu = jax.devices()[0], jax.devices("cpu")[0]
    for name, compared in _COMPARED.items():
        shape = shape_of(name, tiny=True)
        encoder = encoder_of(shape, tiny=True)
        batch = _with_an_empty_row(batches_of(rows_of(shape, encoder), shape.rows)[0])
        exact = values_of(encoder, batch, "float64", "highest", cpu)
        # On a CPU in the device's place float64 says all that there is to say.
        for dtype, precision in compared[:1] if spec["tiny"] else compared:
            loss, gradient = errors(values_of(encoder, batch, dtype, precision, device), exact)
            record = {"encoder": name, "dtype": dtype, "precision": precision, "on": device.platform}
            verdict = {"ok": max(loss, gradient) <= SEMANTIC} if dtype == "float64" else {}
            yield record | {"loss": loss, "gradient": gradient} | verdict
    yield {"dropout": "same masks as on the CPU", "on": device.platform, "same": same_bits(device, cpu)}


def values_of(encoder: EncoderConfig, batch: Batch, dtype: str, precision: str, device: jax.Device) -> Values:
    """Loss and gradient on one device; parameters are drawn in float64 and rounded, and are float32 at least."""
    encoder = dataclasses.replace(encoder, embedding_dropout=0.0, attention_dropout=0.0, residual_dropout=0.0)
    stored = jnp.float64 if dtype == "float64" else jnp.float32

    def make() -> MaskedLM:
        return MaskedLM(encoder, rngs=nnx.Rngs(params=0), dtype=jnp.dtype(dtype), param_dtype=stored)

    graph = nnx.graphdef(nnx.eval_shape(make))

    @jax.jit
    def values(params: Params, batch: Batch) -> tuple[Any, Params]:
        return jax.value_and_grad(lambda params: loss_sums(graph, params, batch, None)[0])(params)

    with jax.default_matmul_precision(precision):
        loss, gradients = values(*jax.device_put((drawn(encoder, stored), batch), device))
    return Values(np.asarray(loss, np.float64), jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), gradients))


def drawn(encoder: EncoderConfig, dtype: Any) -> Params:
    """Random parameters, biases and scales too, the same on every device and in every dtype up to rounding."""
    rng = np.random.default_rng(0)
    shapes = params_of(nnx.eval_shape(lambda: MaskedLM(encoder, rngs=nnx.Rngs(0))))

    def draw(path: tuple[Any, ...], leaf: Any) -> np.ndarray:
        scale = 1.0 if path[-1].key == "scale" else 0.0
        return (scale + 0.1 * rng.standard_normal(leaf.shape)).astype(dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def errors(found: Values, exact: Values) -> tuple[float, float]:
    """Relative errors of the loss and, of all gradients as one vector, of the gradient; NaN stays NaN."""
    leaves = [np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(one.gradients)]) for one in (found, exact)]
    gradient = np.linalg.norm(leaves[0] - leaves[1]) / np.linalg.norm(leaves[1])
    return float(abs(found.loss - exact.loss) / abs(exact.loss)), float(gradient)


def same_bits(*devices: jax.Device) -> bool:
    """Whether dropout keeps the same on all devices for the key of a step."""
    kept = []
    for device in devices:
        with jax.default_device(device):
            kept.append(np.asarray(jax.jit(lambda: dropout.keep(step_key(0, 3), 0.5, (4096,)))()))
    return all(np.array_equal(kept[0], one) for one in kept)


def _with_an_empty_row(batch: Batch) -> Batch:
    """The last row becomes padding."""
    fields = batch._asdict()
    for name in ("segments", "positions", "targets", "labels", "weights"):
        fields[name] = fields[name].copy()
        fields[name][-1] = 0
    return Batch(**fields)


if __name__ == "__main__":
    serve(measure)
