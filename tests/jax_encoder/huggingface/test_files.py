"""What may be read in two ways, or lies outside of a folder, is refused."""

import re

import pytest

from jax_encoder.errors import InputError
from jax_encoder.huggingface.files import inside, read_json, read_json_if_there


def test_a_name_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "config.json"
    assert read_json_if_there(path) == {}
    path.write_text('{"a": {"b": 1, "c": 2, "b": 1}}')
    with pytest.raises(InputError, match=r"config\.json cannot be read as JSON: 'b' stands there more than once, and "):
        read_json(path)
    path.write_text('{"a": {"b": 1}, "b": 2}')
    assert read_json(path) == read_json_if_there(path) == {"a": {"b": 1}, "b": 2}


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/etc", "link", "link/inner", "a/..", "x\0y"])
def test_a_path_that_leads_outside_is_refused(tmp_path, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(
        InputError, match=f"modules.json names {re.escape(repr(name))}, which lies outside of {folder}: files of a "
    ):
        inside(folder, name, folder / "modules.json")


def test_a_path_within_and_the_links_of_the_hub_are_followed(tmp_path):
    folder = tmp_path / "models--a--b" / "snapshots" / "0123"
    folder.mkdir(parents=True)
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir()
    (folder / "model.safetensors").symlink_to(blobs)
    for name in ("", "1_Pooling", "model.safetensors"):
        assert inside(folder, name, folder / "modules.json") == folder / name
