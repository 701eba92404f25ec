"""Properties that hold for every encoder, whatever its parameters. Values are the business of the parity tests."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jax_encoder import masks
from jax_encoder.attention import Attention
from jax_encoder.config import EncoderConfig
from jax_encoder.encoder import Encoder
from jax_encoder.heads import Pooler, mean_pool
from jax_encoder.model import MaskedLM

B, T, K = 5, 11, 6
BERT = EncoderConfig.tiny()
MODERN = dataclasses.replace(
    BERT,
    norm_order="pre",
    norm_kind="rms",
    norm_bias=False,
    first_attention_norm=False,
    final_norm=True,
    mlp_kind="gated",
    num_layers=4,
    layer_groups=(0, 1, 2, 3),
    num_token_types=0,
    position_kind="rotary",
    rope_thetas=(100.0, 10.0, 100.0, 10.0),
    windows=(None, 2, None, 3),
)
CONFIGS = pytest.mark.parametrize("config", [BERT, MODERN], ids=["bert", "modern"])
ONE_IS_SLOW = pytest.mark.parametrize(
    "config", [BERT, pytest.param(MODERN, marks=pytest.mark.slow)], ids=["bert", "modern"]
)


def build(config, model=MaskedLM, dtype=jnp.float64, param_dtype=jnp.float64):
    """A model with every parameter random: zero biases and unit scales would hide what they touch."""
    module = model(config, rngs=nnx.Rngs(0), dtype=dtype, param_dtype=param_dtype)
    rng = np.random.default_rng(0)
    nnx.update(module, jax.tree.map(lambda p: jnp.asarray(rng.normal(0.1, 0.3, p.shape), p.dtype), nnx.state(module)))
    return module


def tokens_and_mask(seed=1, lengths=(11, 7, 4, 1, 0)):
    tokens_BT = jnp.asarray(np.random.default_rng(seed).integers(0, BERT.vocab_size, (B, T)), jnp.int32)
    return tokens_BT, masks.from_lengths(jnp.asarray(lengths, jnp.int32), T)


@pytest.mark.slow
@ONE_IS_SLOW
@pytest.mark.parametrize("dropout_key", [None, jax.random.key(3)], ids=["plain", "dropout"])
def test_scanned_and_unrolled_are_the_same_from_the_same_parameters(config, dropout_key):
    tokens_BT, mask_BTS = tokens_and_mask()
    scanned, unrolled = (build(dataclasses.replace(config, scan_layers=scan)) for scan in (True, False))
    one, other = (
        nnx.jit(lambda m, t, k: m(t, k, dropout_key=dropout_key))(m, tokens_BT, mask_BTS) for m in (scanned, unrolled)
    )
    assert jax.tree.structure(nnx.state(scanned)) == jax.tree.structure(nnx.state(unrolled))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), one, other)


@pytest.mark.slow
@ONE_IS_SLOW
def test_jitted_and_eager_are_the_same(config):
    tokens_BT, mask_BTS = tokens_and_mask()
    model = build(dataclasses.replace(config, scan_layers=False))
    eager, _ = model(tokens_BT, mask_BTS)
    jitted, _ = nnx.jit(lambda m, t, k: m(t, k))(model, tokens_BT, mask_BTS)
    np.testing.assert_allclose(jitted, eager, rtol=1e-12, atol=1e-12)


@ONE_IS_SLOW
def test_padding_content_never_leaks(config):
    """Not into outputs, not into gradients, not even as NaN."""
    poison, harmless = 7, 8
    tokens_BT, mask_BTS = tokens_and_mask()
    tokens_BT = jnp.where(tokens_BT == poison, harmless, tokens_BT)
    model = build(config, Encoder)
    model.embedding.word[...] = model.embedding.word[...].at[poison].set(jnp.nan)
    graphdef, state = nnx.split(model)

    @jax.jit
    def run(state, padding):
        def loss(state):
            padded_BT = jnp.where(masks.seen(mask_BTS), tokens_BT, padding)
            output_BTD, _ = nnx.merge(graphdef, state)(padded_BT, mask_BTS)
            return jnp.sin(output_BTD).sum(), output_BTD

        return jax.grad(loss, has_aux=True)(state)

    for clean, poisoned in zip(*map(jax.tree.leaves, (run(state, harmless), run(state, poison))), strict=True):
        assert jnp.isfinite(poisoned).all()
        np.testing.assert_array_equal(poisoned, clean)


def test_attention_ignores_nan_at_positions_that_nobody_sees():
    attention = Attention(BERT, rngs=nnx.Rngs(0), dtype=jnp.float64, param_dtype=jnp.float64)
    graphdef, state = nnx.split(attention)
    x_BTD = jnp.asarray(np.random.default_rng(0).standard_normal((B, T, BERT.embed_dim)))
    mask_BTS = tokens_and_mask()[1]
    seen_BT = masks.seen(mask_BTS)

    @jax.jit
    def run(x_BTD):
        def loss(state, x_BTD):
            output_BTD, taps = nnx.merge(graphdef, state)(x_BTD, x_BTD, x_BTD, mask_BTS)
            return jnp.sin(output_BTD).sum(), taps

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(state, x_BTD)

    results = [
        run(masks.zero_where_not(seen_BT, x_BTD) + jnp.where(seen_BT, 0, fill)[..., None]) for fill in (5, jnp.nan)
    ]
    for one, other in zip(*map(jax.tree.leaves, results), strict=True):
        assert jnp.isfinite(other).all()
        np.testing.assert_array_equal(one, other)


def test_query_key_and_value_are_inputs_of_their_own():
    attention = build(BERT, Attention)
    rng = np.random.default_rng(0)
    query_BTD = jnp.asarray(rng.standard_normal((2, 4, BERT.embed_dim)))
    key_BSD, value_BSD = (jnp.asarray(rng.standard_normal((2, 9, BERT.embed_dim))) for _ in range(2))
    mask_BTS = jnp.ones((2, 4, 9), bool)
    plain, taps = attention(query_BTD, key_BSD, value_BSD, mask_BTS)
    assert plain.shape == (2, 4, BERT.embed_dim)
    assert taps.weights.shape == (2, BERT.num_heads, 4, 9)
    other_key, _ = attention(query_BTD, value_BSD, value_BSD, mask_BTS)
    other_value, _ = attention(query_BTD, key_BSD, key_BSD, mask_BTS)
    assert not np.allclose(plain, other_key)
    assert not np.allclose(plain, other_value)


@pytest.mark.slow
@CONFIGS
def test_permuting_the_batch_permutes_the_output(config):
    tokens_BT, mask_BTS = tokens_and_mask()
    order = jnp.asarray([3, 0, 4, 2, 1])
    run = nnx.jit(lambda m, t, k: m(t, k)[0])
    model = build(config)
    straight = run(model, tokens_BT, mask_BTS)
    np.testing.assert_allclose(run(model, tokens_BT[order], mask_BTS[order]), straight[order], rtol=1e-12, atol=1e-12)


@ONE_IS_SLOW
def test_packed_documents_equal_separate_ones(config):
    lengths = (4, 1, 5)
    segments_BT = jnp.asarray([[1] * 4 + [2] + [3] * 5 + [0]], jnp.int32)
    tokens_BT = tokens_and_mask()[0][:1]
    model = build(config, Encoder)
    run = nnx.jit(lambda m, t, k, p: m(t, k, positions_BT=p)[0])
    packed = run(model, tokens_BT, masks.from_segments(segments_BT), masks.positions_from_segments(segments_BT))
    start = 0
    for length in lengths:
        alone_BT = tokens_BT[:, start : start + length]
        mask_BTS, positions_BT = jnp.ones((1, length, length), bool), jnp.arange(length, dtype=jnp.int32)[None]
        separate = run(model, alone_BT, mask_BTS, positions_BT)
        np.testing.assert_allclose(packed[:, start : start + length], separate, rtol=1e-12, atol=1e-12)
        start += length


@CONFIGS
def test_taps_are_free_when_dropped(config):
    tokens_BT, mask_BTS = tokens_and_mask()
    graphdef, state = nnx.split(build(config))

    def forward(state, tokens_BT, mask_BTS):
        return nnx.merge(graphdef, state)(tokens_BT, mask_BTS)

    def cost(function):
        return jax.jit(function).lower(state, tokens_BT, mask_BTS).compile().cost_analysis()["bytes accessed"]

    assert cost(lambda *inputs: forward(*inputs)[0]) < 0.8 * cost(forward)


def test_an_id_beyond_its_table_gives_nan_and_not_another_row():
    tokens_BT, mask_BTS = tokens_and_mask(lengths=(11,) * B)
    model = build(BERT, Encoder)
    for wrong in (BERT.vocab_size, -1):
        output_BTD, _ = model(tokens_BT.at[1, 2].set(wrong), mask_BTS)
        assert jnp.isnan(output_BTD[1]).all()
        assert jnp.isfinite(output_BTD[0]).all()
    positions_BT = jnp.full((B, T), BERT.max_len, jnp.int32)
    assert jnp.isnan(model(tokens_BT, mask_BTS, positions_BT=positions_BT)[0]).all()


def test_refuses_what_the_config_does_not_have():
    tokens_BT, mask_BTS = tokens_and_mask()
    short = build(dataclasses.replace(BERT, max_len=T - 1), Encoder)
    with pytest.raises(ValueError, match="11 positions are more than this encoder's max_len 10"):
        short(tokens_BT, mask_BTS)
    short(tokens_BT, mask_BTS, positions_BT=jnp.zeros_like(tokens_BT))
    untyped = build(dataclasses.replace(BERT, num_token_types=0), Encoder)
    with pytest.raises(ValueError, match="token_types were given, but num_token_types is 0"):
        untyped(tokens_BT, mask_BTS, token_types_BT=tokens_BT)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
@ONE_IS_SLOW
def test_computes_in_the_dtype_asked_for_and_never_below_float32_where_it_matters(config, dtype):
    tokens_BT, mask_BTS = tokens_and_mask()
    model = build(config, dtype=dtype, param_dtype=jnp.float32)
    logits_BTV, taps = nnx.jit(lambda m, t, k: m(t, k))(model, tokens_BT, mask_BTS)
    wide = jnp.float64 if dtype == jnp.float64 else jnp.float32
    assert logits_BTV.dtype == wide
    assert taps.encoder.layers[1].attention.scores.dtype == wide
    assert taps.encoder.layers[1].attention.output.dtype == dtype
    assert taps.encoder.layers[1].mlp_residual.dtype == dtype
    if dtype != jnp.float64:
        assert not [leaf for leaf in jax.tree.leaves(taps) if leaf.dtype == jnp.float64]


def test_initial_kernels_are_cut_at_two_of_their_standard_deviations():
    model = MaskedLM(dataclasses.replace(BERT, init_std=0.05), rngs=nnx.Rngs(0))
    for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        values, name = np.asarray(leaf[...]), path[-1]
        if name == "bias":
            assert not values.any()
        elif name == "scale":
            assert (values == 1).all()
        else:
            assert 0.08 < np.abs(values).max() <= 0.1, path
            assert 0.04 < values.std() < 0.05, path
            assert len(np.unique(values)) > 0.9 * values.size, path


def test_layers_start_from_different_parameters():
    kernel = Encoder(BERT, rngs=nnx.Rngs(0)).layers.attention.query.kernel[...]
    assert not np.array_equal(kernel[0], kernel[1])


def test_pooler_reads_the_first_token_only():
    pooler = build(BERT, Pooler)
    x_BTD = jnp.asarray(np.random.default_rng(0).standard_normal((B, T, BERT.embed_dim)))
    one, _ = pooler(x_BTD)
    other, _ = pooler(x_BTD.at[:, 1:].set(jnp.nan))
    np.testing.assert_array_equal(one, other)
    assert (np.abs(one) < 1).all()


def test_mean_pooling_respects_the_mask():
    x_BTD = jnp.asarray([[[1.0], [3.0], [jnp.nan]], [[5.0], [jnp.nan], [7.0]], [[jnp.nan]] * 3])
    valid_BT = jnp.asarray([[True, True, False], [True, False, True], [False] * 3])
    np.testing.assert_array_equal(mean_pool(x_BTD, valid_BT), [[2.0], [6.0], [0.0]])


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_training_forward_lowers_for_accelerators(platform):
    graphdef, state = nnx.split(build(MODERN, dtype=jnp.bfloat16, param_dtype=jnp.float32))
    tokens_BT, mask_BTS = tokens_and_mask()

    def loss(state, tokens_BT, mask_BTS, key):
        logits_BTV, _ = nnx.merge(graphdef, state)(tokens_BT, mask_BTS, dropout_key=key)
        return logits_BTV.sum()

    exported = jax.export.export(jax.jit(jax.grad(loss)), platforms=[platform])(
        state, tokens_BT, mask_BTS, jax.random.key(0)
    )
    assert exported.platforms == (platform,)


def test_kernels_are_cast_before_the_loop_over_layers_and_norms_are_not():
    config = EncoderConfig.tiny()
    model = Encoder(config, rngs=nnx.Rngs(0), dtype=jnp.bfloat16, param_dtype=jnp.float32)
    tokens = jnp.zeros((1, 4), jnp.int32)
    jaxpr = jax.make_jaxpr(lambda: model(tokens, masks.from_valid(tokens == 0))[0])()
    (loop,) = (one for one in jaxpr.eqns if one.primitive.name == "scan")
    kinds = {(one.aval.ndim, one.aval.dtype.name) for one in loop.invars}
    assert (3, "bfloat16") in kinds  # of the MLP, stacked
    assert (3, "float32") not in kinds
    assert (2, "float32") in kinds  # of the norms
