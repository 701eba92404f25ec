"""Names on the hub: what is fetched, what is never asked for, and what is said where nothing comes."""

import sys
from pathlib import Path

import pytest
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

from jax_encoder import huggingface
from jax_encoder.errors import InputError
from jax_encoder.huggingface import hub
from jax_encoder.huggingface.vocabularies import SENTENCEPIECE
from tests.jax_encoder.huggingface.helpers import CONFIG, refusal


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
    wanted = ["*.json", "*.safetensors", "1_Pooling/*", "*.txt", *SENTENCEPIECE]
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
