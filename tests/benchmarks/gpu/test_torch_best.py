"""The other side does the same work: from the same weights, the same loss."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from benchmarks.gpu.torch_best import SparseMaskedLM, Trainer, tensors_of
from benchmarks.gpu.work import batches_of, encoder_of, rows_of, shape_of
from jax_encoder.huggingface import family_for
from jax_encoder.huggingface.carry import Form, carry_out
from jax_encoder.model import MASKED_LM, MaskedLM
from jax_encoder.params import named, params_of
from jax_encoder.training.objective import loss_sums


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert_base", "bert_base_packed", "modernbert_base"])
def test_both_sides_have_the_same_loss(name):
    shape = shape_of(name, tiny=True)
    encoder = encoder_of(shape, tiny=True)
    batch = batches_of(rows_of(shape, encoder), 3)[0]
    model = MaskedLM(encoder, rngs=nnx.Rngs(0), dtype=jnp.float64, param_dtype=jnp.float64)
    params = params_of(model)
    sums = jax.jit(lambda params: loss_sums(nnx.graphdef(model), params, batch, None)[1])(params)
    family, arrays = family_for(encoder), {key: np.asarray(array) for key, array in named(params).items()}
    weights = carry_out(arrays, family, encoder, family.heads["ForMaskedLM"], MASKED_LM, Form({}, (), {}))
    other = SparseMaskedLM(encoder, packed=shape.median_document is not None).double().eval()
    tied = other.lm.load_state_dict(
        {key: torch.from_numpy(np.array(one)) for key, one in weights.items()}, strict=False
    )
    assert not tied.unexpected_keys
    assert all("decoder" in key for key in tied.missing_keys)
    with torch.no_grad():
        loss = other(*tensors_of(batch._replace(weights=batch.weights.astype(np.float64)), "cpu"))
    assert float(loss) == pytest.approx(float(sums.loss / sums.targets), rel=1e-12)


def test_a_step_trains():
    shape = dataclasses.replace(shape_of("bert_base", tiny=True), rows=2)
    encoder = encoder_of(shape, tiny=True)
    batch = tensors_of(batches_of(rows_of(shape, encoder), 2)[0], "cpu")
    trainer = Trainer(shape, encoder, compiled=False)
    losses = [float(trainer.step(batch)) for _ in range(6)]
    assert losses[0] == pytest.approx(np.log(encoder.vocab_size), rel=0.1)
    assert losses[-1] < losses[0]
