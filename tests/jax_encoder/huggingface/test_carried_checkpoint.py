"""Whole checkpoints: read and written as they were, refused where they would come out as something else."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled
from safetensors import SafetensorError
from tokenizers import Tokenizer, models

from jax_encoder import huggingface
from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.huggingface import FAMILIES, Checkpoint, checkpoint, hub
from jax_encoder.huggingface.checkpoint import TOKENIZER, differences
from jax_encoder.model import Parts, shapes_of
from tests.jax_encoder.huggingface.helpers import (
    CLASSES,
    CONFIG,
    WEIGHTS,
    assert_same_tensors,
    fields_in,
    fuzz,
    refusal,
    save_with_transformers,
    tensors_in,
    write,
)


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bert") / "published"
    save_with_transformers("BertForMaskedLM", "bert", folder)
    words = {"[UNK]": 0, "the": 1, "cat": 2}
    Tokenizer(models.WordPiece(words, unk_token="[UNK]")).save(str(folder / TOKENIZER))
    return folder


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
    theirs, ours = (
        np.concatenate([a.ravel() for a in each.values()]) for each in (tensors_in(published), loaded.params)
    )
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
    assert loaded.tokenizer.token_to_id("cat") == 2
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


def drawn(config: EncoderConfig, parts: Parts) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes_of(config, parts).items()}


def new(config: EncoderConfig, parts: Parts, family: str, architecture: str) -> Checkpoint:
    """A checkpoint that was never read."""
    return Checkpoint(config, parts, drawn(config, parts), family, architecture, {}, None)


def small(family: str) -> EncoderConfig:
    names = {"distilbert": ("dim", "n_layers", "n_heads", "hidden_dim")}
    theirs = names.get(family, ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"))
    values = {"vocab_size": 31, "max_position_embeddings": 17} | dict(zip(theirs, (12, 2, 3, 20), strict=True))
    return FAMILIES[family].read(checkpoint.Fields(values, family))


def test_what_the_class_has_no_tensors_for_is_refused(tmp_path):
    config = small("distilbert")
    with pytest.raises(
        InputError, match=r"distilbert has no tensors for:\n  pooler\.dense\.bias\n  pooler\.dense\.ker"
    ):
        huggingface.save(new(config, Parts(True, True, None), "distilbert", "DistilBertForMaskedLM"), tmp_path)


def test_a_new_checkpoint_of_any_class_of_a_family_says_its_model_type(tmp_path):
    config = small("roberta")
    for architecture, model_type in (("CamembertForMaskedLM", "camembert"), ("RobertaForMaskedLM", "roberta")):
        made = new(config, Parts(True, False, None), "roberta", architecture)
        huggingface.save(made, tmp_path)
        loaded = huggingface.load(tmp_path)
        assert (loaded.config, loaded.architecture, loaded.fields["model_type"]) == (config, architecture, model_type)
        assert_same_tensors(loaded.params, made.params)
    for architecture, fields in (("BertForMaskedLM", {}), ("RobertaForMaskedLM", {"model_type": "camembert"})):
        made = dataclasses.replace(made, architecture=architecture, fields=fields)
        with pytest.raises(InputError, match=f"the class must be one of .*, got '{architecture}'"):
            huggingface.save(made, tmp_path)


def test_transformers_reads_a_new_classifier_with_all_of_its_weights(tmp_path):
    import torch
    import transformers

    config = small("bert")
    form = ClassifierConfig(num_classes=5, pooling="first", activation="tanh", transform_bias=True, norm=False)
    made = new(config, Parts(False, False, form), "bert", "BertForSequenceClassification")
    huggingface.save(made, tmp_path)
    model, told = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert (type(model).__name__, model.num_labels, model.config.id2label[4]) == (made.architecture, 5, "LABEL_4")
    torch.testing.assert_close(model.classifier.weight.detach().numpy().T, made.params["classifier.output.kernel"])
    loaded = huggingface.load(tmp_path)
    assert loaded.parts == made.parts
    huggingface.save(loaded, tmp_path / "again")
    assert fields_in(tmp_path / "again") == fields_in(tmp_path)


def test_a_classifier_that_the_class_does_not_have_is_refused(tmp_path):
    form = ClassifierConfig(num_classes=5, pooling="mean", activation="tanh", transform_bias=True, norm=False)
    made = new(small("bert"), Parts(False, False, form), "bert", "BertForSequenceClassification")
    with pytest.raises(InputError, match=r"BertForSequenceClassification has classifier .*'first'.* got .*'mean'"):
        huggingface.save(made, tmp_path)
    with pytest.raises(InputError, match="BertForMaskedLM has classifier None, got "):
        huggingface.save(dataclasses.replace(made, architecture="BertForMaskedLM"), tmp_path)


@pytest.mark.parametrize(
    ("config", "family"),
    [
        (EncoderConfig.bert_base(), "bert"),
        (EncoderConfig.minilm_l6(), "bert"),
        (EncoderConfig.roberta_base(), "roberta"),
        (EncoderConfig.modernbert_base(), "modernbert"),
        *((small(name), name) for name in ("distilbert", "electra", "albert", "mpnet", "eurobert")),
    ],
)
def test_an_encoder_finds_the_first_family_that_has_its_form(config, family):
    assert huggingface.family_for(config).name == family
    assert differences(config, FAMILIES[family]) == []


def test_an_encoder_of_no_family_is_told_what_each_lacks():
    config = dataclasses.replace(EncoderConfig.bert_base(), norm_bias=False, head_dim=32, scan_layers=False)
    with pytest.raises(InputError) as refused:
        huggingface.family_for(config)
    first, *lines = str(refused.value).splitlines()
    assert first == "no published family has an encoder like this:"
    assert [line.split(":")[0].strip() for line in lines] == list(FAMILIES)
    assert lines[0] == ("  bert: head_dim=32, where the family has 64; norm_bias=False, where the family has True")
    assert lines[-1].startswith("  eurobert: num_token_types=2, where the family has 0; position_kind='learned', where")
    assert lines[-1].endswith(" ...")
    # What a family cannot even write down is told in the words of its own config.
    rope = dataclasses.replace(EncoderConfig.modernbert_base(), windows=(None,) * 22, rope_thetas=(3e4,) * 22)
    assert differences(rope, FAMILIES["modernbert"]) == []
    mixed = dataclasses.replace(rope, rope_thetas=(1e4, *rope.rope_thetas[1:]))
    assert differences(mixed, FAMILIES["modernbert"])[0].startswith("rope_thetas=(10000.0, ")
    # ALBERT's layers come in groups, one after the other.
    there_and_back = dataclasses.replace(small("albert"), num_layers=3, layer_groups=(0, 1, 0), windows=(None,) * 3)
    assert differences(there_and_back, FAMILIES["albert"]) == ["layer_groups=(0, 1, 0), where the family has (0, 0, 1)"]
    huge = dataclasses.replace(
        EncoderConfig.bert_base(), num_layers=2000, layer_groups=tuple(range(2000)), windows=(None,) * 2000
    )
    assert differences(huge, FAMILIES["bert"]) == ["num_hidden_layers=2000: must be a whole number from 0 to 1024"]


class Hub:
    """Stands in for huggingface_hub: nothing goes over the network."""

    def __init__(self, folder: Path, error: Exception | None = None):
        self.folder, self.error, self.asked = folder, error, []

    def __call__(self, name: str, allow_patterns: list[str]) -> str:
        self.asked.append((name, allow_patterns))
        if self.error is not None:
            raise self.error
        return str(self.folder)


@pytest.fixture
def online(monkeypatch, bert) -> Hub:
    stand_in = Hub(bert)
    monkeypatch.setattr("huggingface_hub.snapshot_download", stand_in)
    return stand_in


def test_a_name_on_the_hub_is_fetched(online, bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert huggingface.load("google/bert").folder == bert
    assert huggingface.load("bert", allow_pickle=True).folder == bert
    wanted = ["*.json", "*.safetensors", "1_Pooling/*", "*.txt"]
    assert online.asked == [("google/bert", wanted), ("bert", wanted)]


def test_pickled_weights_are_fetched_on_request_where_there_are_no_others(online, tmp_path):
    online.folder = tmp_path
    assert hub.folder_of("google/bert") == hub.folder_of("google/bert", allow_pickle=True) == tmp_path
    assert [patterns for _, patterns in online.asked][2:] == [["pytorch_model*.bin"]]
    (tmp_path / CONFIG).write_text('{"model_type": "bert"}')
    assert "(pickled ones of the hub are fetched with allow_pickle=True only)" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["./gone", "/gone", "~/gone", "a/b/c", Path("gone"), Path("a/b")])
def test_a_path_is_not_looked_for_on_the_hub(name, online):
    with pytest.raises(InputError, match=f"{name} is not a folder: name one with config.json and weights"):
        huggingface.load(name)
    assert online.asked == []


class NetworkError(Exception):
    """Of a client that huggingface_hub happens to use."""


ERRORS = (
    LocalEntryNotFoundError("cannot find it on the disk\nand no network"),
    HFValidationError("cannot find it: a bad name"),
    OfflineModeIsEnabled("cannot find it offline"),
    OSError("cannot find it: disk full"),
    NetworkError("cannot find it: no route to host"),
    NetworkError(),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_name_that_cannot_be_fetched_is_an_input_error(error, online):
    online.error = error
    said = "cannot find it.*" if str(error) else "NetworkError"
    with pytest.raises(
        InputError, match=f"^no/name is not a folder here, and could not be fetched from the hub: {said}$"
    ):
        huggingface.load("no/name")


def test_names_on_the_hub_need_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match="names on the hub need huggingface_hub: pip install huggingface_hub"):
        huggingface.load("no/name")


FUZZED = {
    "BertForMaskedLM": "bert",
    "AlbertForPreTraining": "albert",
    "ModernBertForSequenceClassification": "modernbert",
    "EuroBertForMaskedLM": "eurobert",
}


def sound(architecture: str, folder: Path) -> Path:
    """A checkpoint to damage; BERT's has all that a published file may have besides its weights."""
    if architecture != "BertForMaskedLM":
        save_with_transformers(architecture, FUZZED[architecture], folder)
        return folder
    save_with_transformers("BertForPreTraining", "bert", folder)
    tensors = tensors_in(folder)
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"]
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"]
    tensors["bert.embeddings.position_ids"] = np.arange(17)[None]
    return write(folder, fields_in(folder) | {"architectures": [architecture]}, tensors)


@pytest.mark.parametrize("architecture", FUZZED)
def test_a_damaged_checkpoint_is_refused_or_read_as_if_it_were_not(architecture, tmp_path):
    came = fuzz(sound(architecture, tmp_path / "sound"), tmp_path / "damaged", 100, seed=0)
    assert came.refused > 80
    assert came.identical > 0
    assert came.slowest < 5


@pytest.mark.slow
def test_ten_thousand_damaged_checkpoints(tmp_path, record_property):
    folder = sound("BertForMaskedLM", tmp_path / "sound")
    # In a process of its own first: whatever ends that one would end the tests.
    code = f"from pathlib import Path; from {fuzz.__module__} import fuzz; at = Path({str(tmp_path)!r}); "
    code += "came = fuzz(at / 'sound', at / 'apart', 400, seed=1); print(came); assert came.grown < 2**28"
    here = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    came = fuzz(folder, tmp_path / "damaged", 10_000, seed=2)
    record_property("fuzzed", str(came))
    print(f"\nin a process of its own: {done.stdout.strip()}\nhere: {came}")
    assert came.refused + came.identical == 10_000
    assert came.slowest < 5
    assert came.grown < 2**28
