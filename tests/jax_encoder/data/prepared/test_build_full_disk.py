"""A disk that is full while text is prepared: one line, and the same command goes on."""

import contextlib
import resource

import pytest

from jax_encoder.data.files import DiskFullError
from tests.jax_encoder.data.prepared.helpers import contents, prepare, small_units, texts


@pytest.mark.parametrize("size", [0, 400, 2500])
def test_preparing_on_a_full_disk(tmp_path, monkeypatch, size):
    small_units(monkeypatch)
    (tmp_path / "a.txt").write_text("\n\n".join(texts(120)))
    whole = prepare(tmp_path / "whole", tmp_path / "a.txt")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, before)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        with pytest.raises(DiskFullError) as caught:
            prepare(tmp_path / "to", tmp_path / "a.txt", tokenizer=str(tmp_path / "given.json"))
    assert str(caught.value).startswith(f"no room for {tmp_path / 'to'}/")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "to").rglob(".*"))
    prepare(tmp_path / "to", tmp_path / "a.txt")
    assert contents(tmp_path / "to") == contents(whole.folder)
