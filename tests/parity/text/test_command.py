"""`python -m parity text`, and what `check` says of a folder's text."""

import sys

import pytest

from parity import cli
from parity.report.record import from_json
from tests.parity.text.helpers import copied, written


def test_the_command_reports(tmp_path, capsys):
    status = cli.main(
        ["text", "--model", str(written("bert-cased")), "--computed", "0", "--json", str(tmp_path / "r.json")]
    )
    out = capsys.readouterr().out
    assert status == 0, out
    assert out.startswith("parity PASS: 1 variant x 13 cases, ")
    assert "text is read by            tokenizer.json  tokenizer.json" in out
    assert "of which computed 0" in out
    assert len(from_json((tmp_path / "r.json").read_text()).runs) == 13


@pytest.mark.slow
def test_without_a_folder_small_ones_are_made(capsys):
    status = cli.main(["text", "--folder", "esm", "--folder", "bert-vocab", "--computed", "2"])
    out = capsys.readouterr().out
    assert status == 0, out
    assert out.startswith("parity PASS: 2 variants x 13 cases, ")
    assert "folders 2" in out
    assert cli.main(["text", "--folder", "gpt"]) == 2
    assert "no folder is called gpt; there are: bert-uncased, " in capsys.readouterr().err


def test_bad_use_is_status_2(tmp_path, capsys):
    assert cli.main(["text", "--model", str(tmp_path), "--folder", "esm"]) == 2
    assert "--folder names folders that are made here: leave out --model" in capsys.readouterr().err
    assert cli.main(["text", "--model", str(tmp_path), "--computed", "-1"]) == 2
    assert "--computed must be at least 0, got -1" in capsys.readouterr().err
    assert cli.main(["text", "--model", str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err


@pytest.mark.slow
def test_check_tells_of_the_text_too(capsys):
    assert cli.main(["check", "--against", "transformers", "--model", str(written("distilbert"))]) == 0
    out = capsys.readouterr().out
    assert out.startswith("parity PASS: 2 variants x 21 cases, ")
    assert "text is read by" in out


def test_check_says_why_a_text_is_not_checked(tmp_path, capsys, monkeypatch):
    from parity.check import text
    from parity.judge.verdict import Report

    folder = copied("bert-cased", tmp_path)
    (folder / "tokenizer.json").unlink()
    network = Report("a network", 1e-10, {"jax": "0"}, ())
    (setting,) = text.with_text(network, str(folder), lambda variant, case: None).preflight
    assert setting.warning.startswith(f"the text of this folder was not checked: {folder} has no tokenizer.json")
    missing = ModuleNotFoundError("no", name="sentence_transformers")
    monkeypatch.setattr("parity.text.check.text_of", lambda *_, **__: (_ for _ in ()).throw(missing))
    (setting,) = text.with_text(network, str(folder), lambda variant, case: None).preflight
    assert "sentence-transformers is needed for this folder" in setting.warning
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "parity.text.check")
        patch.setitem(sys.modules, "transformers", None)
        (setting,) = text.with_text(network, str(folder), lambda variant, case: None).preflight
    assert setting.warning.endswith("transformers is needed for this folder: pip install transformers")
    other = ModuleNotFoundError("no", name="torch")
    monkeypatch.setattr("parity.text.check.text_of", lambda *_, **__: (_ for _ in ()).throw(other))
    with pytest.raises(ModuleNotFoundError):
        text.with_text(network, str(folder), lambda variant, case: None)
