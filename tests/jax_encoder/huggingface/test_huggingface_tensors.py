"""Tensors of published checkpoints: every one is used exactly once, or the file is refused and says why."""

import dataclasses
import json
import pickle
import shlex
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from jax_encoder import huggingface
from jax_encoder.errors import InputError
from jax_encoder.huggingface.tensors import INDEX, PICKLED, PICKLED_INDEX, Tensors, read_tensors
from tests.jax_encoder.huggingface.helpers import (
    WEIGHTS,
    assert_same_tensors,
    fields_in,
    refusal,
    same,
    save_with_transformers,
    tensors_in,
    write,
)

WORD, DECODER = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"
BIAS, DECODER_BIAS = "cls.predictions.bias", "cls.predictions.decoder.bias"
POSITION_IDS, TYPE_IDS = "bert.embeddings.position_ids", "bert.embeddings.token_type_ids"
QUERY = "bert.encoder.layer.1.attention.self.query"


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory) -> Path:
    """A file of the whole of BERT's pretraining."""
    folder = tmp_path_factory.mktemp("bert") / "pretraining"
    save_with_transformers("BertForPreTraining", "bert", folder)
    return folder


@pytest.fixture
def fields(pretraining) -> dict:
    return fields_in(pretraining) | {"architectures": ["BertForMaskedLM"]}


@pytest.fixture
def tensors(pretraining) -> Tensors:
    """Its masked-language model alone."""
    every = tensors_in(pretraining)
    return {name: array for name, array in every.items() if "seq_relationship" not in name and "pooler" not in name}


def assert_saved_as_it_was(folder: Path, tmp_path: Path) -> huggingface.Checkpoint:
    """Loads, saves, and loads again: the same tensors by the same names. Returns what was loaded."""
    loaded = huggingface.load(folder)
    huggingface.save(loaded, tmp_path / "again")
    assert_same_tensors(tensors_in(tmp_path / "again"), read_tensors(folder))
    assert fields_in(tmp_path / "again") == fields_in(folder)
    again = huggingface.load(tmp_path / "again")
    assert_same_tensors(again.params, loaded.params)
    assert (again.config, again.parts) == (loaded.config, loaded.parts)
    return loaded


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


def raw(header: object, data: bytes, *, length: int | None = None) -> bytes:
    """A safetensors file, spelled out."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(dtype: str, shape: list[int], size: int) -> bytes:
    return raw({WORD: {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}, b"\x00" * size)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "model.safetensors is damaged or no safetensors file ("),
        (raw({}, b"", length=2**63), "is damaged or no safetensors file (Error while deserializing header: header too"),
        (raw(b"[" * 1000, b""), "is damaged"),
        (one("F32", [2], 4), "is damaged"),
        (one("F32", [0, 2**62], 0), "is damaged or no safetensors file (array is too big"),
        (one("F32", [1] * 65, 4), "is damaged"),
        (
            one("F8_E4M3", [2], 2),
            f"{WORD} is float8_e4m3fn; weights are float64, float32, float16 or bfloat16, and not quan",
        ),
        (
            one("F8_E8M0", [2], 2),
            f"weights must be of dtype F64, F32, F16, BF16, got {WORD} F8_E8M0: quantised checkpoints",
        ),
        (one("U16", [2], 4), f"{WORD} is uint16; weights are"),
        (raw({}, b""), f"{WORD} is missing"),
    ],
)
def test_a_damaged_file_is_refused(content, said, fields, tmp_path):
    folder = write(tmp_path / "x", fields, {})
    (folder / WEIGHTS).write_bytes(content)
    assert said in refusal(folder)


def test_a_file_that_is_closed_to_us_is_refused(tensors, fields, tmp_path, monkeypatch):
    def closed(path, framework):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("jax_encoder.huggingface.tensors.safe_open", closed)
    assert refusal(write(tmp_path, fields, tensors)) == f"{tmp_path}/{WEIGHTS} cannot be read: Permission denied"


def shard(folder: Path, fields: dict, tensors: Tensors, count: int = 3) -> dict[str, str]:
    """Writes the tensors in several files and an index; returns its map."""
    write(folder, fields, {})
    (folder / WEIGHTS).unlink()
    names = {name: f"model-{number % count + 1:05}-of-{count:05}.safetensors" for number, name in enumerate(tensors)}
    for file in sorted(set(names.values())):
        save_file({name: tensors[name] for name in tensors if names[name] == file}, folder / file)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": names}))
    return names


def test_files_that_an_index_names_are_read_as_one(tensors, fields, tmp_path):
    shard(tmp_path / "shards", fields, tensors)
    loaded = assert_saved_as_it_was(tmp_path / "shards", tmp_path)
    assert_same_tensors(loaded.params, huggingface.load(write(tmp_path / "whole", fields, tensors)).params)


OUTSIDE = "files of a checkpoint lie beside their index"


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "must hold a JSON object"),
        ("{}", "must have a weight_map from tensors' names to files' names"),
        ('{"weight_map": ["a"]}', "must have a weight_map"),
        ('{"weight_map": {"a": 1}}', "must have a weight_map"),
        ('{"weight_map": {}}', f"{WORD} is missing"),
        ('{"weight_map": {"a": "gone-1", "b": "gone-2"}}', "names gone-1, gone-2, not to be found: fetch all files"),
        ('{"weight_map": {"a": "../secret"}}', f"names ../secret: {OUTSIDE}"),
        ('{"weight_map": {"a": "/etc/passwd"}}', f"names /etc/passwd: {OUTSIDE}"),
        ('{"weight_map": {"a": "..", "b": ""}}', "names , .., not to be found"),
        ('{"weight_map": {"a": "x\\u0000y"}}', "not to be found"),
        ('{"weight_map": {"a": "\\ud800"}}', "not to be found"),
    ],
)
def test_an_index_that_cannot_be_followed_is_refused(index, said, tensors, fields, tmp_path):
    shard(tmp_path / "shards", fields, tensors)
    (tmp_path / "secret").write_bytes((tmp_path / "shards/model-00001-of-00003.safetensors").read_bytes())
    (tmp_path / "shards" / INDEX).write_text(index)
    assert said in refusal(tmp_path / "shards")


def test_an_index_and_files_of_other_tensors_are_refused(tensors, fields, tmp_path):
    names = shard(tmp_path / "shards", fields, tensors)
    first, second = list(names)[:2]
    names[first], names[second] = names[second], names[first]
    (tmp_path / "shards" / INDEX).write_text(json.dumps({"weight_map": names}))
    assert f"do not belong together: they differ in {', '.join(sorted((first, second)))}" in refusal(
        tmp_path / "shards"
    )
    (tmp_path / "shards/model-00002-of-00003.safetensors").write_bytes(b"")
    shard(tmp_path / "shards", fields, tensors)
    (tmp_path / "shards/model-00002-of-00003.safetensors").write_bytes(b"")
    assert "model-00002-of-00003.safetensors is damaged" in refusal(tmp_path / "shards")


def pickled(folder: Path, fields: dict, content: object, name: str = PICKLED) -> Path:
    write(folder, fields, {})
    (folder / WEIGHTS).unlink()
    torch.save(content, folder / name)
    return folder


def as_torch(tensors: Tensors) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in tensors.items()}


def test_pickled_weights_are_refused_with_the_command_that_converts_them(tensors, fields, tmp_path):
    state = as_torch(tensors)
    state[DECODER] = state[WORD]  # one storage, as transformers pickles tied weights
    folder = pickled(tmp_path / "it's a $HOME", fields, state)
    told = refusal(folder)
    assert told.startswith(
        f"{folder} has only pickled weights, which can run code as they are read. Convert them where"
    )
    assert told.endswith(
        "or pass allow_pickle=True (--allow-pickle), which reads them through torch without running anything"
    )
    program, flag, code = shlex.split(told.splitlines()[1])
    assert (program, flag) == ("python", "-c")
    exec(code, {})  # what the command runs, in this process: importing torch again takes long
    loaded = huggingface.load(folder)
    assert_same_tensors(loaded.params, huggingface.load(write(tmp_path / "x", fields, tensors)).params)
    assert loaded.form.repeated == (DECODER,)


def test_pickled_weights_are_read_on_request(tensors, fields, tmp_path):
    state = as_torch(tensors) | {f"{QUERY}.bias": torch.nn.Parameter(torch.from_numpy(tensors[f"{QUERY}.bias"]))}
    state[BIAS] = state[BIAS].bfloat16()
    tensors[BIAS] = tensors[BIAS].astype(ml_dtypes.bfloat16)
    expected = huggingface.load(write(tmp_path / "x", fields, tensors)).params
    folder = pickled(tmp_path / "pickled", fields, state)
    assert_same_tensors(huggingface.load(folder, allow_pickle=True).params, expected)


def test_several_pickled_files_are_read_as_one(tensors, fields, tmp_path):
    state = as_torch(tensors)
    files = {name: f"pytorch_model-{number % 2 + 1:05}-of-00002.bin" for number, name in enumerate(state)}
    for file in sorted(set(files.values())):
        pickled(tmp_path / "p", fields, {name: state[name] for name in state if files[name] == file}, file)
    assert "has no weights: expected model.safetensors, or model.safetensors.index.json" in refusal(tmp_path / "p")
    (tmp_path / "p" / PICKLED_INDEX).write_text(json.dumps({"weight_map": files}))
    assert "has only pickled weights" in refusal(tmp_path / "p")
    loaded = huggingface.load(tmp_path / "p", allow_pickle=True)
    assert_same_tensors(loaded.params, huggingface.load(write(tmp_path / "x", fields, tensors)).params)


class Malicious:
    """Creates a file as it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("plain", [False, True])
def test_a_malicious_pickle_is_refused_and_not_run(plain, fields, tmp_path):
    trap = tmp_path / "was-run"
    content = {"a": torch.zeros(1), "b": Malicious(trap)}
    folder = pickled(tmp_path / "x", fields, {} if plain else content)
    if plain:
        (folder / PICKLED).write_bytes(pickle.dumps(content["b"]))
    assert "cannot be read as weights only: " in refusal(folder, allow_pickle=True)
    assert not trap.exists()
    (pickle.loads(pickle.dumps(content["b"])), trap.unlink())  # it would have been


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([torch.zeros(1)], "must hold a table of tensors by their names"),
        ({"a": 1}, "must hold a table of tensors by their names"),
        ({1: torch.zeros(1)}, "must hold a table of tensors by their names"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "a is no array of numbers"),
        ({"a": torch.zeros(2).to(torch.float8_e4m3fn)}, "a is no array of numbers"),
        ({"a": torch.zeros(2)}, "a is not known here"),
    ],
)
def test_a_pickle_of_something_else_is_refused(content, said, fields, tmp_path):
    assert said in refusal(pickled(tmp_path / "x", fields, content), allow_pickle=True)


def test_reading_pickles_needs_torch(monkeypatch, fields, tmp_path):
    folder = pickled(tmp_path / "x", fields, {})
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "needs torch: pip install torch" in refusal(folder, allow_pickle=True)


def test_safetensors_come_before_pickles(tensors, fields, tmp_path):
    folder = pickled(tmp_path / "x", fields, {"a": Malicious(tmp_path / "trap")})
    save_file(tensors, folder / WEIGHTS)
    assert huggingface.load(folder, allow_pickle=True).parts.head


def test_a_folder_that_cannot_be_read_is_an_input_error(fields, tmp_path):
    folder = write(tmp_path / "x", fields, {})
    (folder / WEIGHTS).unlink()
    with pytest.raises(InputError, match="has no weights"):
        huggingface.load(folder)
    (folder / WEIGHTS).mkdir()
    assert "has no weights" in refusal(folder)
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    assert "config.json cannot be read as JSON" in refusal(folder)
