"""`encode`: a file of texts becomes a file of vectors, and nothing is lost on the way."""

import re
from pathlib import Path

import numpy as np
import pytest

from jax_encoder import cli
from jax_encoder.encode import TextEncoder
from tests.jax_encoder.commands.helpers import refused
from tests.jax_encoder.helpers import write_checkpoint, write_modules


@pytest.fixture
def texts(tmp_path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_bytes(b"\xef\xbb\xbfa dog ran\r\n\nwe saw two\x0cbirds\nthe cat")
    return path


def test_every_line_becomes_a_row(capsys, bare, texts):
    assert cli.main(["encode", "--model", bare, str(texts), "--batch-size", "2"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(rf"{re.escape(str(texts))}\.npy: 4 texts, 24 numbers each, [\d,]+ texts/s\n", out)
    assert err == ""
    vectors = np.load(f"{texts}.npy", allow_pickle=False)
    assert vectors.dtype == np.float32
    lines = ["a dog ran", "", "we saw two\x0cbirds", "the cat"]
    np.testing.assert_allclose(vectors, TextEncoder.from_pretrained(bare).encode(lines), atol=1e-6)


def test_what_exists_is_replaced_only_by_force(capsys, tmp_path, bare, texts):
    out = tmp_path / "vectors"
    out.write_text("the only copy")
    arguments = ["encode", "--model", bare, str(texts), "--out", str(out)]
    message = refused(capsys, arguments)
    assert message == f"{out} exists already: name another file with --out, or replace it with --force"
    assert out.read_text() == "the only copy"
    texts.write_text("\n")
    assert cli.main([*arguments, "--force"]) == 0
    assert np.load(out).shape == (1, 24)
    texts.write_text("")
    assert cli.main([*arguments, "--force"]) == 0
    assert np.load(out).shape == (0, 24)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["texts.txt", "vectors"]


def test_files_that_cannot_be_read_or_written_are_refused(capsys, tmp_path, bare, texts):
    message = refused(capsys, ["encode", "--model", bare, str(tmp_path / "none.txt")])
    assert message == f"{tmp_path}/none.txt: cannot be read: No such file or directory"
    message = refused(capsys, ["encode", "--model", bare, str(texts), "--out", str(tmp_path / "no" / "x.npy")])
    assert message == f"--out {tmp_path}/no/x.npy: must name a file in a folder that exists"
    assert refused(capsys, ["encode", "--model", bare, str(texts), "--batch-size=0"]).startswith("--batch-size must be")
    texts.write_bytes(b"a dog\na c\xe4t\n")
    message = refused(capsys, ["encode", "--model", bare, str(texts)])
    assert message == f"{texts}, line 2: not UTF-8: byte 0xe4; convert the file to UTF-8"
    assert [path.name for path in tmp_path.iterdir()] == ["texts.txt"]


def test_checkpoints_that_cannot_be_used_are_refused(capsys, tmp_path, texts):
    message = refused(capsys, ["encode", "--model", str(tmp_path / "none"), str(texts)])
    assert message.startswith(f"{tmp_path}/none is not a folder")
    folder = write_checkpoint(tmp_path / "dense")
    write_modules(folder, "Transformer", "Pooling", "CNN")
    assert "the module CNN (2_CNN) is not computed here" in refused(
        capsys, ["encode", "--model", str(folder), str(texts)]
    )
