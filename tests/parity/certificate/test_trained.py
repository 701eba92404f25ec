"""The parameters that a training run came to are checked as they lie in its folder."""

import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.errors import InputError
from jax_encoder.huggingface import publish
from jax_encoder.params import named
from jax_encoder.training import manifest
from jax_encoder.training.config import ModelOptions, OptimizerOptions, PretrainConfig, TextOptions
from jax_encoder.training.prepare import prepare
from jax_encoder.training.session import load_trained
from parity import cli
from parity.certificate import text, trained
from parity.certificate.certificate import differences, digest
from parity.certificate.trained import check_run
from parity.judge.compare import SEMANTIC
from parity.judge.verdict import Report, Run, Verdict
from parity.report import record
from parity.report.text import render
from tests.jax_encoder.training.helpers import write_corpus
from tests.parity.helpers import agreeing

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

# Of a run's text: parts of readings in thirteen groups, vectors and words in some; two more where texts have types.
TEXT_COMPARISONS = 60


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run at its first checkpoint, of an encoder that no published family has."""
    return prepared(tmp_path_factory.mktemp("trained"), ModelOptions(preset="tiny"))


@pytest.fixture(scope="module")
def exportable(tmp_path_factory):
    """The same of one that a family has: heads share the width."""
    folder = tmp_path_factory.mktemp("exportable")
    (folder / "encoder.json").write_text(dataclasses.replace(EncoderConfig.tiny(), embed_dim=24).to_json())
    return prepared(folder, ModelOptions(encoder=str(folder / "encoder.json")))


def prepared(folder, model: ModelOptions):
    write_corpus(folder / "corpus.txt")
    config = PretrainConfig(
        run=str(folder / "run"),
        steps=2,
        batch_size=4,
        text=TextOptions(data=(str(folder / "corpus.txt"),), vocab_size=120),
        model=model,
        optimizer=OptimizerOptions(warmup_steps=0),
    )
    prepare(config, Console(file=io.StringIO()))
    return folder / "run"


@pytest.fixture(scope="module")
def report(run_folder):
    return check_run(run_folder)


@pytest.mark.slow
def test_a_run_passes_and_says_which_step_it_is_of(report):
    assert report.verdict is Verdict.PASS
    assert report.environment["step"] == "0"
    assert [(run.variant, run.case) for run in report.runs] == [("run", "held-out"), ("run", "held-out, with dropout")]
    assert {run.comparisons[0].shape[0] for run in report.runs} == {trained.ROWS}


@pytest.mark.slow
def test_texts_that_nobody_could_compare_are_told(report):
    (setting,) = [one for one in report.preflight if one.warning]
    assert setting.warning == ("the text of this folder was not checked: no published family has an encoder like this")


@pytest.mark.slow
def test_the_runs_own_text_is_compared_with_the_libraries(exportable, monkeypatch):
    plain = Report("a run", SEMANTIC, {"step": "0"}, ())
    found = text.with_text_of_run(plain, exportable)
    assert found.verdict is Verdict.PASS, render(found)
    assert {run.variant for run in found.runs} == {"text"}
    assert int(found.environment["texts"]) > 500
    assert sum(len(run.comparisons) for run in found.runs) == TEXT_COMPARISONS + 2
    assert {"ids", "vectors", "words"} <= {one.site for run in found.runs for one in run.comparisons}
    assert differences(found_with(found), found_with(found)) == ()
    monkeypatch.setattr("parity.certificate.text.COMPUTED", 0)
    beside = publish._beside
    monkeypatch.setattr("jax_encoder.huggingface.publish._beside", lambda *given: beside(*given) | CASED)
    otherwise = text.with_text_of_run(plain, exportable)
    assert otherwise.verdict is Verdict.FAIL_SEMANTIC
    assert "the verdict was PASS and is FAIL semantic" in differences(found_with(found), found_with(otherwise))[0]


def test_a_run_that_no_family_can_express_is_told_without_its_text(tmp_path, monkeypatch):
    def refused(run, to):
        raise InputError("no published family has an encoder like this:\n  bert: no")

    monkeypatch.setattr(text, "export_run", refused)
    (told,) = text.with_text_of_run(Report("a run", SEMANTIC, {}, ()), tmp_path).preflight
    assert told.warning == "the text of this folder was not checked: no published family has an encoder like this"


def test_what_our_texts_cannot_show_is_told_and_not_held_against_a_run(tmp_path, monkeypatch):
    reasons = tuple(f"no text tells if {what}" for what in ("one", "two", "three", "four"))
    blind = Run("text", "letters", (agreeing("ids"),), inadequate=reasons)
    report = Report("a run", SEMANTIC, {}, (Run("run", "held-out", (agreeing("key"),)),))
    monkeypatch.setattr(text, "export_run", lambda run, to: to)
    monkeypatch.setattr(
        text, "with_text", lambda report, *_, **__: dataclasses.replace(report, runs=(*report.runs, blind))
    )
    found = text.with_text_of_run(report, tmp_path)
    assert found.verdict is Verdict.PASS
    (told,) = found.preflight
    assert told.warning == (
        "the texts show less with this tokenizer: no text tells if one; no text tells if two; no text tells if three, "
        "and 1 more"
    )


@pytest.mark.slow
def test_another_function_is_found(run_folder, monkeypatch):
    monkeypatch.setattr(
        "torch_ref.attention.Attention._split_heads", lambda self, x: x.unflatten(-1, (self.head_dim, -1)).mT
    )
    report = check_run(run_folder)
    assert report.verdict is Verdict.FAIL_SEMANTIC
    assert report.runs[0].comparisons[report.runs[0].first_to_differ].site == "layers.0.attention.query"


@pytest.mark.slow
def test_command_line(run_folder, tmp_path, capsys):
    assert cli.main(["trained", str(run_folder), "--json", str(tmp_path / "parity.json")]) == 0
    assert capsys.readouterr().out.startswith("parity PASS: 1 variant x 2 cases, ")
    assert json.loads((tmp_path / "parity.json").read_text())["verdict"] == "PASS"


CASED = {
    "tokenizer_config.json": json.dumps(
        {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": False,
            "model_max_length": 64,
            **{f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")},
        }
    ).encode()
}


def found_with(report: Report) -> Report:
    """As a certificate has it."""
    return dataclasses.replace(report, hashes={"weights": "ab" * 32})


def edited(path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.mark.slow
def test_a_certificate_holds_until_something_changes(run_folder, tmp_path, capsys):
    folder = tmp_path / "moved"
    shutil.copytree(run_folder, folder)
    assert cli.main(["trained", str(folder), "--json", str(folder / "parity.json")]) == 0
    hashes = record.from_json((folder / "parity.json").read_text()).hashes
    assert list(hashes) == ["weights", "config", "tokenizer", "held-out rows"]
    capsys.readouterr()
    assert cli.main(["verify", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("parity verified: PASS, ")

    edited(folder / "config.json", '"norm_eps": 1e-12', '"norm_eps": 1e-05')
    assert cli.main(["verify", str(folder)]) == 2
    assert "config.json is not what was written" in capsys.readouterr().err

    # Whoever changes the list of files as well has the certificate against him.
    manifest.seal(folder, [folder / "config.json"])
    assert cli.main(["verify", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"parity NOT verified: the config changed: SHA-256 was {hashes['config'][:12]} and is ")
    assert len(lines) == 2

    shutil.rmtree(folder / "checkpoints")
    assert cli.main(["verify", str(folder)]) == 2
    assert "no checkpoint in" in capsys.readouterr().err


@pytest.mark.slow
def test_the_hash_of_the_weights_is_of_every_bit(run_folder, report):
    first = load_trained(run_folder)
    weights = {name: np.asarray(array) for name, array in named(first.params).items()}
    assert len(weights) == 26
    assert digest(weights) == report.hashes["weights"]
    name, array = next(iter(weights.items()))
    flipped = array.copy()
    flipped.flat[-1] = np.nextafter(flipped.flat[-1], np.float32(1))
    assert digest(weights | {name: flipped}) != digest(weights)


def test_parameters_that_do_not_fit_are_a_failure():
    config, row_BT = EncoderConfig.tiny(), np.ones((1, 4), np.int32)
    case = trained._case(Batch(*[row_BT] * 5, np.ones((1, 4), np.float32)))
    runs = list(trained._runs("run", config, {}, case))
    assert [run.case for run in runs] == ["held-out", "held-out, with dropout"]
    assert all(run.comparisons[0].problem.startswith("the parameters are not those") for run in runs)


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    assert cli.main(["trained", str(tmp_path)]) == 2
    assert f"{tmp_path} has no config.json: it is not the folder of a run" in capsys.readouterr().err
