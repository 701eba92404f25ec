import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from jax_encoder.data.masking import Batch
from jax_encoder.model import MaskedLM
from jax_encoder.training.objective import Penalties, cross_entropy_sums, loss_sums
from tests.jax_encoder.training.helpers import CONFIG, on_device, random_batch

B, K, V = 2, 3, 5
summed = jax.jit(loss_sums, static_argnums=0)


def example() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    logits_BKV = np.random.default_rng(0).standard_normal((B, K, V)) * 4
    labels_BK = np.array([[4, 0, 2], [1, 3, 0]], np.int32)
    weights_BK = np.array([[1, 1, 0], [1, 0, 0]], np.float32)
    labels_BK[0, 1] = logits_BKV[0, 1].argmax()
    labels_BK[0, 0] = logits_BKV[0, 0].argmin()
    labels_BK[1, 0] = logits_BKV[1, 0].argmin()
    return logits_BKV, labels_BK, weights_BK


def test_sums_against_the_definition():
    logits_BKV, labels_BK, weights_BK = example()
    probabilities_BKV = np.exp(logits_BKV) / np.exp(logits_BKV).sum(axis=-1, keepdims=True)
    real = [(0, 0), (0, 1), (1, 0)]
    expected = -sum(np.log(probabilities_BKV[b, k, labels_BK[b, k]]) for b, k in real)
    sums = cross_entropy_sums(*map(jnp.asarray, (logits_BKV, labels_BK, weights_BK)))
    assert float(sums.loss) == pytest.approx(expected, rel=1e-12)
    assert (float(sums.correct), float(sums.targets)) == (1, 3)


def test_filler_does_not_matter():
    logits_BKV, labels_BK, weights_BK = map(jnp.asarray, example())
    other_BKV = jnp.where(weights_BK[:, :, None] > 0, logits_BKV, 1000.0)
    other_BK = jnp.where(weights_BK > 0, labels_BK, 0)
    loss = lambda logits, labels: cross_entropy_sums(logits, labels, weights_BK).loss  # noqa: E731
    assert cross_entropy_sums(other_BKV, other_BK, weights_BK) == cross_entropy_sums(logits_BKV, labels_BK, weights_BK)
    grads_BKV = jax.grad(loss)(other_BKV, other_BK)
    np.testing.assert_allclose(grads_BKV, jax.grad(loss)(logits_BKV, labels_BK), rtol=1e-12)
    assert np.abs(grads_BKV[weights_BK > 0]).max() > 0.1
    assert np.abs(grads_BKV[weights_BK == 0]).max() == 0


@pytest.mark.parametrize(
    ("given", "computed"), [("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")]
)
def test_sums_are_at_least_float32(given, computed):
    logits_BKV, labels_BK, weights_BK = map(jnp.asarray, example())
    sums = cross_entropy_sums(logits_BKV.astype(given), labels_BK, weights_BK)
    assert {leaf.dtype.name for leaf in sums} == {computed}


def test_huge_logits_stay_finite():
    logits_BKV, labels_BK, weights_BK = map(jnp.asarray, example())
    assert np.isfinite(cross_entropy_sums(logits_BKV * 1e30, labels_BK, weights_BK).loss)


@pytest.fixture(scope="module")
def model() -> tuple[nnx.GraphDef, dict]:
    model, state = nnx.split(MaskedLM(CONFIG, rngs=nnx.Rngs(0), dtype=jnp.float64, param_dtype=jnp.float64))
    return model, nnx.to_pure_dict(state)


def one_document(batch: Batch, columns: slice) -> Batch:
    """The documents of some columns, alone in their rows, with the targets that lie in them."""
    in_it_BK = (batch.targets >= columns.start) & (batch.targets < columns.stop) & (batch.weights > 0)
    cut = [field[:, columns] for field in (batch.tokens, batch.segments, batch.positions)]
    targets = np.where(in_it_BK, batch.targets - columns.start, 0)
    return Batch(*cut, targets, batch.labels, in_it_BK.astype(np.float32))


def test_packed_documents_cost_what_they_cost_alone(model):
    batch = random_batch([5, 2, 4])
    _, packed = summed(*model, on_device(batch), None)
    parts = [summed(*model, on_device(one_document(batch, columns)), None)[1] for columns in (slice(0, 4), slice(4, 9))]
    assert float(packed.targets) == 11
    for name in packed._fields:
        assert float(getattr(packed, name)) == pytest.approx(
            sum(float(getattr(part, name)) for part in parts), rel=1e-12
        )


def test_segments_and_positions_are_used(model):
    batch = random_batch([5, 2, 4])
    value = float(summed(*model, on_device(batch), None)[0])
    one_document = batch._replace(segments=np.minimum(batch.segments, 1))
    columns = batch._replace(positions=np.broadcast_to(np.arange(11, dtype=np.int32), (3, 11)))
    for other in (one_document, columns):
        assert abs(float(summed(*model, on_device(other), None)[0]) - value) > 1e-4


def test_dropout_only_with_a_key(model):
    batch = on_device(random_batch([5, 2, 4]))
    losses = [float(summed(*model, batch, key)[0]) for key in (None, None, jax.random.key(0), jax.random.key(1))]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3


def test_penalties_are_torchs_smoothing_and_the_square_of_the_logarithm():
    rng = np.random.default_rng(3)
    logits_BKV, labels_BK = 3 * rng.standard_normal((2, 4, 7)), rng.integers(7, size=(2, 4))
    weights_BK = np.array([[1.0, 1, 1, 0], [1, 0, 0, 0]], np.float32)
    given = jnp.asarray(logits_BKV), jnp.asarray(labels_BK, jnp.int32), jnp.asarray(weights_BK)
    sums = cross_entropy_sums(*given, Penalties(label_smoothing=0.2, z_loss=0.1))
    chosen = weights_BK > 0
    logits, labels = torch.tensor(logits_BKV[chosen]), torch.tensor(labels_BK[chosen])
    smoothed = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.2, reduction="sum")
    assert float(sums.loss) == pytest.approx(float(smoothed + 0.1 * logits.logsumexp(-1).square().sum()), rel=1e-12)
    plain = cross_entropy_sums(*given)
    assert (sums.correct, sums.targets) == (plain.correct, plain.targets)
    assert float(cross_entropy_sums(*given, Penalties()).loss) == float(plain.loss)
