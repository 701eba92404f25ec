"""Tensors of published checkpoints: every one is used exactly once, or the file is refused and says why."""

import dataclasses
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from jax_encoder import huggingface
from jax_encoder.huggingface.tensors import Tensors
from tests.jax_encoder.huggingface.helpers import (
    BIAS,
    DECODER,
    DECODER_BIAS,
    POSITION_IDS,
    QUERY,
    TYPE_IDS,
    WORD,
    assert_same_tensors,
    assert_saved_as_it_was,
    refusal,
    same,
    tensors_in,
    write,
)


def test_a_file_as_old_as_bert_is_read_and_written_as_it_was(pretraining, fields, tmp_path):
    # bert-base-uncased says BertForMaskedLM, and holds all of pretraining under TensorFlow's names.
    new = tensors_in(pretraining)
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in new.items()
    }
    old |= {DECODER: old[WORD], DECODER_BIAS: old[BIAS], POSITION_IDS: np.arange(17)[None]}
    assert len([name for name in old if "gamma" in name]) == 6
    loaded = assert_saved_as_it_was(write(tmp_path / "old", fields, old), tmp_path)
    assert loaded.architecture == "BertForMaskedLM"
    assert (loaded.parts.head, loaded.parts.pooler, loaded.parts.classifier) == (True, True, None)
    # The class computes nothing with the next-sentence classifier: it is kept beside the parameters.
    assert sorted(loaded.form.kept) == [POSITION_IDS, "cls.seq_relationship.bias", "cls.seq_relationship.weight"]
    whole = huggingface.load(pretraining)
    assert whole.parts.classifier is not None
    for name in loaded.params.keys() & whole.params.keys():
        assert same(loaded.params[name], whole.params[name])


def test_every_number_of_a_file_is_a_parameter_once(pretraining):
    loaded = huggingface.load(pretraining)
    theirs = np.concatenate([array.ravel() for array in tensors_in(pretraining).values()])
    ours = np.concatenate([array.ravel() for array in loaded.params.values()])
    np.testing.assert_array_equal(np.sort(ours), np.sort(theirs))


def test_an_encoders_own_file_leaves_the_prefix_out(tensors, fields, tmp_path):
    bare = {name.removeprefix("bert."): array for name, array in tensors.items() if name.startswith("bert.")}
    bare |= {"pooler.dense.weight": np.ones((12, 12), np.float32), "pooler.dense.bias": np.ones(12, np.float32)}
    bare["embeddings.position_ids"] = np.arange(17)[None]
    folder = write(tmp_path / "bare", fields | {"architectures": ["BertModel"]}, bare)
    loaded = assert_saved_as_it_was(folder, tmp_path)
    assert (loaded.parts.head, loaded.parts.pooler) == (False, True)
    headed = write(tmp_path / "headed", fields, tensors)
    np.testing.assert_array_equal(loaded.params["encoder.embedding.word"], tensors[WORD])
    prefixed = huggingface.load(headed).params
    assert all(same(loaded.params[name], prefixed[name]) for name in loaded.params if name.startswith("encoder"))


def without(name: str) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.pop(name)


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: change(tensors[name])})


def added(name: str, array: object) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: np.asarray(array)})


def with_one(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: np.where(
        np.arange(array.size).reshape(array.shape) == array.size - 1, np.float32(value), array
    )


UNFIT = "does not fit the config's sizes"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without(WORD), f"{WORD} is missing"),
        (without(BIAS), f"{BIAS} is missing"),
        (added("bert.extra.weight", np.ones(3, np.float32)), "bert.extra.weight is not known here"),
        (added("bert.encoder.layer.2.output.dense.bias", np.ones(12, np.float32)), "layer.2.output.dense.bias is not"),
        (added("bert.pooler.dense.bias", np.ones(12, np.float32)), "bert.pooler.dense.weight is missing"),
        (changed(f"{QUERY}.weight", lambda a: a[:-1]), f"{QUERY}.weight has shape [11, 12], which {UNFIT}"),
        (changed(f"{QUERY}.weight", lambda a: a[:, :-1]), f"{QUERY}.weight has shape [12, 11], which {UNFIT}"),
        (changed(f"{QUERY}.weight", lambda a: a.ravel()), f"{QUERY}.weight has shape [144], which {UNFIT}"),
        (changed(f"{QUERY}.weight", lambda a: a[..., None]), f"{QUERY}.weight has shape [12, 12, 1], which {UNFIT}"),
        (changed(f"{QUERY}.weight", lambda a: a[0, 0]), f"{QUERY}.weight has shape [], which {UNFIT}"),
        (changed(f"{QUERY}.bias", lambda a: a.reshape(3, 4)), f"{QUERY}.bias has shape [3, 4], which {UNFIT}"),
        (changed(WORD, lambda a: a.T), f"{WORD} has shape [12, 31], which {UNFIT}"),
        (changed(WORD, lambda a: a[:0]), f"{WORD} has shape [0, 12], which {UNFIT}"),
        (changed(BIAS, lambda a: a[None]), f"{BIAS} has shape [1, 31], which {UNFIT}"),
        (changed(BIAS, lambda a: a.astype(np.int32)), f"{BIAS} is int32; weights are float64, float32, float16 or"),
        (changed(BIAS, lambda a: a.astype(np.int8)), f"{BIAS} is int8; weights are"),
        (changed(BIAS, lambda a: a > 0), f"{BIAS} is bool; weights are"),
        (changed(BIAS, lambda a: a.astype(np.complex64)), f"{BIAS} is complex64; weights are"),
        (changed(BIAS, with_one(np.nan)), f"{BIAS} holds NaN or infinity: the checkpoint is damaged"),
        (changed(WORD, with_one(-np.inf)), f"{WORD} holds NaN or infinity"),
        (changed(BIAS, lambda a: with_one(np.nan)(a).astype(ml_dtypes.bfloat16)), f"{BIAS} holds NaN or infinity"),
        (added(POSITION_IDS, np.arange(17)[None] + 1), f"{POSITION_IDS} must number the positions"),
        (added(POSITION_IDS, np.zeros((1, 17), np.int64)), f"{POSITION_IDS} must number the positions"),
        (added(POSITION_IDS, np.arange(17, dtype=np.float32)), f"{POSITION_IDS} must number the positions"),
        (added(TYPE_IDS, np.arange(17)), f"{TYPE_IDS} must be 0"),
        (added("cls.seq_relationship.bias", np.array([0, np.nan], np.float32)), "cls.seq_relationship.bias holds NaN"),
        (added("cls.seq_relationship.bias", np.array([0, 1])), "cls.seq_relationship.bias is int64"),
        (
            added("bert.embeddings.LayerNorm.gamma", np.ones(12, np.float32)),
            "are two names of one tensor",
        ),
        (added(DECODER, np.ones((31, 12), np.float32)), f"{DECODER} should repeat {WORD}, but differs: is tie_word"),
        (added(DECODER_BIAS, np.ones(31, np.float32)), f"{DECODER_BIAS} should repeat {BIAS}, but differs\n"),
    ],
)
def test_whatever_does_not_belong_is_refused_by_its_name(damage, said, tensors, fields, tmp_path):
    damage(tensors)
    told = refusal(write(tmp_path / "damaged", fields, tensors))
    assert told.startswith(f"{tmp_path}/damaged, taken for a BertForMaskedLM, does not hold what its config says:\n")
    assert said in told + "\n"


@pytest.mark.parametrize(
    "harmless",
    [
        added(POSITION_IDS, np.arange(17)[None]),
        added(POSITION_IDS, np.arange(17, dtype=np.int32)),
        added(TYPE_IDS, np.zeros((1, 17), np.int64)),
        lambda tensors: tensors.update({DECODER: tensors[WORD]}),
        lambda tensors: tensors.update({DECODER_BIAS: tensors[BIAS]}),
        lambda tensors: tensors.update({DECODER: tensors.pop(WORD)}),
        lambda tensors: tensors.update({DECODER_BIAS: tensors.pop(BIAS)}),
    ],
)
def test_what_repeats_or_counts_is_written_as_it_was(harmless, tensors, fields, tmp_path):
    plain = huggingface.load(write(tmp_path / "plain", fields, tensors))
    harmless(tensors)
    loaded = assert_saved_as_it_was(write(tmp_path / "more", fields, tensors), tmp_path)
    assert_same_tensors(loaded.params, plain.params)


def test_all_that_is_wrong_is_told_at_once(tensors, fields, tmp_path):
    del tensors[f"{QUERY}.weight"]
    tensors |= {"a.b": tensors[BIAS], BIAS: with_one(np.nan)(tensors[BIAS])[1:], POSITION_IDS: np.ones((1, 17), int)}
    tensors["bert.embeddings.LayerNorm.gamma"] = tensors.pop("bert.embeddings.LayerNorm.weight").astype(np.int64)
    assert refusal(write(tmp_path / "x", fields, tensors)) == (
        f"{tmp_path}/x, taken for a BertForMaskedLM, does not hold what its config says:\n"
        f"  {POSITION_IDS} must number the positions\n"
        f"  {QUERY}.weight is missing\n"
        "  a.b is not known here\n"
        "  bert.embeddings.LayerNorm.gamma is int64; weights are float64, float32, float16 or bfloat16, and not "
        "quantised\n"
        f"  {BIAS} holds NaN or infinity: the checkpoint is damaged\n"
        f"  {BIAS} has shape [30], which does not fit the config's sizes"
    )


def test_many_problems_of_a_kind_are_counted(tensors, fields, tmp_path):
    told = refusal(write(tmp_path / "deeper", fields | {"num_hidden_layers": 1024}, tensors))
    assert "bert.encoder.layer.2.attention.self.query.weight is missing\n" in told
    assert told.endswith(f"  and {1022 * 16 - 8} more like this")
    told = refusal(write(tmp_path / "wider", fields | {"intermediate_size": 21}, tensors))
    assert told.count(UNFIT) == 6
    told = refusal(write(tmp_path / "whole", fields | {"vocab_size": 30, "hidden_size": 24}, tensors))
    assert told.count(UNFIT) == 8
    assert "more like this" in told


def test_a_config_without_a_class_says_what_it_was_taken_for(tensors, fields, tmp_path):
    del fields["architectures"]
    told = refusal(write(tmp_path / "x", fields, tensors))
    assert "taken for a BertModel" in told
    assert f"{BIAS} is not known here" in told


def test_a_decoder_that_is_not_tied_has_weights_of_its_own(tensors, fields, tmp_path):
    fields["tie_word_embeddings"] = False
    assert f"{DECODER} is missing" in refusal(write(tmp_path / "none", fields, tensors))
    tensors |= {DECODER: 2 * tensors[WORD], DECODER_BIAS: tensors[BIAS]}
    loaded = assert_saved_as_it_was(write(tmp_path / "own", fields, tensors), tmp_path)
    np.testing.assert_array_equal(loaded.params["head.decoder"], tensors[DECODER])
    np.testing.assert_array_equal(loaded.params["head.bias"], tensors[BIAS])


def test_an_untied_decoder_adds_its_own_bias_and_not_the_one_beside_it(tensors, fields, tmp_path):
    # transformers trains the one and leaves the other as it was drawn.
    fields["tie_word_embeddings"] = False
    tensors |= {DECODER: 2 * tensors[WORD], DECODER_BIAS: 3 * tensors[BIAS]}
    loaded = assert_saved_as_it_was(write(tmp_path / "own", fields, tensors), tmp_path)
    np.testing.assert_array_equal(loaded.params["head.bias"], tensors[DECODER_BIAS])
    assert sorted(loaded.form.kept) == [BIAS]


def test_a_decoder_that_was_tied_once_is_not_overwritten_by_the_words(tensors, fields, tmp_path):
    loaded = huggingface.load(write(tmp_path / "tied", fields, tensors | {DECODER: tensors[WORD]}))
    untied = dataclasses.replace(
        loaded,
        config=dataclasses.replace(loaded.config, mlm_tied=False),
        params={**loaded.params, "head.decoder": 2 * tensors[WORD]},
    )
    huggingface.save(untied, tmp_path / "untied")
    np.testing.assert_array_equal(tensors_in(tmp_path / "untied")[DECODER], 2 * tensors[WORD])
    assert_same_tensors(huggingface.load(tmp_path / "untied").params, untied.params)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_weights_keep_their_dtype(dtype, tensors, fields, tmp_path):
    narrow = {name: array.astype(dtype) for name, array in tensors.items()}
    folder = write(tmp_path / "narrow", fields | {"dtype": np.dtype(dtype).name}, narrow)
    loaded = assert_saved_as_it_was(folder, tmp_path)
    assert {array.dtype for array in loaded.params.values()} == {np.dtype(dtype)}


def test_layers_of_unlike_dtypes_get_one_that_holds_both(tensors, fields, tmp_path):
    other = f"{QUERY.replace('.1.', '.0.')}.weight"
    tensors[f"{QUERY}.weight"] = tensors[f"{QUERY}.weight"].astype(np.float16)
    tensors[other] = tensors[other].astype(ml_dtypes.bfloat16)
    loaded = huggingface.load(write(tmp_path / "mixed", fields, tensors))
    kernel = loaded.params["encoder.layers.attention.query.kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel[1].reshape(12, 12).T, tensors[f"{QUERY}.weight"].astype(np.float32))
    np.testing.assert_array_equal(kernel[0].reshape(12, 12).T, tensors[other].astype(np.float32))
