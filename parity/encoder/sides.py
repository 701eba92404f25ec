"""Both encoders with everything that is put on them, run so that every value has a name.

Axes: B batch, T column, K target, D embed_dim, V vocabulary.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import torch
from flax import nnx
from torch import nn

import jax_encoder
import torch_ref
from jax_encoder import masks as jax_masks
from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.training import objective
from parity.bugs.model import ModelBug, Patch
from parity.encoder.inputs import Directions, Inputs, Targets, tensor
from parity.programs import quickly
from torch_ref import masks as torch_masks

LOSSES = ("projection", "mlm")


class SideTaps(NamedTuple):
    """Every value of one side, in the order computed; None where a case or config has no such value."""

    embedding: Any
    embedding_projection: Any | None
    relative_bias: Any | None
    layers: tuple[Any, ...]
    final_norm: Any | None
    output: Any
    head: Any | None
    pooler: Any | None
    mean_pool: Any
    projection: Any
    mlm: Any | None


class JaxSide(nnx.Module):
    """Everything of ours that has parameters."""

    def __init__(self, config: EncoderConfig, *, pooler: bool):
        options = {"rngs": nnx.Rngs(0), "dtype": jnp.float64, "param_dtype": jnp.float64}
        self.lm = jax_encoder.MaskedLM(config, **options)
        self.pooler = jax_encoder.Pooler(config, **options) if pooler else None


class TorchSide(nn.Module):
    """Everything of the reference that has parameters."""

    def __init__(self, config: EncoderConfig, *, pooler: bool):
        super().__init__()
        self.lm = torch_ref.MaskedLM(config)
        self.pooler = torch_ref.Pooler(config) if pooler else None

    def forward(self, inputs: Inputs, run: Callable[["TorchSide", Inputs], Any]) -> Any:
        """Does what `run` does; here so that `torch.func.functional_call` can lend other parameters."""
        return run(self, inputs)


def planted(side: TorchSide, bug: ModelBug) -> TorchSide:
    """Makes a mistake in a reference; where it is one of code, the code is wrong while this reference runs."""
    patch = Patch()
    bug.plant(side, patch)
    plain = side.forward

    def forward(inputs: Inputs, run: Callable[[TorchSide, Inputs], Any]) -> Any:
        with patch.active():
            return plain(inputs, run)

    side.forward = forward  # type: ignore[method-assign]
    return side


class JaxInputs(NamedTuple):
    """What `run_jax` is given; arrays only, so that it can be traced."""

    encoder: dict[str, Any]
    targets: Targets | None
    directions: Directions

    @classmethod
    def of(cls, inputs: Inputs) -> "JaxInputs":
        """On the device."""
        targets, directions = jax.tree.map(jnp.asarray, (inputs.targets, inputs.directions))
        return cls(inputs.for_jax(), targets, directions)


def run_jax(side: JaxSide, inputs: JaxInputs) -> SideTaps:
    """Our encoder, heads, pooling and losses."""
    encoder, targets, directions = inputs
    output_BTD, taps = side.lm.encoder(**encoder)
    logits_BTV, head_taps = None, None
    if targets is not None:
        logits_BTV, head_taps = side.lm.head(output_BTD, side.lm.encoder.embedding.word[...])
    pooled_BD, pooler_taps = (None, None) if side.pooler is None else side.pooler(output_BTD)
    mean_BD = jax_encoder.mean_pool(output_BTD, jax_masks.seen(encoder["mask_BTS"]))
    parts = zip(directions, Directions(output_BTD, logits_BTV, pooled_BD, mean_BD), strict=True)
    projection = sum((weights * part).sum() for weights, part in parts if weights is not None)
    mlm = None
    if targets is not None and logits_BTV is not None:
        picked_BKV = jnp.take_along_axis(logits_BTV, targets.targets[:, :, None], axis=1)
        sums = objective.cross_entropy_sums(picked_BKV, targets.labels, targets.weights)
        mlm = sums.loss / sums.targets
    return SideTaps(
        *taps,
        output_BTD,
        head_taps,
        pooler_taps,
        mean_BD,
        jnp.asarray(projection),
        mlm,
    )


@functools.partial(quickly, static_argnums=0)
def run_jax_compiled(graphdef: Any, state: Any, inputs: JaxInputs) -> SideTaps:
    """`run_jax` as one program, in the form that the config asks for."""
    return run_jax(nnx.merge(graphdef, state), inputs)


def _as_trained(model: Any, params: Any, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, Any]:
    """The mean loss and its gradients as training computes them: rows by segments, targets only, every tap dropped."""
    (_, sums), grads = jax.value_and_grad(objective.loss_sums, argnums=1, has_aux=True)(model, params, batch, key)
    return sums.loss / sums.targets, jax.tree.map(lambda grad: grad / sums.targets, grads)


# By whether the parameters are those of a training run: then the program is compiled as there, too.
RUN_AS_TRAINED: dict[bool, Callable[..., Any]] = {
    True: jax.jit(_as_trained, static_argnums=0),
    False: quickly(_as_trained, static_argnums=0),
}


def run_torch(side: TorchSide, inputs: Inputs) -> SideTaps:
    """The reference's encoder, heads, pooling and losses."""
    lm, encoder, targets = side.lm, inputs.for_torch(), inputs.targets
    output_BTD, taps = lm.encoder(**encoder)
    logits_BTV, head_taps = None, None
    if targets is not None:
        logits_BTV, head_taps = lm.head(output_BTD, lm.encoder.embedding.word.weight)
    pooled_BD, pooler_taps = (None, None) if side.pooler is None else side.pooler(output_BTD)
    mean_BD = torch_ref.mean_pool(output_BTD, torch_masks.seen(encoder["mask_BTS"]))
    projection = output_BTD.new_zeros(())
    for weights, part in zip(inputs.directions, (output_BTD, logits_BTV, pooled_BD, mean_BD), strict=True):
        if weights is not None and part is not None:
            projection = projection + (tensor(weights) * part).sum()
    mlm = None
    if targets is not None and logits_BTV is not None:
        targets_BK, labels_BK, weights_BK = map(tensor, targets)
        picked_BKV = logits_BTV.take_along_dim(targets_BK.long()[:, :, None], dim=1)
        total, count = torch_ref.masked_lm_loss(picked_BKV, labels_BK, weights_BK)
        mlm = total / count
    parts = (taps.embedding, taps.embedding_projection, taps.relative_bias, taps.layers, taps.final_norm)
    return SideTaps(*parts, output_BTD, head_taps, pooler_taps, mean_BD, projection, mlm)


def run_torch_as_trained(side: TorchSide, inputs: Inputs) -> torch.Tensor:
    """The mean loss of a batch as training has it: without token types, with logits at the targets only."""
    targets_BK, labels_BK, weights_BK = map(tensor, inputs.batch()[3:])
    encoder = inputs.for_torch() | {"token_types_BT": None}
    logits_BKV, _ = side.lm(**encoder, targets_BK=targets_BK)
    total, count = torch_ref.masked_lm_loss(logits_BKV, labels_BK, weights_BK)
    return total / count
