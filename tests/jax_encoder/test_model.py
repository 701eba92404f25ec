"""One model: whatever stands on an encoder, the parts that two models share compute the same in both."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jax_encoder import ClassifierConfig, EncoderConfig, MaskedLM, Model, Parts, masks
from jax_encoder.model import MASKED_LM, shapes_of

CONFIG = EncoderConfig.tiny()
CLASSES = ClassifierConfig(num_classes=5, pooling="mean", activation="tanh", transform_bias=True, norm=False)
ALL = Parts(head=True, pooler=True, classifier=CLASSES)
BARE = Parts(head=False, pooler=False, classifier=None)
TOKENS_BT = jnp.asarray([[5, 9, 2, 7], [4, 6, 0, 0]], jnp.int32)
MASK_BTS = masks.from_lengths(jnp.asarray([4, 2], jnp.int32), 4)
TARGETS_BK = jnp.asarray([[3, 0, 0], [1, 1, 0]], jnp.int32)
DTYPES = {"dtype": jnp.float64, "param_dtype": jnp.float64}


def params_of(parts):
    """A random value for every parameter; one that two models share is the same in both."""
    return {
        name: np.random.default_rng(list(name.encode())).normal(0.1, 0.3, shape)
        for name, shape in shapes_of(CONFIG, parts).items()
    }


def model_of(parts):
    return Model.of(CONFIG, parts, params_of(parts), **DTYPES)


@pytest.mark.slow
def test_parts_compute_the_same_whatever_stands_beside_them():
    every, _ = nnx.jit(lambda model: model(TOKENS_BT, MASK_BTS))(model_of(ALL))
    assert [one.shape for one in every] == [(2, 4, CONFIG.embed_dim), (2, 4, CONFIG.vocab_size), (2, 20), (2, 5)]
    for name in ("head", "pooler", "classifier"):
        parts = BARE._replace(**{name: getattr(ALL, name)})
        outputs, taps = nnx.jit(lambda model: model(TOKENS_BT, MASK_BTS))(model_of(parts))
        there = {"hidden", {"head": "logits", "pooler": "pooled", "classifier": "classes"}[name]}
        for field, one, other in zip(outputs._fields, outputs, every, strict=True):
            assert (one is not None) == (field in there)
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=1e-12)
        assert [field for field, one in taps._asdict().items() if one is not None] == ["encoder", name]


def test_logits_at_targets_are_those_of_their_columns():
    model = model_of(ALL)
    every, _ = model(TOKENS_BT, MASK_BTS)
    some, _ = model(TOKENS_BT, MASK_BTS, targets_BK=TARGETS_BK)
    expected_BKV = np.take_along_axis(np.asarray(every.logits), np.asarray(TARGETS_BK)[:, :, None], axis=1)
    np.testing.assert_allclose(some.logits, expected_BKV, rtol=1e-12)
    for name in ("hidden", "pooled", "classes"):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name))


def test_targets_need_a_head():
    with pytest.raises(ValueError, match=r"^targets_BK were given, but this model has no masked-language-model head"):
        model_of(BARE)(TOKENS_BT, MASK_BTS, targets_BK=TARGETS_BK)


def test_the_masked_language_model_is_a_model_with_that_head_alone():
    model, lm = (
        Model(CONFIG, MASKED_LM, rngs=nnx.Rngs(3), **DTYPES),
        MaskedLM(CONFIG, rngs=nnx.Rngs(3), **DTYPES),
    )
    assert nnx.to_flat_state(nnx.state(lm)).paths == nnx.to_flat_state(nnx.state(model)).paths
    options = {"token_types_BT": TOKENS_BT % 4, "positions_BT": TOKENS_BT, "targets_BK": TARGETS_BK}
    outputs, model_taps = model(TOKENS_BT, MASK_BTS, **options)
    logits_BKV, taps = lm(TOKENS_BT, MASK_BTS, **options)
    np.testing.assert_array_equal(logits_BKV, outputs.logits)
    np.testing.assert_array_equal(taps.head.logits, model_taps.head.logits)
    assert (taps.pooler, taps.classifier) == (None, None)


def test_parameters_of_another_model_are_refused():
    params = params_of(MASKED_LM)
    params["head.extra"] = params.pop("head.bias")
    params["encoder.embedding.word"] = params["encoder.embedding.word"][1:]
    with pytest.raises(ValueError) as error:
        Model.of(CONFIG, MASKED_LM, params)
    assert str(error.value) == (
        "these parameters are of another model; they differ in encoder.embedding.word, head.bias, head.extra"
    )
    with pytest.raises(ValueError, match=r"they differ in pooler\.dense\.bias, pooler\.dense\.kernel$"):
        Model.of(CONFIG, MASKED_LM, params_of(MASKED_LM._replace(pooler=True)))
