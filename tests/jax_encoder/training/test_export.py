"""A trained run as a folder that transformers loads: the same weights, the same logits, nothing half-written."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

import train
from jax_encoder import EncoderConfig, InputError, huggingface, masks
from jax_encoder.data.tokenizer import Vocabulary
from jax_encoder.huggingface import publish
from jax_encoder.huggingface.checkpoint import family_for
from jax_encoder.params import named
from jax_encoder.training import export
from jax_encoder.training.session import load_trained
from tests.jax_encoder.training.helpers import write_corpus

OPTIONS = {"vocab-size": 120, "steps": 4, "warmup-steps": 1, "batch-size": 4, "max-eval-rows": 3, "average": 0.5}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    write_corpus(folder / "corpus.txt")
    encoder = dataclasses.replace(
        EncoderConfig.tiny(), embed_dim=24
    )  # published families want heads to share the width
    (folder / "encoder.json").write_text(encoder.to_json())
    options = OPTIONS | {"run": folder / "run", "data": folder / "corpus.txt", "encoder": folder / "encoder.json"}
    assert train.main(["pretrain", *(f"--{key}={value}" for key, value in options.items()), "--no-verify"]) == 0
    return folder / "run"


@pytest.mark.slow
def test_transformers_loads_it_and_computes_the_same(run, tmp_path, capsys):
    to = tmp_path / "model"
    assert train.main(["export", str(run), "--to", str(to)]) == 0
    assert f"wrote {to}" in capsys.readouterr().out
    model, found = transformers.AutoModelForMaskedLM.from_pretrained(to, output_loading_info=True)
    assert not any(found[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(to)
    given = tokenizer("a b c", return_tensors="pt")
    checkpoint = huggingface.load(to)
    tokens_BT = jnp.asarray(given["input_ids"].numpy(), jnp.int32)
    types_BT = jnp.asarray(given["token_type_ids"].numpy(), jnp.int32)
    mask_BTS = masks.from_valid(jnp.ones(tokens_BT.shape, bool))
    ours, _ = checkpoint.model(dtype=jnp.float64, param_dtype=jnp.float64)(tokens_BT, mask_BTS, token_types_BT=types_BT)
    with torch.no_grad():
        theirs = model.double().eval()(**given).logits.numpy()
    np.testing.assert_allclose(ours.logits, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())
    assert tokenizer.mask_token_id == checkpoint.tokenizer.token_to_id("[MASK]")
    assert "| steps | 4 of 4, batches of 4 rows, seed 0 |" in (to / "README.md").read_text()
    assert "| parity | not checked |" in (to / "README.md").read_text()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_the_moving_average_is_exported_on_request(run, tmp_path, capsys):
    assert train.main(["export", str(run), "--to", str(tmp_path / "model"), "--average"]) == 0
    written = huggingface.load(tmp_path / "model").params
    average, last = (named(load_trained(run, average=average).params) for average in (True, False))
    assert all((written[name] == array).all() for name, array in average.items())
    assert 0 < np.abs(average["encoder.embedding.word"] - last["encoder.embedding.word"]).max() < 0.01
    assert "not checked: these are the moving average" in (tmp_path / "model" / "README.md").read_text()
    values = json.loads((run / "config.json").read_text())
    values["training"]["optimizer"]["average"] = None
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="keeps no moving average of its parameters: it was begun without --average"):
        load_trained(tmp_path / "run", average=True)


@pytest.mark.slow
def test_the_certificate_goes_along(run, tmp_path):
    (run / "parity.json").write_text(json.dumps({"verdict": "PASS"}))
    try:
        export.export_run(run, tmp_path / "model")
    finally:
        (run / "parity.json").unlink()
    assert json.loads((tmp_path / "model" / "parity.json").read_text()) == {"verdict": "PASS"}
    assert "| parity | PASS: jax_encoder against PyTorch" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.slow
def test_nothing_is_overwritten_and_nothing_left_half(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert train.main(["export", str(run), "--to", str(tmp_path / "full")]) == 2
    assert capsys.readouterr().err.startswith(f"train.py: {tmp_path / 'full'} exists already: name another folder")
    monkeypatch.setattr(export, "_card", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export.export_run(run, tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_no_run_is_refused(tmp_path, capsys):
    assert train.main(["export", str(tmp_path / "none"), "--to", str(tmp_path / "model")]) == 2
    assert "none" in capsys.readouterr().err


def test_a_padding_token_that_would_shift_positions_is_refused():
    vocabulary = Vocabulary(size=9, pad=0, cls=1, sep=2, mask=3, unk=4, special=(0, 1, 2, 3, 4))
    publish._check_padding(EncoderConfig.tiny(), vocabulary)
    publish._check_padding(EncoderConfig.roberta_base(), vocabulary._replace(pad=1))
    with pytest.raises(InputError, match="belong to a padding token of number 1, and the tokenizer's is 0"):
        publish._check_padding(EncoderConfig.roberta_base(), vocabulary)


@pytest.mark.parametrize(
    ("preset", "family"),
    [
        ("tiny", None),
        ("mini", "modernbert"),
        ("bert_base", "bert"),
        ("roberta_base", "roberta"),
        ("modernbert_base", "modernbert"),
        ("minilm_l6", "bert"),
    ],
)
def test_the_family_of_every_preset(preset, family):
    config = getattr(EncoderConfig, preset)()
    if family is not None:
        assert family_for(config).name == family


def test_an_encoder_of_no_family_is_refused_with_what_each_lacks():
    config = dataclasses.replace(EncoderConfig.tiny(), norm_kind="rms", embed_dim=24)
    with pytest.raises(InputError) as error:
        family_for(config)
    said = str(error.value)
    assert said.startswith("no published family has an encoder like this:\n  bert: ")
    assert "norm_kind='rms', where the family has 'layer'" in said
    assert all(f"\n  {name}: " in said for name in huggingface.FAMILIES)
