import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jax_encoder.config import EncoderConfig
from jax_encoder.model import MaskedLM
from jax_encoder.training.config import ModelOptions, OptimizerOptions, PretrainConfig
from jax_encoder.training.objective import loss_sums
from jax_encoder.training.optimizer import learning_rates
from jax_encoder.training.step import accumulated_gradients, build, split_batch
from tests.jax_encoder.training.helpers import CONFIG, assert_trees_close, on_device, random_batch

gradients = jax.jit(accumulated_gradients, static_argnums=0)

STILL = dataclasses.replace(CONFIG, embedding_dropout=0.0, attention_dropout=0.0, residual_dropout=0.0)
# Unequal on purpose: the two halves of a batch have 9 and 2 targets.
TARGETS = [5, 4, 1, 1]


def config(**changes) -> PretrainConfig:
    return PretrainConfig(steps=60, batch_size=4, optimizer=OptimizerOptions(warmup_steps=3), **changes)


def pure_params(encoder: EncoderConfig) -> tuple[nnx.GraphDef, dict]:
    model, state = nnx.split(MaskedLM(encoder, rngs=nnx.Rngs(0), dtype=jnp.float64, param_dtype=jnp.float64))
    return model, nnx.to_pure_dict(state)


@pytest.fixture(scope="module")
def still() -> tuple[nnx.GraphDef, dict]:
    """A model without dropout, in float64."""
    return pure_params(STILL)


@pytest.mark.slow
def test_micro_batches_give_the_gradient_of_the_mean_over_all_targets(still):
    model, params = still
    batch = on_device(random_batch(TARGETS))

    @jax.jit
    @jax.value_and_grad
    def mean_loss(params, batch):
        return loss_sums(model, params, batch, None)[0] / batch.weights.sum().astype(jnp.float64)

    loss, expected = mean_loss(params, batch)
    sums, grads = gradients(model, params, split_batch(batch, 2), jax.random.key(0))
    assert float(sums.targets) == sum(TARGETS)
    assert float(sums.loss) == pytest.approx(sum(TARGETS) * float(loss), rel=1e-12)
    assert_trees_close(grads, expected, rtol=1e-9, atol=1e-13)
    halves = [batch._replace(weights=batch.weights.at[rows].set(0)) for rows in (slice(0, 2), slice(2, 4))]
    mean_of_means = jax.tree.map(lambda a, b: (a + b) / 2, *(mean_loss(params, half)[1] for half in halves))
    assert np.abs(mean_of_means["head"]["bias"] - expected["head"]["bias"]).max() > 1e-3


@pytest.mark.slow
def test_every_micro_batch_has_its_own_dropout():
    model, params = pure_params(CONFIG)
    row, key = on_device(random_batch([5])), jax.random.key(0)
    twice = jax.tree.map(lambda field: jnp.concatenate([field, field]), row)
    alone = jax.jit(lambda index: loss_sums(model, params, row, jax.random.fold_in(key, index))[0])
    first, second = float(alone(0)), float(alone(1))
    assert abs(first - second) > 1e-3
    together = gradients(model, params, split_batch(twice, 2), key)[0].loss
    assert float(together) == pytest.approx(first + second, rel=1e-12)


@pytest.fixture(scope="module")
def program():
    return build(config(), CONFIG)


def copied(state):
    return jax.tree.map(lambda leaf: np.array(leaf), state)


def test_a_step_moves_everything_that_it_should(program):
    state = program.init()
    before = copied(state)
    after, measured = program.step(state, random_batch(TARGETS))
    (adam, _, by_schedule) = after.opt_state[1]
    assert (int(after.step), int(adam.count), int(by_schedule.count)) == (1, 1, 1)
    for (path, old), new in zip(
        jax.tree_util.tree_leaves_with_path(before.params), jax.tree.leaves(after.params), strict=True
    ):
        # A bias of all keys alike changes no softmax: its gradient is rounding.
        assert np.abs(new - old).max() > 0, path
    assert int(measured.tokens) == 4 * 9
    assert 0 <= float(measured.accuracy) <= 1
    assert float(measured.loss) == pytest.approx(np.log(CONFIG.vocab_size), rel=0.1)


def test_the_state_given_is_donated(program):
    state = program.init()
    program.step(state, random_batch(TARGETS))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))


def test_a_step_is_a_pure_function_of_state_and_batch(program):
    batch = random_batch(TARGETS)
    one, other = (program.step(program.init(), batch) for _ in range(2))
    assert_trees_close(one, other, rtol=0)


def test_dropout_follows_the_step(program):
    def loss(step: int) -> float:
        state = program.init()._replace(step=jnp.asarray(step, jnp.int32))
        return float(program.step(state, random_batch(TARGETS))[1].loss)

    assert loss(1) == loss(1)
    assert abs(loss(1) - loss(0)) > 1e-4


def lowered(**changes) -> str:
    program = build(config(**changes), CONFIG)
    return program.step.lower(jax.eval_shape(program.init), random_batch(TARGETS)).as_text()


@pytest.mark.slow
def test_two_builds_are_the_same_program_and_dropout_follows_the_seed():
    assert lowered() == lowered()
    assert lowered() != lowered(seed=1)


# Adam without memory moves a parameter by the learning rate wherever the gradient is far above epsilon.
SIGNS = OptimizerOptions(learning_rate=1e-2, warmup_steps=3, b1=0.0, b2=0.0, weight_decay=0.0, eps=1e-30)


@pytest.fixture(scope="module")
def learner():
    """A program without dropout whose steps are as long as the learning rate."""
    return build(dataclasses.replace(config(), optimizer=SIGNS), STILL)


@pytest.mark.slow
def test_the_reported_learning_rate_is_the_one_used(learner):
    schedule, state = learning_rates(SIGNS, 60), learner.init()
    for step in range(6):
        before = copied(state.params)
        state, measured = learner.step(state, random_batch(TARGETS))
        moved = np.abs(state.params["head"]["bias"] - before["head"]["bias"]).max()
        np.testing.assert_allclose(moved, float(measured.learning_rate), rtol=1e-3)
        np.testing.assert_allclose(float(measured.learning_rate), float(schedule(step)), rtol=1e-6)


@pytest.mark.slow
def test_a_step_reports_what_evaluation_without_dropout_finds(learner, program):
    state, batch = learner.init(), random_batch(TARGETS)
    sums = program.evaluate(state.params, batch)
    model, _ = pure_params(STILL)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), state.params)
    _, grads = gradients(model, params, split_batch(on_device(batch), 1), jax.random.key(0))
    norm = np.sqrt(sum((np.asarray(leaf) ** 2).sum() for leaf in jax.tree.leaves(grads)))
    _, measured = learner.step(state, batch)
    assert float(sums.targets) == sum(TARGETS)
    assert float(measured.loss) == pytest.approx(float(sums.loss / sums.targets), rel=1e-5)
    assert float(measured.accuracy) == pytest.approx(float(sums.correct / sums.targets), rel=1e-6)
    assert float(measured.grad_norm) == pytest.approx(norm, rel=1e-4)


def test_state_stays_float32():
    for dtype in ("float32", "bfloat16"):
        program = build(config(model=ModelOptions(dtype=dtype)), CONFIG)
        before = jax.eval_shape(program.init)
        after, measured = jax.eval_shape(program.step, before, random_batch(TARGETS))
        assert jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), before, after)
        assert {leaf.dtype.name for leaf in jax.tree.leaves(after)} == {"float32", "int32"}
        assert {leaf.dtype.name for leaf in measured} == {"float32", "int32"}


@pytest.mark.parametrize("precision", ["default", "highest"])
def test_matmul_precision_reaches_forward_and_backward(precision):
    text = lowered(model=ModelOptions(matmul_precision=precision))
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    expected = f"precision = [{precision.upper()}, {precision.upper()}]"
    assert len(products) > 20
    assert all((expected in line) or (precision == "default" and "precision" not in line) for line in products)


def test_a_batch_is_learnt_by_heart(learner):
    state, batch, losses = learner.init(), random_batch(TARGETS), []
    for _ in range(60):
        state, measured = learner.step(state, batch)
        losses.append(float(measured.loss))
    assert losses[-1] < 0.1 < 3.5 < losses[0]
    assert float(measured.accuracy) == 1
