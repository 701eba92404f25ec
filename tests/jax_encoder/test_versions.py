"""What earlier versions wrote goes on loading, with the values that its fields had then; a newer one is refused.

The files are as those versions wrote them. A field that is added without a row for what it was worth before fails here.
"""

import dataclasses
import json

import pytest

from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.training.config import ModelOptions, OptimizerOptions, PretrainConfig, TextOptions
from jax_encoder.training.run_folder import RunFolder
from jax_encoder.versions import newest, upgraded

ENCODER_1 = """{
  "vocab_size": 128, "max_len": 128, "embed_dim": 128, "num_layers": 4, "num_heads": 2, "head_dim": 64, "mlp_dim": 192,
  "num_token_types": 0, "position_kind": "rotary", "position_offset": 0,
  "rope_thetas": [160000.0, 10000.0, 10000.0, 160000.0], "windows": [null, 32, 32, null],
  "norm_order": "pre", "norm_kind": "layer", "norm_eps": 1e-05, "norm_bias": false, "embedding_norm": true,
  "first_attention_norm": false, "final_norm": true, "mlp_kind": "gated", "activation": "gelu_exact",
  "attention_bias": false, "mlp_bias": false,
  "embedding_dropout": 0.0, "attention_dropout": 0.0, "residual_dropout": 0.0, "init_std": 0.02, "scan_layers": true
}"""
ENCODER_2 = """{
  "vocab_size": 61, "max_len": 37, "embed_dim": 20, "table_dim": 12, "num_layers": 2, "layer_groups": [0, 0],
  "num_heads": 3, "num_key_value_heads": 1, "head_dim": 8, "mlp_dim": 28, "num_token_types": 4,
  "position_kind": "learned", "position_offset": 2, "relative_buckets": 8, "relative_max_distance": 20,
  "rope_thetas": [], "windows": [null, null],
  "norm_order": "post", "norm_kind": "layer", "norm_eps": 1e-12, "norm_bias": true, "embedding_norm": true,
  "first_attention_norm": true, "final_norm": false, "mlp_kind": "dense", "activation": "gelu_tanh",
  "attention_bias": true, "mlp_bias": true,
  "mlm_activation": "relu", "mlm_transform_bias": false, "mlm_decoder_bias": false, "mlm_tied": false,
  "embedding_dropout": 0.1, "attention_dropout": 0.1, "residual_dropout": 0.1, "init_std": 0.02, "scan_layers": true
}"""
ENCODER_3 = """{
  "vocab_size": 61, "max_len": 37, "embed_dim": 20, "table_dim": null, "num_layers": 2, "layer_groups": [0, 1],
  "num_heads": 3, "num_key_value_heads": 3, "head_dim": 8, "mlp_dim": 28, "num_token_types": 0, "dropped_token": 5,
  "position_kind": "none", "position_offset": 0, "relative_kind": "disentangled", "relative_buckets": 8,
  "relative_max_distance": 20, "relative_norm": true, "relative_projections": true,
  "rope_thetas": [], "rope_frequencies": [], "windows": [null, null],
  "norm_order": "post", "norm_kind": "layer", "norm_eps": 1e-07, "norm_bias": true, "embedding_norm": true,
  "first_attention_norm": true, "final_norm": false, "mlp_kind": "gated", "activation": "gelu_tanh",
  "attention_bias": true, "scale_scores": false, "mlp_bias": false, "mlp_down_bias": true,
  "mlm_activation": "relu", "mlm_transform_bias": false, "mlm_decoder_bias": false, "mlm_tied": false,
  "embedding_dropout": 0.1, "attention_dropout": 0.1, "residual_dropout": 0.1, "init_std": 0.02, "scan_layers": true
}"""
TRAINING_1 = """{
  "steps": 20, "batch_size": 4, "accumulate": 1, "seed": 0, "eval_every": 10, "checkpoint_every": 10, "keep": 5,
  "verify": false,
  "text": {
    "data": ["corpus.txt"], "tokenizer": null, "tokenizer_kind": "wordpiece", "vocab_size": 128, "mask_rate": 0.3,
    "max_eval_rows": 4
  },
  "model": {
    "preset": "mini", "encoder": null, "seq_len": null, "dropout": null, "dtype": "float32", "matmul_precision": "high"
  },
  "optimizer": {
    "learning_rate": 0.003, "warmup_steps": 2, "schedule": "cosine", "decay_fraction": 0.2, "weight_decay": 0.01,
    "b1": 0.9, "b2": 0.98, "eps": 1e-08, "clip_norm": 1.0
  }
}"""
# The same form in both versions, but for the vocabulary, which followed the tokenizer.
MINI = dataclasses.replace(EncoderConfig.mini(), vocab_size=128)


def changed(text: str, **changes) -> str:
    return json.dumps(json.loads(text) | changes)


def test_the_first_version_had_no_other_encoders():
    assert EncoderConfig.from_json(ENCODER_1) == MINI
    other = changed(ENCODER_1, num_heads=6, activation="relu", mlp_bias=True)
    read = EncoderConfig.from_json(other)
    assert (read.num_key_value_heads, read.mlm_activation, read.mlm_transform_bias) == (6, "relu", True)
    assert EncoderConfig.from_json(changed(other, version=1)) == read


@pytest.mark.parametrize(("text", "version"), [(ENCODER_2, 2), (ENCODER_3, 3)])
def test_a_version_is_told_by_its_fields(text, version):
    read = EncoderConfig.from_json(text)
    expected = json.loads(text)
    assert {name: json.loads(json.dumps(getattr(read, name))) for name in expected} == expected
    assert EncoderConfig.from_json(changed(text, version=version)) == read


def test_the_second_version_had_one_relative_kind_and_one_bias_of_the_mlp():
    read = EncoderConfig.from_json(ENCODER_2)
    assert (read.relative_kind, read.relative_norm, read.relative_projections) == ("bias", False, False)
    assert (read.scale_scores, read.mlp_down_bias) == (True, True)
    read = EncoderConfig.from_json(changed(ENCODER_2, relative_buckets=0, relative_max_distance=0, mlp_bias=False))
    assert (read.relative_kind, read.mlp_down_bias) == (None, False)


def test_todays_version_says_so():
    assert json.loads(MINI.to_json())["version"] == 3
    assert next(iter(json.loads(MINI.to_json()))) == "version"
    assert PretrainConfig().to_dict()["version"] == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            changed(ENCODER_2, version=4),
            "the encoder config is of version 4, written by a newer version of jax-encoder: this one reads versions up "
            "to 3; upgrade it",
        ),
        (
            changed(ENCODER_2, version="2.0"),
            "the encoder config must have a whole number of at least 1 as version, got '2.0'",
        ),
        (
            changed(ENCODER_2, version=0),
            "the encoder config must have a whole number of at least 1 as version, got 0",
        ),
        (changed(ENCODER_1, table_dim=None), "the encoder config has unknown fields [] and lacks ['dropped_token', "),
        (changed(ENCODER_1, depth=3), "the encoder config has unknown fields ['depth'] and lacks ['dropped_token', "),
        (changed(ENCODER_2, version=1), "the encoder config has unknown fields ['layer_groups', "),
        (changed(ENCODER_1, version=2), "the encoder config has unknown fields [] and lacks ['layer_groups', "),
        (
            changed(ENCODER_1, num_layers="four"),
            "the encoder config holds a value of the wrong kind: 'str' object cannot be interpreted as an integer",
        ),
        (changed(ENCODER_1, mlp_dim=0), "mlp_dim must be a whole number of at least 1, got 0"),
    ],
)
def test_what_no_version_can_have_written_is_refused(text, message):
    with pytest.raises(ValueError) as error:
        EncoderConfig.from_json(text)
    assert str(error.value).startswith(message)


def test_a_run_of_the_first_version_is_read(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_json(folder.config, {"training": json.loads(TRAINING_1), "encoder": json.loads(ENCODER_1)})
    training, encoder = folder.read_config()
    assert encoder == MINI
    assert training == PretrainConfig(
        run=str(tmp_path),
        steps=20,
        batch_size=4,
        eval_every=10,
        checkpoint_every=10,
        keep=5,
        max_skipped=1,  # the first ended a run
        verify=False,
        text=TextOptions(data=("corpus.txt",), vocab_size=128, max_eval_rows=4),
        model=ModelOptions(attention="einsum"),  # how it was computed then
        optimizer=OptimizerOptions(learning_rate=0.003, warmup_steps=2),
    )


@pytest.mark.parametrize("part", ["training", "encoder"])
def test_a_run_of_a_newer_version_is_refused(tmp_path, part):
    folder = RunFolder(tmp_path)
    folder.write_config(PretrainConfig(), MINI)
    values = json.loads(folder.config.read_text())
    values[part] |= {"version": 9, "something": "new"}
    folder.write_json(folder.config, values)
    with pytest.raises(InputError) as error:
        folder.read_config()
    said = str(error.value)
    assert said.startswith(f"{folder.config} cannot be read as the config of a run: ")
    assert f"{part if part == 'training' else 'the encoder config'} is of version 9, written by a newer version" in said


ADDED = {
    2: {"b": lambda fields: fields["a"] + 1, "c": lambda _: None},
    4: {"d": lambda fields: [fields["b"], fields["c"]]},
}
NOW = {"a": 1, "b": 2, "c": None, "d": [2, None]}


@pytest.mark.parametrize(
    "saved",
    [
        {"a": 1},
        {"a": 1, "version": 1},
        {"a": 1, "b": 2, "c": None},
        {"a": 1, "b": 2, "c": None, "version": 2},
        {"a": 1, "b": 2, "c": None, "version": 3},
        NOW,
        NOW | {"version": 4},
    ],
)
def test_a_field_is_worth_what_it_was_through_all_versions(saved):
    assert newest(ADDED) == 4
    assert newest({}) == 1
    before = dict(saved)
    assert upgraded(saved, NOW, ADDED, what="it") == NOW
    assert saved == before
