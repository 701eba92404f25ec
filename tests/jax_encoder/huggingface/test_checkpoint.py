"""Whole checkpoints: read and written as they were, refused where they would come out as something else."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from jax_encoder import huggingface
from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.huggingface.checkpoint import TOKENIZER
from jax_encoder.model import Parts, shapes_of
from tests.jax_encoder.huggingface.helpers import (
    CLASSES,
    CONFIG,
    WEIGHTS,
    assert_same_tensors,
    fields_in,
    refusal,
    save_with_transformers,
    tensors_in,
)


@pytest.mark.parametrize(("model_type", "architecture"), CLASSES)
def test_every_class_is_written_as_it_was_read(model_type, architecture, tmp_path):
    published, again = tmp_path / "published", tmp_path / "again"
    save_with_transformers(architecture, model_type, published)
    loaded = huggingface.load(published)
    huggingface.save(loaded, again)
    assert_same_tensors(tensors_in(again), tensors_in(published))
    assert fields_in(again) == fields_in(published)
    second = huggingface.load(again)
    assert_same_tensors(second.params, loaded.params)
    assert (second.config, second.parts, second.architecture) == (loaded.config, loaded.parts, architecture)
    # Random numbers differ, so each of the file's is a parameter exactly once.
    used = {name: array for name, array in tensors_in(published).items() if name not in loaded.form.kept}
    theirs, ours = (np.concatenate([a.ravel() for a in each.values()]) for each in (used, loaded.params))
    np.testing.assert_array_equal(np.sort(ours), np.sort(theirs))


@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "BertModel", "RobertaForMaskedLM", "AlbertForMaskedLM"])
def test_what_is_not_tied_is_written_as_it_was_read(architecture, tmp_path):
    model_type = next(model_type for model_type, known in CLASSES if known == architecture)
    save_with_transformers(architecture, model_type, tmp_path / "published", tie_word_embeddings=False)
    loaded = huggingface.load(tmp_path / "published")
    huggingface.save(loaded, tmp_path / "again")
    assert_same_tensors(tensors_in(tmp_path / "again"), tensors_in(tmp_path / "published"))


@pytest.mark.slow
def test_a_checkpoint_that_others_published_is_written_as_it_was_read(tmp_path):
    from benchmarks.encode import minilm

    published = Path(minilm())
    loaded = huggingface.load(published)
    assert loaded.config == dataclasses.replace(EncoderConfig.minilm_l6(), scan_layers=loaded.config.scan_layers)
    assert (loaded.architecture, loaded.parts) == ("BertModel", Parts(head=False, pooler=True, classifier=None))
    huggingface.save(loaded, tmp_path)
    assert_same_tensors(tensors_in(tmp_path), tensors_in(published))
    assert fields_in(tmp_path) == fields_in(published) | {"dtype": "float32"}
    kept = {"config.json", "model.safetensors", "tokenizer.json", *loaded.beside}
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == kept
    assert_loaded_as_published(published, tmp_path)


def assert_loaded_as_published(published: Path, again: Path) -> None:
    """Without a warning, and with the same vectors, which are normalised: the list of modules came along."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoTokenizer

    texts = ["To be, or not to be", "that is the question"]
    AutoTokenizer.from_pretrained(again)
    with torch.inference_mode():
        ours, theirs = (SentenceTransformer(str(folder), device="cpu").encode(texts) for folder in (again, published))
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, rtol=1e-5)


def test_what_is_loaded_is_what_the_folder_says(bert):
    loaded = huggingface.load(bert)
    assert (loaded.family, loaded.architecture, loaded.folder) == ("bert", "BertForMaskedLM", bert)
    assert loaded.parts == Parts(head=True, pooler=False, classifier=None)
    assert {name: array.shape for name, array in loaded.params.items()} == shapes_of(loaded.config, loaded.parts)
    assert loaded.tokenizer is not None
    assert loaded.tokenizer.token_to_id("paris") == 8
    model = loaded.model()
    np.testing.assert_array_equal(model.encoder.embedding.word[...], loaded.params["encoder.embedding.word"])
    assert huggingface.load(str(bert)).config == loaded.config


def test_a_tokenizer_is_written_as_it_was_or_not_at_all(bert, tmp_path):
    loaded = huggingface.load(bert)
    huggingface.save(loaded, tmp_path / "with")
    assert json.loads((tmp_path / "with" / TOKENIZER).read_text()) == json.loads((bert / TOKENIZER).read_text())
    huggingface.save(dataclasses.replace(loaded, tokenizer=None), tmp_path / "without")
    assert sorted(path.name for path in (tmp_path / "without").iterdir()) == [CONFIG, WEIGHTS]
    assert huggingface.load(tmp_path / "without").tokenizer is None
    (tmp_path / "with" / TOKENIZER).write_text("{}")
    assert "tokenizer.json is not a tokenizer.json of Hugging Face tokenizers" in refusal(tmp_path / "with")


def test_what_stands_beside_is_carried_along(bert, tmp_path):
    folder = tmp_path / "published"
    shutil.copytree(bert, folder)
    (folder / "1_Pooling").mkdir()
    carried = {"tokenizer_config.json": b"{}", "modules.json": b"[]", "1_Pooling/config.json": b"\xff not JSON"}
    left = {"README.md": b"of other weights", "vocab.txt": b"[UNK]", "pytorch_model.bin": b"", "1_Pooling/notes": b""}
    for name, content in (carried | left).items():
        (folder / name).write_bytes(content)
    loaded = huggingface.load(folder)
    assert loaded.beside == carried
    huggingface.save(loaded, tmp_path / "again")
    for name in carried | left:
        assert (tmp_path / "again" / name).is_file() == (name in carried)
        assert name in left or (tmp_path / "again" / name).read_bytes() == carried[name]
    (folder / TOKENIZER).unlink()
    assert huggingface.load(folder).beside == carried | {"vocab.txt": b"[UNK]"}


def test_what_was_trained_is_written_in_its_own_dtype(bert, tmp_path):
    loaded = huggingface.load(bert)
    wider = {name: array.astype(np.float64) + 1 for name, array in loaded.params.items()}
    huggingface.save(dataclasses.replace(loaded, params=wider), tmp_path)
    assert fields_in(tmp_path) == fields_in(bert) | {"dtype": "float64"}
    assert_same_tensors(huggingface.load(tmp_path).params, wider)
    older = {**loaded.fields, "torch_dtype": "float16"}
    older.pop("dtype")
    huggingface.save(dataclasses.replace(loaded, fields=older), tmp_path)
    assert fields_in(tmp_path) == older | {"torch_dtype": "float32"}


def test_all_is_on_the_disk_before_any_of_it_has_its_name(bert, tmp_path, monkeypatch):
    named, replace = [], Path.replace

    def spied(self, target):
        files = sorted(path.name.split(".")[1] for path in tmp_path.iterdir() if path.name.startswith("."))
        named.append((target.name, files))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", spied)
    huggingface.save(huggingface.load(bert), tmp_path)
    assert named == [
        (WEIGHTS, ["config", "model", "tokenizer"]),
        (TOKENIZER, ["config", "tokenizer"]),
        (CONFIG, ["config"]),
    ]


@pytest.mark.parametrize("older", [False, True])
def test_what_cannot_be_written_leaves_nothing_behind(older, bert, tmp_path, monkeypatch):
    loaded = huggingface.load(bert)
    if older:
        huggingface.save(loaded, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def disk_full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("jax_encoder.huggingface.tensors.save_file", disk_full)
    with pytest.raises(InputError, match=f"{tmp_path} cannot be written: No space left on device"):
        huggingface.save(loaded, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_refused(bert, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file cannot be written: File exists"):
        huggingface.save(huggingface.load(bert), tmp_path / "file")
    with pytest.raises(InputError, match="cannot be written: Not a directory"):
        huggingface.save(huggingface.load(bert), tmp_path / "file" / "below")


def test_an_encoder_that_the_family_cannot_express_is_refused_with_what_it_lacks(bert, tmp_path):
    loaded = huggingface.load(bert)
    other = dataclasses.replace(loaded.config, norm_kind="rms", norm_bias=False, windows=(None, 4))
    with pytest.raises(InputError) as refused:
        huggingface.save(dataclasses.replace(loaded, config=other), tmp_path / "x")
    assert str(refused.value) == (
        "bert cannot express this encoder:\n"
        "  windows=(None, 4), where the family has (None, None)\n"
        "  norm_kind='rms', where the family has 'layer'\n"
        "  norm_bias=False, where the family has True"
    )
    assert not (tmp_path / "x").exists()


def test_another_encoder_of_the_family_is_written_with_its_own_fields(bert, tmp_path):
    loaded = huggingface.load(bert)
    other = dataclasses.replace(loaded.config, norm_eps=1e-5, activation="relu", mlm_activation="relu")
    huggingface.save(dataclasses.replace(loaded, config=other), tmp_path)
    assert huggingface.load(tmp_path).config == other
    written = fields_in(tmp_path)
    assert (written["layer_norm_eps"], written["hidden_act"]) == (1e-5, "relu")
    assert written["transformers_version"] == fields_in(bert)["transformers_version"]


def test_what_contradicts_the_encoder_is_not_written_beside_it(bert, tmp_path):
    loaded = huggingface.load(bert)
    fields = {**loaded.fields, "position_embedding_type": "relative_key"}
    with pytest.raises(InputError, match="cannot express this encoder:\n  position_embedding_type='relative_key': pos"):
        huggingface.save(dataclasses.replace(loaded, fields=fields), tmp_path)


def test_weights_of_several_dtypes_leave_the_dtype_as_it_was(bert, tmp_path):
    loaded = huggingface.load(bert)
    params = loaded.params | {"head.bias": loaded.params["head.bias"].astype(np.float64)}
    huggingface.save(dataclasses.replace(loaded, params=params), tmp_path)
    assert fields_in(tmp_path) == fields_in(bert)
    assert_same_tensors(huggingface.load(tmp_path).params, params)


def test_parameters_of_another_model_are_refused(bert, tmp_path):
    loaded = huggingface.load(bert)
    params = dict(loaded.params) | {"x": np.ones(3, np.float32)}
    params["encoder.embedding.word"] = params["encoder.embedding.word"][1:]
    del params["head.bias"]
    with pytest.raises(InputError) as refused:
        huggingface.save(dataclasses.replace(loaded, params=params), tmp_path)
    assert str(refused.value) == (
        "these are not the parameters of such a model; they differ in:\n  encoder.embedding.word\n  head.bias\n  x"
    )
