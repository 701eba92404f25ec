"""Shapes of devices are read, and what does not fit is refused in one line that says what would."""

import dataclasses

import pytest

from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.training.config import PretrainConfig
from jax_encoder.training.mesh import MeshShape, check_encoder, check_rows, parse, shape_for


def test_a_shape_is_read_and_written():
    assert parse("data=4,fsdp=2") == parse(" fsdp = 2, data=4 ") == MeshShape(data=4, fsdp=2, tensor=1)
    assert (parse("tensor=8").devices, parse("tensor=8").rows, parse("data=2,fsdp=2,tensor=2").rows) == (8, 1, 4)
    assert [str(parse(text)) for text in ("fsdp=2,data=4", "data=1", "tensor=2,fsdp=1")] == [
        "data=4,fsdp=2",
        "data=1",
        "tensor=2",
    ]


def test_a_shape_for_the_devices_that_there_are():
    assert shape_for(None, 8) == MeshShape()
    assert shape_for("auto", 8) == MeshShape(data=8)
    assert shape_for("fsdp=8", 8) == MeshShape(fsdp=8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows=2", "'rows' is no axis; there are data, fsdp, tensor"),
        ("8", "'8' is no axis"),
        ("", "'' is no axis"),
        ("data=2,data=4", "names data twice"),
        ("data=0", "data must be a whole number of at least 1, got '0'"),
        ("data=two", "got 'two'"),
        ("data=²", "got '²'"),
        ("data=-1", "got '-1'"),
        ("data", "got ''"),
        ("data=4,fsdp=4", "is for 16 devices, and JAX sees 8: --mesh data=2,fsdp=4 or --mesh data=8 would fit"),
        ("tensor=3", "is for 3 devices, and JAX sees 8: --mesh data=8 would fit"),
        ("data=1", "is for 1 device, and JAX sees 8: --mesh data=8 would fit"),
    ],
)
def test_what_is_no_shape_for_the_devices_is_refused(text, message):
    with pytest.raises(InputError) as error:
        shape_for(text, 8)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_options_of_a_run_are_checked_for_it():
    PretrainConfig(mesh="data=2").check()
    PretrainConfig(mesh="auto").check()
    with pytest.raises(InputError, match="names data twice"):
        PretrainConfig(mesh="data=1,data=2").check()


def test_rows_that_cannot_be_split_are_refused():
    check_rows(MeshShape(data=4, fsdp=2, tensor=2), 16, 2)
    with pytest.raises(InputError) as error:
        check_rows(MeshShape(data=4, fsdp=2), 24, 2)
    assert str(error.value) == (
        "--batch-size 24 in --accumulate 2 parts is 12 rows at a time, which --mesh data=4,fsdp=2 cannot split over "
        "8 groups of devices: --batch-size 32 would fit"
    )
    with pytest.raises(InputError, match=r"^--batch-size 2 is 2 rows at a time, .* --batch-size 8 would fit$"):
        check_rows(MeshShape(fsdp=8), 2, 1)


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        (MeshShape(tensor=2), {}, "the 3 heads over tensor=2: tensor may be 1"),
        (MeshShape(tensor=4), {"num_heads": 4, "num_key_value_heads": 2}, "the 2 heads of keys and values over"),
        (MeshShape(tensor=2), {"num_heads": 4, "num_key_value_heads": 4}, "the 61 words of the vocabulary over"),
        (MeshShape(fsdp=8), {}, "the 20 columns of the encoder over fsdp=8: fsdp may be 1, 2, 4, 5, 10, 20"),
        (MeshShape(fsdp=4), {"table_dim": 10}, "the 10 columns of the embeddings over fsdp=4: fsdp may be 1, 2, 5, 10"),
    ],
)
def test_an_encoder_that_cannot_be_split_is_refused(shape, changes, message):
    encoder = dataclasses.replace(EncoderConfig.tiny(), **changes)
    with pytest.raises(InputError) as error:
        check_encoder(shape, encoder)
    assert message in str(error.value)
    check_encoder(MeshShape(data=7), encoder)
