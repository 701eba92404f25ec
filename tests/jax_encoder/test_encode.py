"""Texts become vectors: each by itself, whatever lies beside it, and as sentence-transformers would make them."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tokenizers import processors

import jax_encoder
from jax_encoder import masks
from jax_encoder.encode import TextEncoder, positions
from jax_encoder.errors import InputError
from jax_encoder.sentence.modules import Normalize, Pooling, Rows, pool
from tests.jax_encoder.helpers import CONFIG, MEAN, checkpoint, write_checkpoint, write_json, write_modules

MIXED = ["a dog ran", "", "we saw two birds over the old river today", "cat", "the red house on the mat", "dog dog"]
# What each mode makes of one text's vectors: https://github.com/UKPLab/sentence-transformers, its module Pooling.
ORACLES = {
    "cls": lambda x_TD: x_TD[0],
    "max": lambda x_TD: x_TD.max(axis=0),
    "mean": lambda x_TD: x_TD.mean(axis=0),
    "mean_sqrt_len_tokens": lambda x_TD: x_TD.sum(axis=0) / np.sqrt(len(x_TD)),
    "weightedmean": lambda x_TD: np.average(x_TD, axis=0, weights=np.arange(1, len(x_TD) + 1)),
    "lasttoken": lambda x_TD: x_TD[-1],
}
SEGMENTS = np.array([[1, 1, 1, 2, 3, 3, 0], [1, 1, 1, 1, 1, 1, 1], [0] * 7], np.int32)


def pooled(*modes: str) -> tuple[np.ndarray, np.ndarray]:
    """What our pooling makes of random vectors, and those vectors; what lies at padding is NaN."""
    x_BTD = np.random.default_rng(0).standard_normal((*SEGMENTS.shape, 5)) - 3
    x_BTD[SEGMENTS == 0] = np.nan
    segments_BT = jnp.asarray(SEGMENTS)
    positions_BT = masks.positions_from_segments(segments_BT)
    return np.asarray(pool(jnp.asarray(x_BTD), Rows(segments_BT, positions_BT, 4, jnp.int32(0), ()), modes)), x_BTD


@pytest.mark.parametrize("mode", ORACLES)
def test_each_mode_is_sentence_transformers_own(mode):
    vectors_BKP, x_BTD = pooled(mode)
    assert np.isfinite(vectors_BKP).all()
    for row in range(2):
        for number in range(1, SEGMENTS[row].max() + 1):
            expected = ORACLES[mode](x_BTD[row][SEGMENTS[row] == number])
            np.testing.assert_allclose(vectors_BKP[row, number - 1], expected, rtol=1e-12)


def test_several_modes_are_joined():
    vectors_BKP, x_BTD = pooled("cls", "mean")
    expected = np.concatenate([x_BTD[0, 0], x_BTD[0, :3].mean(axis=0)])
    np.testing.assert_allclose(vectors_BKP[0, 0], expected, rtol=1e-12)
    assert not vectors_BKP[2].any()  # a row without texts: 0 / 0 nowhere


VARIANTS = {
    "bert": CONFIG,
    "position_offset": dataclasses.replace(CONFIG, position_offset=2, num_token_types=0),
    "relative": dataclasses.replace(
        CONFIG, relative_kind="bias", relative_buckets=8, relative_max_distance=16, num_token_types=0
    ),
    "rotary_windows": dataclasses.replace(
        CONFIG, position_kind="rotary", rope_thetas=(100.0, 50.0), windows=(2, None), num_token_types=0
    ),
}


def means(encoder: TextEncoder, texts: list[str]) -> np.ndarray:
    """The mean of the encoder's output over each text's tokens, a row for each text."""
    read = [encoder._tokenizer.encode(text).ids for text in texts]
    lengths = jnp.asarray([len(ids) for ids in read], jnp.int32)
    ids_BT = jnp.asarray([ids + [0] * (int(lengths.max()) - len(ids)) for ids in read], jnp.int32)
    model = checkpoint(encoder.config).model(dtype=jnp.float64).encoder
    x_BTD = np.asarray(
        nnx.jit(lambda model, *given: model(*given)[0])(model, ids_BT, masks.from_lengths(lengths, ids_BT.shape[1]))
    )
    return np.stack([x_BTD[row, :length].mean(axis=0) for row, length in enumerate(lengths)])


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_texts_in_one_row_do_not_see_each_other(variant):
    encoder = TextEncoder(checkpoint(VARIANTS[variant]), MEAN, dtype=jnp.float64)
    vectors = encoder.encode(MIXED)
    assert vectors.dtype == np.float64
    assert TextEncoder(checkpoint(VARIANTS[variant]), MEAN).encode(["cat"]).dtype == np.float32
    np.testing.assert_allclose(vectors, means(encoder, MIXED), rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_texts_come_back_in_their_order_from_batches_of_all_widths():
    encoder = TextEncoder(checkpoint(), MEAN)
    texts = [" ".join(["dog", "cat", "red", "two"][index % 4 :] * (1 + 7 * (index % 5))) for index in range(30)]
    done = []
    vectors = encoder.encode(texts, 2, progress=done.append)
    assert sum(done) == len(texts)
    assert len(done) > 2
    order = np.random.default_rng(0).permutation(len(texts))
    np.testing.assert_allclose(encoder.encode([texts[i] for i in order], 2), vectors[order], atol=1e-5)


@pytest.mark.slow
def test_a_text_has_the_same_bits_in_any_company():
    # A CPU's products have one order where widths are multiples of 64, as those of published encoders are.
    sizes = {"embed_dim": 64, "num_heads": 2, "num_key_value_heads": 2, "head_dim": 32, "mlp_dim": 128, "max_len": 90}
    config = dataclasses.replace(CONFIG, **sizes, num_layers=1, layer_groups=(0,), windows=(None,))
    encoder, rng = TextEncoder(checkpoint(config), MEAN), np.random.default_rng(0)
    texts = [" ".join(rng.choice(["dog", "cat", "red", "two"], length)) for length in rng.geometric(1 / 20, 150)]
    vectors = encoder.encode(texts, 256)  # a CPU computes 32 rows at once all the same
    for batch_size in (1, 8):
        some = rng.permutation(150)[:99]
        np.testing.assert_array_equal(encoder.encode([texts[i] for i in some], batch_size), vectors[some])
    longest = max(range(150), key=lambda i: len(texts[i]))
    for i in (longest, *range(0, 150, 23)):
        np.testing.assert_array_equal(encoder.encode([texts[i]]), vectors[i : i + 1])


def test_no_text_is_no_vector():
    encoder = TextEncoder(checkpoint(), MEAN)
    assert encoder.encode([]).shape == (0, 24)
    assert encoder.encode(iter(())).dtype == np.float32
    assert encoder.width == 24
    assert encoder.config == CONFIG


def test_a_text_without_a_token_is_zero():
    bare = checkpoint()
    bare.tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    vectors = TextEncoder(bare, MEAN._replace(modules=(*MEAN.modules, Normalize()))).encode(["", "dog"])
    assert not vectors[0].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[1]), 1, rtol=1e-5)


def test_long_texts_are_cut_to_the_longest():
    encoder = TextEncoder(checkpoint(), MEAN)
    whole, more = encoder.encode([" ".join(["dog"] * 148), " ".join(["dog"] * 500)])
    np.testing.assert_array_equal(whole, more)
    short = TextEncoder(checkpoint(), MEAN._replace(max_length=4)).encode(["two birds saw the cat", "two birds"])
    np.testing.assert_array_equal(short[0], short[1])
    left = MEAN._replace(max_length=4, cut_left=True)
    short = TextEncoder(checkpoint(), left).encode(["two birds saw the cat", "the cat"])
    np.testing.assert_array_equal(short[0], short[1])


def test_the_prompt_and_lower_case():
    encoder = TextEncoder(checkpoint(), MEAN)
    prompted = TextEncoder(checkpoint(), MEAN._replace(prompts={"a": "we saw "}, default_prompt="a"))
    np.testing.assert_array_equal(prompted.encode(["a dog"]), encoder.encode(["we saw a dog"]))
    cased = checkpoint()
    cased.tokenizer.normalizer = None
    lower = TextEncoder(cased, MEAN._replace(lower_case=True))
    np.testing.assert_array_equal(lower.encode(["The DOG"]), encoder.encode(["the dog"]))


def test_texts_are_shown_as_they_are_read():
    encoder, short = TextEncoder(checkpoint(), MEAN), TextEncoder(checkpoint(), MEAN._replace(max_length=7))
    prompted = TextEncoder(checkpoint(), MEAN._replace(prompts={"a": "we saw "}, default_prompt="a"))
    assert prompted.read(["a dog"])[0].ids == encoder.read(["we saw a dog"])[0].ids
    assert prompted.read([("a dog", "cat")])[0].ids == encoder.read([("a dog", "cat")])[0].ids
    one, two = short.read(["a dog ran over the old river", ("a dog", "the cat ran over the old river")])
    assert len(one) == len(two) == 7
    assert (two.tokens[0], two.tokens.count("[SEP]"), two.tokens[-1]) == ("[CLS]", 2, "[SEP]")
    assert two.type_ids == sorted(two.type_ids) != [0] * 7
    with pytest.raises(InputError, match="is not Unicode"):
        encoder.read([("a", "\ud83d")])


def test_a_padding_token_in_a_text_has_no_position_of_its_own():
    """As in RoBERTa, which numbers what is not the padding token: transformers' create_position_ids_from_input_ids."""
    ids = jnp.asarray([[5, 1, 6, 7, 8, 1, 1, 9, 0]], jnp.int32)
    segments = jnp.asarray([[1, 1, 1, 2, 2, 2, 2, 2, 0]], jnp.int32)
    counted = positions(ids, segments, dataclasses.replace(CONFIG, position_offset=2))
    assert counted[0, :8].tolist() == [0, -1, 1, 0, 1, -1, -1, 2]
    assert positions(ids, segments, CONFIG)[0, :8].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]


def test_token_types_are_the_tokenizers():
    typed = checkpoint()
    special = [(name, typed.tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    typed.tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A:1 [SEP]:1", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    encoder = TextEncoder(typed, MEAN, dtype=jnp.float64)
    read = encoder._tokenizer.encode("a dog ran")
    assert read.type_ids == [0] + [1] * (len(read) - 1)
    ids, types = (jnp.asarray([values], jnp.int32) for values in (read.ids, read.type_ids))
    run = typed.model(dtype=jnp.float64).encoder
    expected = run(ids, masks.from_segments(jnp.ones_like(ids)), token_types_BT=types)[0]
    np.testing.assert_allclose(encoder.encode(["a dog ran"]), expected.mean(axis=1), rtol=1e-12)
    one = dataclasses.replace(typed, config=dataclasses.replace(CONFIG, num_token_types=1))
    one.params["encoder.embedding.token_type"] = one.params["encoder.embedding.token_type"][:1]
    with pytest.raises(
        InputError, match=r"^the tokenizer gives texts\[0\] the token type 1, and the encoder knows 1: "
    ):
        TextEncoder(one, MEAN).encode(["a dog"])


def test_bfloat16_gives_float32_that_is_near():
    wide, narrow = (TextEncoder(checkpoint(), MEAN, dtype=dtype) for dtype in (jnp.float32, jnp.bfloat16))
    a, b = wide.encode(MIXED), narrow.encode(MIXED)
    assert b.dtype == np.float32
    error = np.abs(a - b).max() / np.abs(a).max()
    assert 1e-5 < error < 0.05


def test_texts_that_are_none_are_refused():
    encoder = TextEncoder(checkpoint(), MEAN)
    for one in ("a dog", b"a dog"):
        with pytest.raises(InputError, match=r"^texts must be several strings, got one: pass a list, \[text\], even "):
            encoder.encode(one)
    with pytest.raises(InputError, match=r"^texts\[2\] must be a string, got float$"):
        encoder.encode(["a", "b", float("nan"), None])
    with pytest.raises(InputError, match=r"^texts\[1\] is not Unicode: surrogates not allowed at position 1$"):
        encoder.encode(["a", "a\ud800"])
    for size in (0, -3):
        with pytest.raises(InputError, match=f"^batch_size must be at least 1, got {size}$"):
            encoder.encode(["a"], size)


def test_ids_beyond_the_embedding_are_refused():
    grown = checkpoint()
    grown.tokenizer.add_tokens(["zebra"])
    encoder = TextEncoder(grown, MEAN)
    encoder.encode(["a dog"])
    with pytest.raises(
        InputError,
        match=rf"^the tokenizer gives texts\[1\] the token id {CONFIG.vocab_size}, and the encoder knows "
        rf"{CONFIG.vocab_size}: they are not of one checkpoint$",
    ):
        encoder.encode(["a dog", "a zebra", "a dog"])


def test_a_checkpoint_that_cannot_read_texts_is_refused(tmp_path):
    write_checkpoint(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(InputError) as raised:
        TextEncoder.from_pretrained(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path} has no tokenizer.json, without which texts cannot be read: fetch ")
    with pytest.raises(InputError, match=r"^made up: texts of 2 tokens, 2 of them special, have no room for a word$"):
        TextEncoder(checkpoint(), MEAN._replace(max_length=2))


def test_a_bare_checkpoint_gives_means(tmp_path):
    write_checkpoint(tmp_path, head=True)
    write_json(tmp_path / "tokenizer_config.json", {"model_max_length": 5})
    encoder = jax_encoder.TextEncoder.from_pretrained(str(tmp_path))
    assert (encoder.form.encoder, encoder.form.max_length) == (tmp_path, 5)
    expected = TextEncoder(checkpoint(head=True), MEAN._replace(max_length=5)).encode(MIXED)
    np.testing.assert_array_equal(encoder.encode(MIXED), expected)


def test_the_older_form_of_sentence_transformers(tmp_path):
    folder = write_checkpoint(tmp_path / "0_Transformer")
    write_modules(tmp_path, "Transformer", "Pooling", "Normalize")
    modules = (tmp_path / "modules.json").read_text().replace('"path": ""', '"path": "0_Transformer"')
    (tmp_path / "modules.json").write_text(modules)
    write_json(folder / "sentence_roberta_config.json", {"max_seq_length": 9, "do_lower_case": True})
    write_json(folder / "tokenizer_config.json", {"model_max_length": 5, "truncation_side": "left"})
    old = {"word_embedding_dimension": 24, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    write_json(tmp_path / "1_Pooling" / "config.json", old | {"pooling_mode_max_tokens": False})
    encoder = TextEncoder.from_pretrained(tmp_path)
    pooling, normalize = encoder.form.modules
    assert isinstance(pooling, Pooling)
    assert pooling.modes == ("cls", "mean")
    assert isinstance(normalize, Normalize)
    assert encoder.form[2:5] == (9, True, True)
    vectors = encoder.encode(MIXED)
    assert vectors.shape == (len(MIXED), encoder.width) == (len(MIXED), 48)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.slow
def test_a_published_checkpoint_gives_sentence_transformers_vectors():
    import torch
    from sentence_transformers import SentenceTransformer

    from benchmarks.encode import minilm, sentences

    folder = minilm()
    texts = [*sentences(197), "", "[MASK] the cat", " ".join(sentences(60))]  # the last is longer than the longest
    ours = TextEncoder.from_pretrained(folder).encode(texts).astype(np.float64)
    with torch.inference_mode():
        theirs = SentenceTransformer(folder, device="cpu").encode(texts, show_progress_bar=False).astype(np.float64)
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert (1 - cosines).max() <= 1e-6
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
