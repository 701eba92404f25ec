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
from jax.typing import DTypeLike

import jax_encoder
import torch_ref
from jax_encoder import masks as jax_masks
from jax_encoder.data.masking import Batch
from jax_encoder.model import Parts
from jax_encoder.params import with_params
from jax_encoder.precision import at_least_float32
from jax_encoder.training import objective
from parity.encoder.bugs.model import ModelBug, Patch
from parity.encoder.form import Form
from parity.encoder.inputs import Directions, Inputs, Targets, tensor
from parity.graph.programs import quickly
from torch_ref import masks as torch_masks

LOSSES = ("projection", "mlm")


class Values(NamedTuple):
    """Every value of one side, in the order computed; None where a case or form has no such value.

    The two losses that are pulled back come last; where they are not computed, they are None as well.
    """

    embedding: Any
    embedding_projection: Any | None
    relative_bias: Any | None
    relative_embedding: Any | None
    layers: tuple[Any, ...]
    final_norm: Any | None
    output: Any
    head: Any | None
    pooler: Any | None
    classifier: Any | None
    mean_pool: Any
    projection: Any | None = None
    mlm: Any | None = None


def jax_side(form: Form, dtype: DTypeLike = jnp.float64) -> jax_encoder.Model:
    """Ours, abstract: shapes and no numbers."""
    parts = Parts(head=True, pooler=form.pooler, classifier=form.classifier)
    places = {"dtype": jnp.dtype(dtype), "param_dtype": at_least_float32(dtype)}
    return nnx.eval_shape(lambda: jax_encoder.Model(form.config, parts, rngs=nnx.Rngs(0), **places))


class TorchSide(torch_ref.Model):
    """The reference of a form."""

    def __init__(self, form: Form):
        super().__init__(form.config, head=True, pooler=form.pooler, classifier=form.classifier)
        self.form = form

    def forward(self, inputs: Inputs, run: Callable[["TorchSide", Inputs], Any]) -> Any:  # type: ignore[override]
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


def values_of_jax(model: jax_encoder.Model, encoder: dict[str, Any]) -> tuple[Directions, Values]:
    """Runs ours: what it puts out, and every value."""
    outputs, taps = model(**encoder)
    mean_BD = jax_encoder.mean_pool(outputs.hidden, jax_masks.seen(encoder["mask_BTS"]))
    values = Values(*taps.encoder, outputs.hidden, taps.head, taps.pooler, taps.classifier, mean_BD)
    return Directions(*outputs, mean_BD), values


def values_of_torch(side: TorchSide, encoder: dict[str, Any]) -> tuple[Directions, Values]:
    """Runs the reference: what it puts out, and every value."""
    outputs, taps = torch_ref.Model.forward(side, **encoder)
    mean_BD = torch_ref.mean_pool(outputs.hidden, torch_masks.seen(encoder["mask_BTS"]))
    values = Values(*taps.encoder, outputs.hidden, taps.head, taps.pooler, taps.classifier, mean_BD)
    return Directions(*outputs, mean_BD), values


def run_jax(model: jax_encoder.Model, inputs: JaxInputs) -> Values:
    """Ours, and both losses."""
    encoder, targets, directions = inputs
    puts_out, values = values_of_jax(model, encoder)
    pairs = zip(directions, puts_out, strict=True)
    projection = sum((weights * part).sum() for weights, part in pairs if weights is not None)
    if targets is None:
        return values._replace(head=None, projection=jnp.asarray(projection))
    assert puts_out.logits is not None, "both sides have the head"
    picked_BKV = jnp.take_along_axis(puts_out.logits, targets.targets[:, :, None], axis=1)
    sums = objective.cross_entropy_sums(picked_BKV, targets.labels, targets.weights)
    return values._replace(projection=jnp.asarray(projection), mlm=sums.loss / sums.targets)


@functools.partial(quickly, static_argnums=0)
def run_jax_compiled(graphdef: Any, params: Any, inputs: JaxInputs) -> Values:
    """`run_jax` as one program, in the form that the config asks for."""
    return run_jax(with_params(graphdef, params), inputs)


def _as_trained(model: Any, params: Any, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, Any]:
    """The mean loss and its gradients as training computes them: rows by segments, targets only, every tap dropped."""
    (_, sums), grads = jax.value_and_grad(objective.loss_sums, argnums=1, has_aux=True)(model, params, batch, key)
    return sums.loss / sums.targets, jax.tree.map(lambda grad: grad / sums.targets, grads)


# By whether the parameters are those of a training run: then the program is compiled as there, too.
RUN_AS_TRAINED: dict[bool, Callable[..., Any]] = {
    True: jax.jit(_as_trained, static_argnums=0),
    False: quickly(_as_trained, static_argnums=0),
}


def run_torch(side: TorchSide, inputs: Inputs) -> Values:
    """The reference, and both losses."""
    puts_out, values = values_of_torch(side, inputs.for_torch())
    projection = puts_out.output.new_zeros(())
    for weights, part in zip(inputs.directions, puts_out, strict=True):
        if weights is not None:
            projection = projection + (tensor(weights) * part).sum()
    if inputs.targets is None:
        return values._replace(head=None, projection=projection)
    targets_BK, labels_BK, weights_BK = map(tensor, inputs.targets)
    assert puts_out.logits is not None, "both sides have the head"
    picked_BKV = puts_out.logits.take_along_dim(targets_BK.long()[:, :, None], dim=1)
    total, count = torch_ref.masked_lm_loss(picked_BKV, labels_BK, weights_BK)
    return values._replace(projection=projection, mlm=total / count)


def run_torch_as_trained(side: TorchSide, inputs: Inputs) -> torch.Tensor:
    """The mean loss of a batch as training has it: without token types, with logits at the targets only."""
    targets_BK, labels_BK, weights_BK = map(tensor, inputs.batch()[3:])
    encoder = inputs.for_torch() | {"token_types_BT": None, "targets_BK": targets_BK}
    logits_BKV = torch_ref.Model.forward(side, **encoder)[0].logits
    assert logits_BKV is not None, "both sides have the head"
    total, count = torch_ref.masked_lm_loss(logits_BKV, labels_BK, weights_BK)
    return total / count
