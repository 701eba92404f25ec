import doctest

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jax_encoder import EncoderConfig, MaskedLM, masks, params
from jax_encoder.params import differing, named, nested, params_of, shapes, with_params

TREE = {"head": {"bias": np.zeros(2), "norm": {"scale": np.ones(3)}}, "word": np.ones((2, 2))}


def test_the_examples_in_the_docs():
    assert doctest.testmod(params) == (0, 2)


def test_names_are_paths_and_lead_back():
    arrays = named(TREE)
    assert shapes(arrays) == {"head.bias": (2,), "head.norm.scale": (3,), "word": (2, 2)}
    back = nested(arrays)
    assert back.keys() == TREE.keys()
    assert back["head"]["norm"]["scale"] is TREE["head"]["norm"]["scale"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, []),
        ({"word": np.ones((2, 3)), "other": np.ones(1)}, ["other", "word"]),
        ({"word": None}, ["word"]),
    ],
)
def test_what_differs_is_named(change, names):
    arrays = {name: array for name, array in (named(TREE) | change).items() if array is not None}
    assert differing(arrays, shapes(named(TREE))) == names


@pytest.mark.slow
def test_a_model_is_its_graph_and_its_parameters():
    model = MaskedLM(EncoderConfig.mini(), rngs=nnx.Rngs(0))
    tree = params_of(model)
    names = list(named(tree))
    assert {name.split(".")[0] for name in names} == {"encoder", "head"}
    assert "encoder.layers.mlp.up.kernel" in names
    assert "encoder.first.mlp.up.kernel" in names
    tokens_BT = jnp.asarray([[5, 9, 2, 7]], jnp.int32)
    mask_BTS = masks.from_lengths(jnp.asarray([4], jnp.int32), 4)
    expected, _ = model(tokens_BT, mask_BTS)
    tree["head"]["bias"] = jnp.ones_like(tree["head"]["bias"])
    changed, _ = with_params(nnx.graphdef(model), tree)(tokens_BT, mask_BTS)
    np.testing.assert_allclose(changed, expected + 1, rtol=1e-5)
