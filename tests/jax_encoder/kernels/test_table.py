"""Who gets which implementation, and what is said of it."""

import dataclasses

import pytest

from jax_encoder.config import EncoderConfig
from jax_encoder.kernels import pallas_gpu, table
from jax_encoder.kernels.table import Layer, choose, made_for, plan, told

LAYER = Layer(platform="cpu", dtype="float32", head_dim=64, length=1024, window=64, relative=None, drops=False)


@pytest.mark.parametrize(
    ("changed", "name", "why"),
    [
        ({}, "windows", ""),
        ({"window": None}, "rows", "there is no window"),
        ({"length": 255}, "einsum", "rows of less than 256 are as fast without blocks; there is a window"),
        ({"length": 1023, "window": None}, "einsum", "rows of less than 1,024 fit into memory without blocks"),
        ({"drops": True}, "einsum", "attention weights are dropped"),
        ({"relative": "linear"}, "einsum", "scores have a relative part (linear)"),
        ({"platform": "gpu", "window": None}, "pallas", ""),
        ({"platform": "gpu"}, "windows", "there is a window"),
        ({"platform": "gpu", "window": None, "dtype": "float64"}, "rows", "the kernel sums in float32"),
        ({"platform": "gpu", "window": None, "head_dim": 8}, "rows", "heads of 8 are too small for its products"),
        ({"platform": "gpu", "window": None, "length": 127}, "einsum", "less than 128 would be mostly padding"),
        ({"platform": "tpu"}, "splash", ""),
        ({"platform": "tpu", "length": 127}, "einsum", "less than 128 would be mostly padding"),
        ({"platform": "tpu", "drops": True}, "einsum", "attention weights are dropped"),
    ],
)
def test_a_layer_gets_what_suits_it(changed, name, why):
    choice = choose(LAYER._replace(**changed))
    assert choice.name == name
    assert why in choice.why


def test_what_is_asked_for_and_cannot_be_is_said():
    assert choose(LAYER, "windows") == ("windows", "asked for", 64)
    assert choose(LAYER, "rows") == ("einsum", "rows was asked for, but there is a window", 64)
    assert choose(LAYER._replace(length=16), "windows").name == "windows"  # worth it or not
    with pytest.raises(ValueError, match=r"^attention must be one of auto, .*einsum, got 'flash'$"):
        choose(LAYER, "flash")


def test_a_kernel_that_jax_no_longer_has_is_not_taken(monkeypatch):
    monkeypatch.setattr(pallas_gpu, "available", lambda: False)
    choice = choose(LAYER._replace(platform="gpu", window=None))
    assert choice == ("rows", "this release of JAX has no such kernel; there is no window", None)


def test_a_kernel_for_another_device_is_not_taken_unless_interpreted():
    assert choose(LAYER, "splash").why == "splash was asked for, but it is for tpu, not for cpu"
    assert choose(LAYER, "splash", interpret=True).name == "splash"
    with made_for("tpu"):
        assert table.platform() == "tpu"
    assert table.platform() == "cpu"


def test_a_window_over_the_whole_row_is_none():
    config = dataclasses.replace(EncoderConfig.tiny(), windows=(36, 35))
    assert [one.window for one in plan(config, "float32", 37, drops=False).values()] == [None, 35]


def test_the_screen_says_what_was_taken_and_why():
    modern = EncoderConfig.modernbert_base()
    assert told(modern, plan(modern, "float32", 1024, drops=True, asked="windows")) == (
        "attention: 8 layers by einsum (windows was asked for, but there is no window), "
        "14 layers with a window of 64 by windows (asked for)"
    )
    bert = EncoderConfig.bert_base()
    line = "attention: 12 layers by einsum (attention weights are dropped)"
    assert told(bert, plan(bert, "float32", 512, drops=True)) == line


def test_the_options_are_those_of_the_table():
    from typing import get_args

    from jax_encoder.training.config import Attention

    assert get_args(Attention) == (table.AUTO, *table.IMPLEMENTATIONS)
