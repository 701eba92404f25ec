"""What is computed again is the same, and is not kept meanwhile."""

import dataclasses
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jax_encoder.config import EncoderConfig
from jax_encoder.model import MaskedLM
from jax_encoder.remat import WAYS, rematerialised
from jax_encoder.training.config import Remat
from jax_encoder.training.objective import loss_sums
from tests.jax_encoder.training.helpers import CONFIG, on_device, random_batch


def compiled_gradient(config: EncoderConfig, how: str) -> tuple[int, dict]:
    """Bytes on the way, and the gradient of a loss with dropout, in float64."""
    model, state = nnx.split(MaskedLM(config, rngs=nnx.Rngs(0), dtype=jnp.float64, param_dtype=jnp.float64))
    batch, key = on_device(random_batch([3, 2])), jax.random.key(0)

    @jax.jit
    def gradient(params):
        with rematerialised(how):
            return jax.grad(lambda params: loss_sums(model, params, batch, key)[0])(params)

    params = nnx.to_pure_dict(state)
    compiled = gradient.lower(params).compile()
    return compiled.memory_analysis().temp_size_in_bytes, compiled(params)


@pytest.mark.slow
def test_gradients_are_the_same_and_memory_falls():
    looped = dataclasses.replace(CONFIG, num_layers=4, windows=(None,) * 4, layer_groups=tuple(range(4)))
    with jax.enable_x64(True):
        found = {how: compiled_gradient(looped, how) for how in WAYS}
        # Spelled out, XLA would find everything to be there already.
        found["spelled out"] = compiled_gradient(dataclasses.replace(looped, scan_layers=False), "all")
    for how in ("dots", "all", "spelled out"):
        for ours, expected in zip(*(jax.tree.leaves(found[one][1]) for one in (how, "none")), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-14)
    none, dots, everything, spelled_out = (memory for memory, _ in found.values())
    assert everything < 0.9 * dots < 0.8 * none
    assert spelled_out < 1.1 * everything


def test_every_way_has_its_option():
    assert get_args(Remat) == WAYS


def test_another_word_is_refused():
    with pytest.raises(ValueError, match=r"remat must be one of none, dots, all, got 'some'"), rematerialised("some"):
        pass
