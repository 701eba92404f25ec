"""Weights that others trained, in four families' forms: each side reads the folder by itself."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import transformers
from safetensors.numpy import save_file

from benchmarks.encode import minilm, sentences
from jax_encoder import huggingface, masks
from jax_encoder.huggingface.checkpoint import Checkpoint
from jax_encoder.model import Parts
from parity import cli
from parity.encoder.checkpoints import load_silently
from parity.errors import UsageError
from parity.judge.check import check
from parity.judge.verdict import Verdict
from parity.published.subject import CheckpointSubject, subject
from parity.report.text import headline, render
from tests.jax_encoder.huggingface.helpers import save_with_transformers

BARE = Parts(head=False, pooler=False, classifier=None)
TYPES, WORDS, POSITIONS = (f"encoder.embedding.{table}" for table in ("token_type", "word", "position"))


@pytest.fixture(scope="module")
def bert() -> Checkpoint:
    return huggingface.load(minilm())


def as_electra(bert: Checkpoint) -> Checkpoint:
    return laid_out(bert, "electra", "ElectraModel", bert.params)


def as_distilbert(bert: Checkpoint) -> Checkpoint:
    """Which has no token types: all are of type 0, whose row goes into the words."""
    params = dict(bert.params)
    params[WORDS] = params[WORDS].astype(np.float64) + params.pop(TYPES)[0]  # in float32 the sum would be rounded
    return laid_out(bert, "distilbert", "DistilBertModel", params, num_token_types=0)


def as_roberta(bert: Checkpoint) -> Checkpoint:
    """Whose positions start behind the padding token, which is number 0."""
    params = dict(bert.params)
    params[POSITIONS] = np.concatenate([np.full_like(params[POSITIONS][:1], 7), params[POSITIONS]])
    return laid_out(bert, "roberta", "RobertaModel", params, position_offset=1)


def laid_out(bert: Checkpoint, family: str, architecture: str, params: dict, **changes) -> Checkpoint:
    params = {name: value for name, value in params.items() if not name.startswith("pooler.")}
    config = dataclasses.replace(bert.config, mlm_activation=bert.config.activation, **changes)
    return Checkpoint(config, BARE, params, family, architecture, {"pad_token_id": 0}, bert.tokenizer)


def hidden(checkpoint: Checkpoint, texts: list[str]) -> np.ndarray:
    """The last hidden states of each text's tokens, one text after the other."""
    model = checkpoint.model(dtype=jnp.float64, param_dtype=jnp.float64)
    checkpoint.tokenizer.no_truncation()
    checkpoint.tokenizer.enable_padding()
    encoded = checkpoint.tokenizer.encode_batch(texts)
    valid = np.array([each.attention_mask for each in encoded], bool)
    tokens = jnp.asarray([each.ids for each in encoded], jnp.int32)
    outputs, _ = model(tokens, masks.from_segments(jnp.asarray(valid, jnp.int32)))
    return np.asarray(outputs.hidden)[valid]


@pytest.mark.slow
@pytest.mark.parametrize("lay_out", [None, as_distilbert, as_roberta, as_electra])
def test_published_weights_are_the_same_function_in_every_form(lay_out, bert, tmp_path):
    folder, texts = minilm(), sentences(4)
    if lay_out is not None:
        folder = tmp_path / "model"
        huggingface.save(lay_out(bert), folder)
        np.testing.assert_allclose(hidden(load_silently(folder), texts), hidden(bert, texts), rtol=0, atol=1e-12)
    report = check(CheckpointSubject(str(folder)), cases=["ragged", "packed"])
    assert report.verdict is Verdict.PASS, headline(report)
    sites = {comparison.site for run in report.runs for comparison in run.comparisons}
    assert {f"hidden.{layer}" for layer in range(7)} <= sites
    assert max(comparison.error for run in report.runs for comparison in run.comparisons) < 1e-11


# One of each way to name and to find weights: several classes of a family, a pooler that the file lacks or has in
# excess, packed projections, a classifier's own form.
@pytest.mark.parametrize(
    ("model_type", "architecture"),
    [
        ("bert", "BertModel"),
        ("bert", "BertForTokenClassification"),
        ("xlm-roberta", "XLMRobertaForSequenceClassification"),
        ("modernbert", "ModernBertForMaskedLM"),
    ],
)
def test_a_checkpoint_of_any_class_can_be_checked(model_type, architecture, tmp_path):
    save_with_transformers(architecture, model_type, tmp_path)
    found = subject(model=str(tmp_path))
    assert list(found.variants()) == [architecture]
    report = check(found, cases=["ragged"])
    assert report.verdict is Verdict.PASS, headline(report)


def test_weights_that_the_two_read_differently_are_a_failure(tmp_path, monkeypatch):
    save_with_transformers("DistilBertModel", "distilbert", tmp_path)
    name = "encoder.layers.mlp.up.kernel"

    def misread(folder: str) -> Checkpoint:
        checkpoint = huggingface.load(folder)
        kernels = np.array(checkpoint.params[name])
        kernels[1] = kernels[1][:, ::-1]
        return dataclasses.replace(checkpoint, params={**checkpoint.params, name: kernels})

    monkeypatch.setattr("parity.published.subject.load_silently", misread)
    report = check(subject(model=str(tmp_path)), cases=["ragged"])
    assert report.verdict is Verdict.FAIL_SEMANTIC
    assert "hidden.2, first of" in headline(report)


def test_a_folder_that_transformers_cannot_read_is_a_failure(tmp_path):
    save_with_transformers("BertModel", "bert", tmp_path)
    found = subject(model=str(tmp_path))
    save_file({"nothing": np.zeros(3, np.float32)}, tmp_path / "model.safetensors", {"format": "pt"})
    report = check(found, cases=["ragged"])
    assert report.verdict is Verdict.FAIL_SEMANTIC
    assert "transformers misses ['embeddings.LayerNorm.bias', " in render(report)
    logging = transformers.utils.logging
    logging.enable_progress_bar()
    (tmp_path / "model.safetensors").unlink()
    assert f"transformers cannot read {tmp_path}: " in render(check(found, cases=["ragged"]))
    assert logging.is_progress_bar_enabled()
    logging.disable_progress_bar()


def test_a_model_on_the_command_line(tmp_path, capsys):
    save_with_transformers("BertModel", "bert", tmp_path)
    arguments = ["check", "--against", "transformers", "--model", str(tmp_path), "--case", "one-token"]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert said.startswith("parity PASS: 1 variant x 1 case, ")
    assert f"{tmp_path}, a BertModel, in jax_encoder against transformers" in said
    assert cli.main([*arguments, "--family", "bert"]) == 2
    assert "--model is one: leave out either" in capsys.readouterr().err
    assert cli.main(["check", "--model", str(tmp_path)]) == 2
    assert "add --against transformers" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="model_type must be one of"):
        subject(model=str(tmp_path))
