"""A traced function is cut where its values are named, and every stretch runs alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parity.graph import jax_graph


class Values(NamedTuple):
    key: jax.Array
    turned: jax.Array
    bent: jax.Array
    output: jax.Array
    loss: jax.Array


def function(params, inputs):
    """`key` is merely laid out another way than what the program goes on with; `output` is `bent`."""
    key_DB = params["kernel"] @ inputs["x"].T
    turned_BD = jax.nn.gelu(key_DB.T * inputs["angle"]) + jnp.broadcast_to(params["bias"], (4, 3))
    bent_BD = jnp.tanh(turned_BD + inputs["x"][:, :3])
    return Values(key_DB.T, turned_BD, bent_BD, bent_BD, (bent_BD * inputs["direction"]).sum())


@pytest.fixture
def params():
    rng = np.random.default_rng(0)
    return {"bias": jnp.asarray(rng.standard_normal(3)), "kernel": jnp.asarray(rng.standard_normal((3, 5)))}


@pytest.fixture
def inputs():
    rng = np.random.default_rng(1)
    return {
        "x": jnp.asarray(rng.standard_normal((4, 5))),
        "angle": jnp.asarray(rng.standard_normal((4, 3))),
        "direction": jnp.asarray(rng.standard_normal((4, 3))),
    }


@pytest.fixture(params=[True, False], ids=["compiled", "equation by equation"])
def graph(params, inputs, request):
    graph = jax_graph.trace(function, params, inputs)
    return graph.compiled() if request.param else graph


def test_who_reads_whom(graph):
    assert graph.names == Values._fields
    assert graph.reads == {
        "key": (),
        "turned": ("key",),
        "bent": ("turned",),
        "output": ("bent",),
        "loss": ("bent",),
    }
    assert graph.readers == {"kernel": ("key",), "bias": ("turned",)}
    assert graph.aliases == {"output": "bent"}
    assert graph.constants == frozenset()


def test_a_value_without_parameters_is_a_constant():
    graph = jax_graph.trace(lambda p, x: Values(x + 1, x * p["w"], x, x, x.sum()), {"w": jnp.ones(2)}, jnp.ones(2))
    assert graph.constants == {"key", "bent", "output", "loss"}


def test_fed_nothing_it_is_the_function(graph, params, inputs):
    values = graph.replay(params, inputs, {})
    assert tuple(values) == Values._fields
    for name, value in function(params, inputs)._asdict().items():
        np.testing.assert_allclose(values[name], value, rtol=1e-14)


def test_other_inputs_of_the_same_shapes_need_no_other_graph(graph, params, inputs):
    others = {name: 1 - value for name, value in inputs.items()}
    values = graph.replay(params, others, {})
    for name, value in function(params, others)._asdict().items():
        np.testing.assert_allclose(values[name], value, rtol=1e-13)


def test_fed_a_value_it_goes_on_with_it(graph, params, inputs):
    own = graph.replay(params, inputs, {})
    other = own["key"] + 1
    values = graph.replay(params, inputs, {"key": other})
    np.testing.assert_allclose(values["key"], own["key"], rtol=1e-14)
    expected = jax.nn.gelu(other * inputs["angle"]) + params["bias"][None]
    np.testing.assert_allclose(values["turned"], expected, rtol=1e-14)
    both = graph.replay(params, inputs, {"key": other, "turned": own["turned"], "bent": own["bent"] * 2})
    np.testing.assert_allclose(both["bent"], own["bent"], rtol=1e-14)
    np.testing.assert_array_equal(both["output"], own["bent"] * 2)


def test_backward_is_the_gradient(graph, params, inputs):
    expected = jax.grad(lambda params: function(params, inputs).loss)(params)
    [(on_values, on_params)] = graph.backward(params, inputs, ["loss"])
    for name, grad in expected.items():
        np.testing.assert_allclose(on_params[name], grad, rtol=1e-14)
    np.testing.assert_allclose(on_values["bent"], inputs["direction"], rtol=1e-14)
    np.testing.assert_array_equal(on_values["output"], on_values["bent"])
    step = 1e-6 * np.eye(12).reshape(12, 4, 3)[5]
    key = graph.replay(params, inputs, {})["key"]
    there, back = (graph.replay(params, inputs, {"key": key + sign * step})["loss"] for sign in (1, -1))
    np.testing.assert_allclose(on_values["key"].ravel()[5], (there - back) / 2e-6, rtol=1e-7)


def test_backward_of_every_stretch_alone(graph, params, inputs):
    values = graph.replay(params, inputs, {})
    [(on_values, on_params)] = graph.backward(params, inputs, ["loss"])
    cotangents = on_values | {"loss": jnp.ones(())}
    locally, gradients = graph.replay_backward(params, inputs, values)(cotangents)
    for name in ("key", "turned", "bent", "output"):
        np.testing.assert_allclose(locally[name], on_values[name], rtol=1e-13)
    for name, grad in on_params.items():
        np.testing.assert_allclose(gradients[name], grad, rtol=1e-13)
    doubled = cotangents | {"turned": 2 * cotangents["turned"]}
    locally, gradients = graph.replay_backward(params, inputs, values)(doubled)
    np.testing.assert_allclose(locally["key"], 2 * on_values["key"], rtol=1e-13)
    np.testing.assert_allclose(locally["turned"], on_values["turned"], rtol=1e-13)
    np.testing.assert_allclose(gradients["kernel"], on_params["kernel"], rtol=1e-13)
    np.testing.assert_allclose(gradients["bias"], 2 * on_params["bias"], rtol=1e-13)
