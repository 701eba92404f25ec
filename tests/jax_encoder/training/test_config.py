import dataclasses
import json

import pytest

from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.training.choose import choose_encoder, fit_vocabulary, row_length
from jax_encoder.training.config import (
    ModelOptions,
    OptimizerOptions,
    PretrainConfig,
    TextOptions,
)

REFUSED = {
    "--steps must be at least 1, got 0": {"steps": 0},
    "--batch-size must be at least 1, got -3": {"batch_size": -3},
    "--accumulate must be at least 1, got 0": {"accumulate": 0},
    "--eval-every must be at least 1, got 0": {"eval_every": 0},
    "--checkpoint-every must be at least 1, got 0": {"checkpoint_every": 0},
    "--keep must be at least 1, got 0": {"keep": 0},
    "--label-smoothing must be at least 0 and below 1, got 1.0": {"label_smoothing": 1.0},
    "--z-loss must be at least 0 and finite, got -0.1": {"z_loss": -0.1},
    "--max-skipped must be at least 1, got 0": {"max_skipped": 0},
    "--seed must be at least 0 and below 2^32, got -1": {"seed": -1},
    "--batch-size 10 cannot be computed in --accumulate 4 equal parts": {"batch_size": 10, "accumulate": 4},
    "--mask-rate must be above 0 and below 1, got 0.0": {"text": TextOptions(mask_rate=0.0)},
    "--mask-shares must be at least 0 and together at most 1, got 0.9 0.2": {
        "text": TextOptions(mask_shares=(0.9, 0.2))
    },
    "--vocab-size must be at least 1, got 0": {"text": TextOptions(vocab_size=0)},
    "--max-eval-rows must be at least 1, got 0": {"text": TextOptions(max_eval_rows=0)},
    "--seq-len must be at least 3, got 2": {"model": ModelOptions(seq_len=2)},
    "--dropout must be at least 0 and below 1, got 1.0": {"model": ModelOptions(dropout=1.0)},
    "--learning-rate must be above 0 and finite, got 0.0": {"optimizer": OptimizerOptions(learning_rate=0.0)},
    "--learning-rate must be above 0 and finite, got nan": {"optimizer": OptimizerOptions(learning_rate=float("nan"))},
    "--eps must be above 0 and finite, got 0.0": {"optimizer": OptimizerOptions(eps=0.0)},
    "--clip-norm must be above 0 and finite, got -1.0": {"optimizer": OptimizerOptions(clip_norm=-1.0)},
    "--b1 must be at least 0 and below 1, got 1.0": {"optimizer": OptimizerOptions(b1=1.0)},
    "--b2 must be at least 0 and below 1, got -0.1": {"optimizer": OptimizerOptions(b2=-0.1)},
    "--weight-decay must be at least 0, got -0.1": {"optimizer": OptimizerOptions(weight_decay=-0.1)},
    "--warmup-steps must be at least 0, got -1": {"optimizer": OptimizerOptions(warmup_steps=-1)},
    "--warmup-steps 100 leaves nothing of --steps 100: choose fewer, or train longer": {
        "steps": 100,
        "optimizer": OptimizerOptions(warmup_steps=100),
    },
    "--decay-fraction must be above 0 and below 1, got 1.0": {
        "optimizer": OptimizerOptions(schedule="wsd", decay_fraction=1.0)
    },
    "--warmup-steps 60 and a decay over 50 steps (--decay-fraction 0.5) do not fit into --steps 100": {
        "steps": 100,
        "optimizer": OptimizerOptions(schedule="wsd", warmup_steps=60, decay_fraction=0.5),
    },
}


@pytest.mark.parametrize(("message", "options"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_work_is_refused(message, options):
    with pytest.raises(InputError) as raised:
        PretrainConfig(**options).check()
    assert str(raised.value) == message


def test_the_defaults_work():
    config = PretrainConfig()
    config.check()
    choose_encoder(config.model)


def test_json_round_trip_keeps_everything_but_the_folder():
    config = PretrainConfig(run="a", text=TextOptions(data=("x", "y")), optimizer=OptimizerOptions(b1=0.7), seed=3)
    values = json.loads(json.dumps(config.to_dict()))
    assert "run" not in values
    assert PretrainConfig.from_dict(values, run="b") == dataclasses.replace(config, run="b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("seed"), r"training has unknown fields \[\] and lacks \['seed'\]"),
        (
            lambda v: v.pop("model"),
            r"training has unknown fields \[\] and lacks \['model.attention', 'model.dropout', ",
        ),
        (lambda v: v["optimizer"].update(beta=1), r"training has unknown fields \['optimizer.beta'\] and lacks \[\]"),
        (lambda v: v.update(text=3), r"training has unknown fields \['text'\] and lacks \['text.data', "),
        (lambda v: v.update(run="r"), r"training has unknown fields \['run'\] and lacks \[\]"),
        (lambda v: v.update(steps=-1), "--steps must be at least 1, got -1"),
    ],
)
def test_a_config_of_another_version_is_refused(change, message):
    values = PretrainConfig().to_dict()
    change(values)
    with pytest.raises(InputError, match=message):
        PretrainConfig.from_dict(values, run="r")


def test_rows_longer_than_the_encoder_are_refused():
    with pytest.raises(InputError) as raised:
        choose_encoder(ModelOptions(preset="minilm_l6", seq_len=1024))
    assert str(raised.value) == (
        "--seq-len 1024 is longer than the 512 positions (max_len) of preset minilm_l6: choose at most 512, or another "
        "--preset"
    )


@pytest.mark.parametrize(("preset", "expected"), [("tiny", 37), ("bert_base", 512), ("modernbert_base", 512)])
def test_rows_are_as_long_as_the_encoder_allows_up_to_512(preset, expected):
    options = ModelOptions(preset=preset)
    assert row_length(options, choose_encoder(options)) == expected


def test_dropout_overrides_all_three_rates():
    encoder = choose_encoder(ModelOptions(preset="tiny", dropout=0.25))
    assert (encoder.embedding_dropout, encoder.attention_dropout, encoder.residual_dropout) == (0.25,) * 3
    assert choose_encoder(ModelOptions(preset="tiny")) == EncoderConfig.tiny()


def test_an_encoder_may_come_from_a_file(tmp_path):
    path = tmp_path / "encoder.json"
    wanted = dataclasses.replace(EncoderConfig.tiny(), embed_dim=44)
    path.write_text(wanted.to_json())
    assert choose_encoder(ModelOptions(encoder=str(path))) == wanted


def change(**changes) -> str:
    return json.dumps(json.loads(EncoderConfig.mini().to_json()) | changes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (change(head_dim=63), "rotary positions turn pairs of channels: head_dim must be even, got 63"),
        (change(num_heads=0), "num_heads must be a whole number of at least 1, got 0"),
        (change(num_layers=5), "windows needs 5 entries, one per layer, got 4"),
        (change(embed_dim="wide"), "embed_dim must be a whole number of at least 1, got 'wide'"),
        ("{", "the encoder config is not JSON: "),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(tmp_path, content, message):
    path = tmp_path / "encoder.json"
    path.write_text(content)
    with pytest.raises(InputError) as raised:
        choose_encoder(ModelOptions(encoder=str(path)))
    assert str(raised.value).startswith(f"--encoder {path}: {message}")


def test_a_missing_encoder_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"^cannot read --encoder .*/none.json: No such file or directory$"):
        choose_encoder(ModelOptions(encoder=str(tmp_path / "none.json")))


@pytest.mark.parametrize(("trained", "expected"), [(8192, 8192), (8190, 8192), (700, 704), (704, 704), (30_522, 8192)])
def test_the_vocabulary_follows_a_smaller_tokenizer(trained, expected):
    assert fit_vocabulary(EncoderConfig.mini(), 8192, trained).vocab_size == expected
