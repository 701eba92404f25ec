"""Text of folders of every form that we read, against the libraries' own reading."""

import json

import pytest

from benchmarks.encode import minilm
from parity.errors import UsageError
from parity.judge.verdict import Verdict
from parity.report.record import from_json, to_json
from parity.report.text import headline, render
from parity.text.folders import SMALL, sentence_files
from tests.parity.text.helpers import change, copied, report, written

FAST = ("bert-uncased",)
FOLDERS = list(SMALL)
SOURCES = {"bert-vocab": "vocab.txt", "roberta-vocab": "vocab.json", "esm": "vocab.txt"}


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in FOLDERS]
)
def test_every_form_of_folder_is_read_alike(name):
    found = report(written(name), computed=24)
    assert found.verdict is Verdict.PASS, render(found)
    assert int(found.environment["texts"]) > 500
    assert 0 < int(found.environment["of which computed"]) <= 24
    sites = {comparison.site for run in found.runs for comparison in run.comparisons}
    assert {"ids", "special", "mask", "positions", "vectors"} <= sites
    assert ("refused" in sites) == (name != "esm")  # whose tokenizer takes text that is no Unicode
    assert ("words" in sites) == SMALL[name].model.endswith("ForMaskedLM")
    assert max(comparison.error for run in found.runs for comparison in run.comparisons) < 1e-12
    assert [setting.name for setting in found.preflight if setting.warning] == ["two texts"] * (name == "esm")
    (read_by,) = [one for one in found.preflight if one.name == "text is read by"]
    assert read_by.jax == read_by.torch == SOURCES.get(name, "tokenizer.json")
    assert from_json(to_json(found)) == found


def test_there_are_twelve_families_and_kinds_of_tokenizers():
    assert len(FOLDERS) >= 12
    assert len({SMALL[name].model for name in FOLDERS}) >= 14


@pytest.mark.slow
def test_a_published_folder():
    found = report(minilm(), computed=48)
    assert found.verdict is Verdict.PASS, render(found)


def test_types_are_compared_where_two_texts_have_some():
    sites = {comparison.site for run in report(written("albert")).runs for comparison in run.comparisons}
    assert "types" in sites
    sites = {comparison.site for run in report(written("roberta-left")).runs for comparison in run.comparisons}
    assert "types" not in sites


def test_what_cannot_be_read_here_is_refused(tmp_path):
    folder = copied("bert-cased", tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"has no tokenizer\.json, without which texts cannot be read: "):
        report(folder)
    (folder / "spiece.model").write_bytes(b"")
    with pytest.raises(UsageError, match=r"has no tokenizer\.json, and spiece\.model alone is not enough: "):
        report(folder)


def test_what_the_libraries_cannot_read_is_a_failure(tmp_path):
    folder = copied("bert-uncased", tmp_path)
    change(folder / "tokenizer_config.json", padding_side="middle")
    found = report(folder)
    assert headline(found).startswith("parity FAIL semantic at parameters")
    assert "the libraries cannot read" in render(found)


def test_a_library_that_raises_is_an_error(monkeypatch):
    def raises(folder):
        raise IndexError("index out of range in self")

    monkeypatch.setattr("parity.text.library.Sentences", raises)
    found = report(written("bert-uncased"))
    assert found.verdict is Verdict.ERROR
    assert headline(found).startswith("parity ERROR in variant text, case reading: torch raised IndexError: index ")


@pytest.mark.slow
def test_an_encoder_in_a_folder_of_its_own(tmp_path):
    folder = tmp_path / "whole"
    inner = copied("bert-cased", folder).rename(folder / "0_Transformer")
    files = sentence_files(normalize=True)
    files["modules.json"][0]["path"] = inner.name
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    found = report(folder, computed=16)
    assert found.verdict is Verdict.PASS, render(found)
    assert "words" in {comparison.site for run in found.runs for comparison in run.comparisons}


def test_limits_that_the_encoder_has_no_positions_for_are_told(tmp_path):
    folder = copied("roberta-left", tmp_path)
    change(folder / "tokenizer_config.json", model_max_length=512)
    found = report(folder, computed=8)
    assert found.verdict is Verdict.PASS, render(found)
    (warning,) = [setting.warning for setting in found.preflight if setting.warning]
    assert warning.startswith("sentence-transformers would cut texts at 42 tokens, where its encoder has 40 positions")
