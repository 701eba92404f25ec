"""A family's class and our model, with equal parameters, on one case: values at tokens, loss and gradients."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from jax_encoder import masks
from jax_encoder.huggingface.carry import NEW, carry_in, carry_out, unstacked
from jax_encoder.huggingface.checkpoint import Checkpoint
from jax_encoder.model import Model, ModelTaps, Outputs, shapes_of
from parity.cases.case import Case
from parity.cases.randomise import randomise
from parity.encoder.backward import name_of, scales_among
from parity.encoder.inputs import array
from parity.encoder.weights import draws
from parity.encoder.wide import wide
from parity.graph import programs
from parity.judge.crash import running
from parity.judge.sites import Site, flatten, leaves
from parity.judge.subject import Part, Trace
from parity.published import oracle
from parity.published.form import Published
from parity.published.inputs import Inputs
from parity.published.oracle import Values

_LOSS = "projection"


class Pair:
    """Both sides.

    Args:
        published: what they are.
        params: ours.
        model: theirs, in float64.
    """

    def __init__(self, published: Published, params: Mapping[str, np.ndarray], model: Any):
        self.published, self.model = published, model
        self.params = {name: np.asarray(value, np.float64) for name, value in params.items()}

    @classmethod
    def draw(cls, published: Published) -> "Pair":
        """Both with the same parameters, every one random.

        Raises:
            MismatchError: the weights of one do not fit the other.
        """
        params = _draw(published)
        with wide(published.family.name):
            with running("torch"):
                model = oracle.build(published)
            tensors = carry_out(params, published.family, published.config, published.head, published.parts, NEW)
            oracle.load(model, tensors, published.family, published.head)
        return cls(published, params, model)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Pair":
        """Both as each reads the checkpoint's folder by itself.

        Raises:
            MismatchError: transformers does not find all its weights there.
        """
        published = Published.of(checkpoint)
        used = shapes_of(published.config, published.parts)
        assert checkpoint.folder is not None, "transformers reads a folder"
        with wide(published.family.name):
            model = oracle.read(published, checkpoint.folder)
        return cls(published, {name: checkpoint.params[name] for name in used}, model)

    def __call__(self, case: Case) -> Trace:
        """Runs both on one case: all values, then the gradients of a random projection of them."""
        programs.give_back()
        published = self.published
        # None stands at padding where the config names no token for it.
        pad = self.model.config.pad_token_id or 0
        inputs = Inputs.of(case, published.config, pad=pad, num_labels=max(2, published.num_classes))
        with wide(published.family.name):
            with running("torch"):
                theirs = oracle.answer(self.model, inputs, published)
            directions = [np.random.default_rng(i).standard_normal(one.shape) for i, one in enumerate(leaves(theirs))]
            total: Any = sum(
                (one * torch.from_numpy(np.asarray(direction))).sum()
                for one, direction in zip(leaves(theirs), directions, strict=True)
            )
            weights = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
            with running("torch"):
                grads = torch.autograd.grad(total, list(weights.values()), allow_unused=True, materialize_grads=True)
        with running("JAX"):
            ours, our_total, our_grads = self._ours(inputs, directions)
        values = Part(
            (*flatten(ours), Site(_LOSS, np.asarray(our_total))),
            (*flatten(_arrays(theirs)), Site(_LOSS, array(total))),
            # The sum of what has either sign may come to nothing.
            scales={_LOSS: float(sum(one.detach().square().sum() for one in leaves(theirs)) ** 0.5)},
        )
        filed = oracle.in_files(self.model, dict(zip(weights, grads, strict=True)), published.family)
        expected = self._named({name: array(grad) for name, grad in filed.items()})
        actual = unstacked(our_grads, published.config)
        return Trace((values, _derivatives(actual, expected)))

    def _ours(self, inputs: Inputs, directions: list[np.ndarray]) -> tuple[Values, Any, dict[str, np.ndarray]]:
        """Our values, their projection, and its gradients."""
        case, published = inputs.case, self.published
        types = case.token_types_BT if published.config.num_token_types else None
        given: dict[str, Any] = {
            "tokens_BT": case.tokens_BT,
            "mask_BTS": masks.from_segments(jnp.asarray(case.segments_BT)),
            "positions_BT": case.positions_BT,
            "token_types_BT": types,
        }
        on_device: dict[str, Any] = {
            name: None if value is None else jnp.asarray(value) for name, value in given.items()
        }

        def project(params: dict[str, Any]) -> tuple[Any, Values]:
            model = Model.of(published.config, published.parts, params, dtype=jnp.float64, param_dtype=jnp.float64)
            values = _values(*model(**on_device), inputs, published)
            pairs = zip(leaves(values), directions, strict=True)
            return sum((one * jnp.asarray(direction)).sum() for one, direction in pairs), values

        params = {name: jnp.asarray(value) for name, value in self.params.items()}
        run = programs.quickly(jax.value_and_grad(project, has_aux=True))
        (total, values), grads = run(params)
        return values, total, {name: np.asarray(grad) for name, grad in grads.items()}

    def _named(self, grads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """transformers' gradients by our names: what is done to a weight's layout is done to its gradient's."""
        one = self.published
        # What stands twice in a model that ties nothing is one parameter of ours: its gradients add up.
        for name, original in one.family.duplicates.items():
            if name in grads:
                grads[original] = grads[original] + grads.pop(name)
        carried = carry_in(grads, one.family, one.config, one.head, one.parts, one.architecture)
        return unstacked(carried.params, one.config)


def _draw(published: Published) -> dict[str, np.ndarray]:
    """Every parameter of ours, at random."""
    return randomise(shapes_of(published.config, published.parts), draws(published.config), seed=0)


def _values(outputs: Outputs, taps: ModelTaps, inputs: Inputs, published: Published) -> Values:
    """What ours computes, as the reference has it."""
    valid = (inputs.alone.rows, inputs.alone.columns)
    encoder, post = taps.encoder, published.config.norm_order == "post"
    entry = encoder.embedding.total if encoder.embedding.norm is None else encoder.embedding.norm
    entry = entry if encoder.embedding_projection is None else encoder.embedding_projection
    after = [layer.mlp_norm if post else layer.mlp_residual for layer in encoder.layers]
    hidden = [entry, *after[:-1], outputs.hidden]
    weights = [jnp.asarray(layer.attention.weights).swapaxes(1, 2) for layer in encoder.layers]
    classes = outputs.classes
    if classes is not None and published.by_token:
        classes = classes[valid]
    elif classes is not None:
        classes = _where(classes, inputs.pooled(published.parts.classifier)[1])
    logits = None if outputs.logits is None else outputs.logits[valid]
    return Values(
        hidden=tuple(each[valid] for each in hidden),
        weights=() if inputs.packed else tuple(each[valid] for each in weights),
        logits=logits,
        pooled=None if outputs.pooled is None else _where(outputs.pooled, inputs.pooled(None)[1]),
        classes=classes,
        loss=_loss(outputs, classes, logits, inputs, published),
    )


def _where(vectors: Any, rows: np.ndarray) -> Any | None:
    return vectors[rows] if len(rows) else None


def _loss(outputs: Outputs, classes: Any, logits: Any, inputs: Inputs, published: Published) -> Any | None:
    """The class's loss, in the cases in which the reference is asked for it."""
    asked = oracle.labels(inputs, published)
    if not asked:
        return None
    if "start_positions" in asked:
        assert outputs.classes is not None, "question answering has classes"
        scores = jnp.moveaxis(outputs.classes, 2, 1)  # start and end, over the columns
        return optax.softmax_cross_entropy_with_integer_labels(scores, jnp.asarray(inputs.spans_B2)).mean()
    if published.task == "ForSequenceClassification":
        return optax.softmax_cross_entropy_with_integer_labels(classes, jnp.asarray(inputs.classes_B)).mean()
    labels = inputs.labels_BT[inputs.alone.rows, inputs.alone.columns]
    scores = classes if logits is None else logits
    losses = optax.softmax_cross_entropy_with_integer_labels(scores, jnp.asarray(labels.clip(0)))
    return losses[np.flatnonzero(labels >= 0)].mean()


def _arrays(values: Values) -> Any:
    return jax.tree.map(array, values, is_leaf=lambda leaf: isinstance(leaf, torch.Tensor))


def _derivatives(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> Part:
    return Part(
        tuple(Site(name_of(_LOSS, name), np.asarray(actual[name])) for name in sorted(actual)),
        tuple(Site(name_of(_LOSS, name), expected[name]) for name in sorted(expected)),
        scales={name_of(_LOSS, name): scale for name, scale in scales_among(expected).items()},
    )
