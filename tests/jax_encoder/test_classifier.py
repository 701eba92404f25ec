"""Classifiers: the same function in both frameworks, with its gradients; padding without effect; refusals."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import torch_ref
from jax_encoder import Classifier, ClassifierConfig, EncoderConfig
from jax_encoder.params import named, nested, params_of, with_params

CONFIG, C = EncoderConfig.tiny(), 5
D = CONFIG.embed_dim
PLAIN = ClassifierConfig(num_classes=C, pooling=None, activation=None, transform_bias=False, norm=False)
FORMS = [
    dataclasses.replace(PLAIN, pooling=pooling, activation=activation, transform_bias=bias, norm=norm)
    for pooling, (activation, bias, norm) in itertools.product(
        (None, "first", "mean", "late"),
        ((None, False, False), ("tanh", True, False), ("gelu_exact", False, True), ("relu", True, True)),
    )
]
VALID_BT = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [1, 0, 0, 0]], bool)


def name_of(form):
    return "-".join(map(str, dataclasses.astuple(form)[1:]))


def both(form):
    """The two classifiers, with the same random parameters."""
    ours = Classifier(CONFIG, form, rngs=nnx.Rngs(0), dtype=jnp.float64, param_dtype=jnp.float64)
    theirs = torch_ref.Classifier(CONFIG, form).double()
    rng, state = np.random.default_rng(0), theirs.state_dict()
    graph, initial = nnx.graphdef(ours), named(params_of(ours))
    params = {name: rng.normal(0.2, 0.4, array.shape) for name, array in initial.items()}
    renamed = {name.replace("kernel", "weight").replace("scale", "weight"): a.T for name, a in params.items()}
    assert renamed.keys() == state.keys()
    theirs.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in renamed.items()}, strict=True)
    return with_params(graph, nested({name: jnp.asarray(array) for name, array in params.items()})), theirs


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_both_frameworks_compute_the_same(form):
    ours, theirs = both(form)
    x_BTD = np.random.default_rng(1).normal(size=(*VALID_BT.shape, D))
    logits, taps = ours(jnp.asarray(x_BTD), jnp.asarray(VALID_BT))
    x = torch.from_numpy(x_BTD).requires_grad_()
    expected, expected_taps = theirs(x, torch.from_numpy(VALID_BT))
    assert logits.shape == (*VALID_BT.shape[: 2 if form.pooling is None else 1], C)
    for name, one, other in zip(taps._fields, taps, expected_taps, strict=True):
        assert (one is None) == (other is None), name
        if one is not None:
            np.testing.assert_allclose(one, other.detach().numpy(), rtol=0, atol=1e-13, err_msg=name)
    weights = np.random.default_rng(2).normal(size=logits.shape)
    (expected * torch.from_numpy(weights)).sum().backward()

    def loss(params, x_BTD):
        return (with_params(nnx.graphdef(ours), params)(x_BTD, jnp.asarray(VALID_BT))[0] * weights).sum()

    grads, grad_BTD = jax.grad(loss, argnums=(0, 1))(params_of(ours), jnp.asarray(x_BTD))
    np.testing.assert_allclose(grad_BTD, x.grad.numpy(), rtol=0, atol=1e-12)
    theirs_grads = dict(theirs.named_parameters())
    for name, grad in named(grads).items():
        name = name.replace("kernel", "weight").replace("scale", "weight")
        np.testing.assert_allclose(grad.T, theirs_grads[name].grad.numpy(), rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("pooling", ["mean", "late"])
def test_what_lies_in_padding_does_not_matter(pooling):
    ours, _ = both(dataclasses.replace(PLAIN, pooling=pooling, activation="tanh"))
    x_BTD = np.random.default_rng(1).normal(size=(*VALID_BT.shape, D))
    other_BTD = np.where(VALID_BT[:, :, None], x_BTD, np.nan)
    for one, other in zip(*(ours(jnp.asarray(x), jnp.asarray(VALID_BT))[0] for x in (x_BTD, other_BTD)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pooling": "max"}, "pooling must be None or one of first, mean, late, got 'max'"),
        (
            {"activation": "gelu"},
            "activation must be None or one of gelu_exact, gelu_tanh, relu, silu, tanh, got 'gelu'",
        ),
        ({"num_classes": 0}, "num_classes must be a whole number of at least 1, got 0"),
        ({"norm": True}, "transform_bias and norm belong to a transform: set an activation, or both to False"),
    ],
)
def test_refuses_with_name_and_value(change, message):
    with pytest.raises(ValueError) as error:
        dataclasses.replace(PLAIN, **change)
    assert str(error.value) == message
