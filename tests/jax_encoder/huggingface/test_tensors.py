"""Files of tensors: safetensors, several behind an index, and pickles, which are not run."""

import json
import pickle
import shlex
import struct
import sys
from pathlib import Path

import ml_dtypes
import pytest
import torch
from safetensors.numpy import save_file

from jax_encoder import huggingface
from jax_encoder.errors import InputError
from jax_encoder.huggingface.tensors import INDEX, PICKLED, PICKLED_INDEX, Tensors
from tests.jax_encoder.huggingface.helpers import (
    BIAS,
    DECODER,
    QUERY,
    WEIGHTS,
    WORD,
    assert_same_tensors,
    assert_saved_as_it_was,
    refusal,
    write,
)


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
