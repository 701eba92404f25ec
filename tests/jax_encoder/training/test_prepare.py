"""What is said and kept of the text while a run is made ready."""

import io
import json

import pytest
from rich.console import Console

from jax_encoder.commands.train import main, parse
from jax_encoder.errors import InputError
from jax_encoder.training.prepare import prepare
from tests.jax_encoder.data.test_tokenizer_training import han
from tests.jax_encoder.training.helpers import tiny, write_corpus


def prepared(arguments: list[str]) -> list[str]:
    """The lines that preparing prints."""
    out = io.StringIO()
    prepare(parse(arguments), Console(file=out, width=300))
    return out.getvalue().splitlines()


def test_the_tokenizer_reports(tmp_path):
    write_corpus(tmp_path / "corpus.txt")
    lines = prepared(tiny(tmp_path / "corpus.txt", tmp_path / "run"))
    said = next(line for line in lines if line.startswith("tokenizer"))
    report = json.loads((tmp_path / "run" / "tokenizer-report.json").read_text())
    assert said == (
        f"tokenizer  trained wordpiece: {report['vocabulary']} tokens; the text is {report['tokens']:,}, no [UNK], "
        f"{report['characters_per_token']:.2f} characters a token, {report['fertility']:.2f} tokens a word"
    )
    assert report["unknown"] == report["unknown_share"] == 0
    assert report["tokens"] / report["words"] == pytest.approx(report["fertility"], rel=1e-4)
    assert not any("[UNK]:" in line for line in lines)


@pytest.mark.slow
def test_a_vocabulary_without_room_says_what_is_lost(tmp_path):
    (tmp_path / "corpus.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in han(60, 400)))
    arguments = tiny(tmp_path / "corpus.jsonl", tmp_path / "run", "--vocab-size=100")
    report = json.loads((tmp_path / "run" / "tokenizer-report.json").read_text()) if prepared(arguments) else {}
    assert 0.5 < report["unknown_share"] < 0.9
    (line,) = (line for line in prepared([*arguments, f"--run={tmp_path / 'again'}"]) if "[UNK]:" in line)
    assert line == (
        f"{report['unknown']:,} of {report['tokens']:,} tokens are [UNK]: they are neither predicted nor learned from; "
        "the vocabulary has no room for all characters: choose a larger --vocab-size, or --unknown bytes"
    )
    lines = prepared([*arguments, f"--run={tmp_path / 'spelled'}", "--unknown=bytes", "--vocab-size=600"])
    assert any("no [UNK]" in line for line in lines)


def test_a_run_that_was_killed_before_its_first_step_is_begun_again(tmp_path, capsys):
    write_corpus(tmp_path / "corpus.txt")
    run = tmp_path / "run"
    arguments = tiny(tmp_path / "corpus.txt", run)
    prepared(arguments)
    rows = (run / "rows" / "train.npy").read_bytes()
    assert not (run / "unfinished.txt").exists()
    # What a kill leaves while the first checkpoint is written, beside what the user has put there.
    (run / "unfinished.txt").write_text("python train.py pretrain --run it\n")
    (run / "rows" / "train.npy").write_bytes(rows[:100])
    (run / "config.json").unlink()
    (run / "notes.txt").write_text("mine")
    assert main(["resume", str(run)]) == 2
    assert capsys.readouterr().err == (
        f"train.py: {run} was stopped before its first step: the same command begins again\n"
        "  python train.py pretrain --run it\n"
    )
    prepared(arguments)
    assert (run / "rows" / "train.npy").read_bytes() == rows
    assert (run / "notes.txt").read_text() == "mine"
    assert not (run / "unfinished.txt").exists()
    with pytest.raises(InputError, match="exists already"):
        prepared(arguments)


def test_a_tokenizer_that_was_given_and_does_not_fit(tmp_path):
    write_corpus(tmp_path / "corpus.txt")
    prepared(tiny(tmp_path / "corpus.txt", tmp_path / "first"))
    strange = [*(f"the cat sat on the mat {number}" for number in range(60)), *han(30, 40)]
    (tmp_path / "strange.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in strange))
    given = tmp_path / "first" / "tokenizer.json"
    lines = prepared(tiny(tmp_path / "strange.jsonl", tmp_path / "run", f"--tokenizer={given}"))
    assert any(line.endswith(f"{given} lacks characters of this text: train a tokenizer on it") for line in lines)
    assert any("tokens are left out: documents in which nothing but [UNK]" in line for line in lines)


def test_text_of_which_nothing_is_known(tmp_path):
    write_corpus(tmp_path / "corpus.txt")
    prepared(tiny(tmp_path / "corpus.txt", tmp_path / "first"))
    (tmp_path / "strange.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in han(30, 40)))
    arguments = tiny(
        tmp_path / "strange.jsonl", tmp_path / "run", f"--tokenizer={tmp_path / 'first' / 'tokenizer.json'}"
    )
    with pytest.raises(InputError, match="not one token in them that can be predicted"):
        prepared(arguments)
    assert not (tmp_path / "run").exists()
