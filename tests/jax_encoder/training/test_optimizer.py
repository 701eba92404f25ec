import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import torch_ref
from jax_encoder.config import EncoderConfig
from jax_encoder.heads import Pooler
from jax_encoder.model import MaskedLM, Model, Parts, shapes_of
from jax_encoder.params import named, params_of
from jax_encoder.training.optimizer import (
    apply_gradients,
    average_of,
    clip,
    decayed,
    learning_rates,
    make_optimizer,
)
from jax_encoder.training.optimizer_config import OptimizerOptions
from parity.encoder.table import match
from parity.encoder.variants import variants
from parity.encoder.weights import rows
from torch_ref.training import is_decayed

STEPS = 50
NO_CLIPPING = 1e9


def options(**changes) -> OptimizerOptions:
    return OptimizerOptions(**{"learning_rate": 0.3, "warmup_steps": 9, **changes})


def rates(**changes) -> list[float]:
    schedule = learning_rates(options(**changes), STEPS)
    return [float(schedule(jnp.asarray(step, jnp.int32))) for step in range(STEPS + 1)]


def expected_fall(schedule: str, step: int) -> float:
    progress = (step - 9) / (STEPS - 9)
    if schedule == "cosine":
        return 0.3 * (1 + math.cos(math.pi * progress)) / 2
    if schedule == "linear":
        return 0.3 * (1 - progress)
    if schedule == "inverse_root":
        return 0.3 * math.sqrt(10 / (step + 1))
    if schedule == "wsd_sqrt":
        return 0.3 * (1 - math.sqrt(max(0.0, (step - 40) / 10)))
    return 0.3 * min(1.0, (STEPS - step) / 10)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd", "wsd_sqrt", "inverse_root"])
def test_learning_rate_of_every_step(schedule):
    warmup = [0.3 * (step + 1) / 10 for step in range(9)]
    fall = [expected_fall(schedule, step) for step in range(9, STEPS + 1)]
    np.testing.assert_allclose(rates(schedule=schedule), warmup + fall, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd", "wsd_sqrt"])
@pytest.mark.parametrize("warmup", [0, 1, 9, 40])
def test_no_step_is_wasted_on_a_learning_rate_of_0(schedule, warmup):
    of_steps = rates(schedule=schedule, warmup_steps=warmup)
    assert min(of_steps[:STEPS]) > 0
    assert max(of_steps) == pytest.approx(0.3)
    assert np.argmax(of_steps) == warmup
    assert of_steps[STEPS] == pytest.approx(0, abs=1e-8)


def test_the_learning_rate_is_used_in_the_step_that_it_belongs_to():
    # Without memory, and with gradients far above epsilon, Adam moves every parameter by the learning rate.
    chosen = options(b1=0.0, b2=0.0, weight_decay=0.0, clip_norm=NO_CLIPPING)
    optimizer, params = make_optimizer(chosen, STEPS), {"kernel": jnp.zeros(3, jnp.float32)}
    state = optimizer.init(params)
    for rate in rates()[:STEPS]:
        moved, state = apply_gradients(optimizer, {"kernel": jnp.full(3, -7.0, jnp.float32)}, state, params)
        np.testing.assert_allclose(moved["kernel"] - params["kernel"], rate, rtol=1e-5)
        params = jax.tree.map(jnp.zeros_like, moved)


def test_ten_updates_are_those_of_torch_adamw():
    rng = np.random.default_rng(0)
    start = {"kernel": rng.standard_normal((3, 2)), "scale": rng.standard_normal(4)}
    chosen = options(weight_decay=0.1, b2=0.97, eps=1e-4, clip_norm=NO_CLIPPING)
    optimizer, params = make_optimizer(chosen, STEPS), jax.tree.map(jnp.asarray, start)
    theirs = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in start.items()}
    groups = [{"params": [theirs["kernel"]], "weight_decay": 0.1}, {"params": [theirs["scale"]], "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.97), eps=1e-4)
    state = optimizer.init(params)
    for rate in rates()[:10]:
        # As small as epsilon, so that its place shows.
        grads = {name: 1e-4 * rng.standard_normal(value.shape) for name, value in start.items()}
        params, state = apply_gradients(optimizer, jax.tree.map(jnp.asarray, grads), state, params)
        for group in reference.param_groups:
            group["lr"] = rate
        for name, parameter in theirs.items():
            parameter.grad = torch.tensor(grads[name])
        reference.step()
    for name, parameter in theirs.items():
        # The bound is the rounding of the schedule's float32 rates.
        np.testing.assert_allclose(params[name], parameter.detach().numpy(), rtol=1e-6, atol=1e-6)


def test_gradients_are_scaled_to_the_norm_and_no_further():
    def first_mean(grads: dict) -> np.ndarray:
        optimizer = make_optimizer(options(clip_norm=2.0, b1=0.5), STEPS)
        params = jax.tree.map(jnp.zeros_like, grads)
        _, state = apply_gradients(optimizer, grads, optimizer.init(params), params)
        return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(state[1][0].mu)]) / 0.5

    grads = {"kernel": jnp.array([3.0, 0.0]), "bias": jnp.array([4.0])}
    np.testing.assert_allclose(first_mean(grads), np.array([4.0, 3.0, 0.0]) * 2 / 5)
    small = jax.tree.map(lambda leaf: leaf / 10, grads)
    np.testing.assert_allclose(first_mean(small), np.array([4.0, 3.0, 0.0]) / 10)


def names_of(module: nnx.Module) -> dict[str, bool]:
    return named(decayed(params_of(module)))


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0, 0.0, math.nan])
def test_clipping_is_that_of_optax(scale):
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        grads = {"kernel": jnp.asarray(scale * rng.standard_normal((3, 4))), "bias": jnp.zeros(3)}
        ours, theirs = (
            one.update(grads, one.init(grads))[0]
            for one in (clip(options(clip_norm=0.7)), optax.clip_by_global_norm(0.7))
        )
        for name in grads:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-15)


@pytest.mark.parametrize("preset", ["tiny", "mini"])
def test_decay_leaves_norms_and_biases_alone(preset):
    config = getattr(EncoderConfig, preset)()
    decays = names_of(nnx.eval_shape(lambda: MaskedLM(config, rngs=nnx.Rngs(0))))
    assert decays["encoder.embedding.word"]
    assert decays["encoder.layers.attention.query.kernel"]
    assert decays["head.transform.kernel"]
    assert not decays["encoder.layers.mlp_norm.scale"]
    assert not decays["head.bias"]
    # Stacked layers make scales and biases look like matrices: only the name tells.
    assert {name for name, decay in decays.items() if not decay} == {
        name for name in decays if name.endswith((".scale", ".bias"))
    }


@pytest.mark.parametrize("name", variants())
def test_every_form_can_be_trained_and_decays_what_the_reference_does(name):
    form = variants()[name]
    parts = Parts(head=True, pooler=form.pooler, classifier=form.classifier)
    decays = names_of(nnx.eval_shape(lambda: Model(form.config, parts, rngs=nnx.Rngs(0))))
    reference = torch_ref.Model(form.config, head=True, pooler=form.pooler, classifier=form.classifier)
    shapes = {key: tuple(parameter.shape) for key, parameter in reference.named_parameters()}
    table = match(rows(form.config), shapes_of(form.config, parts), shapes)
    for key, row in table.rows.items():
        theirs = {is_decayed(reference.get_parameter(one)) for one in row.torch_names(key)}
        assert theirs == {decays[key]}, key


def test_every_parameter_of_every_head_is_known():
    make = lambda: Pooler(EncoderConfig.tiny(), rngs=nnx.Rngs(0), dtype=jnp.float32, param_dtype=jnp.float32)  # noqa: E731
    assert names_of(nnx.eval_shape(make)) == {"dense.bias": False, "dense.kernel": True}


def test_decay_is_times_the_learning_rate_and_by_name():
    optimizer = make_optimizer(options(warmup_steps=0, weight_decay=0.1), STEPS)
    params = {"mlp": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones((2, 3))}, "word": jnp.ones(5), "scale": jnp.ones(5)}
    grads = jax.tree.map(jnp.zeros_like, params)
    moved, _ = apply_gradients(optimizer, grads, optimizer.init(params), params)
    np.testing.assert_allclose(moved["mlp"]["kernel"], 1 - 0.3 * 0.1, rtol=1e-6)
    np.testing.assert_allclose(moved["word"], 1 - 0.3 * 0.1, rtol=1e-6)
    np.testing.assert_array_equal(moved["mlp"]["bias"], 1)
    np.testing.assert_array_equal(moved["scale"], 1)


def test_an_unknown_parameter_is_refused():
    with pytest.raises(
        ValueError, match=r"whether to decay mlp\.gain is not known: its name must end in one of \['bias'"
    ):
        make_optimizer(options(), STEPS).init({"mlp": {"gain": jnp.ones(3)}})


def test_an_average_starts_as_the_first_steps_parameters_and_follows_them():
    made = make_optimizer(options(average=0.75, warmup_steps=0), STEPS)
    params, history = {"kernel": jnp.ones(3)}, []
    state = made.init(params)
    for step in range(4):
        params, state = apply_gradients(made, {"kernel": jnp.full(3, 1.0 + step)}, state, params)
        history.append(np.asarray(params["kernel"]))
    expected = history[0]
    for one in history[1:]:
        expected = 0.75 * expected + 0.25 * one
    np.testing.assert_allclose(average_of(state)["kernel"], expected, rtol=1e-6)
    assert average_of(make_optimizer(options(), STEPS).init(params)) is None
