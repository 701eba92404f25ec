"""A run's files: whatever is damaged is named in one line, or makes no difference."""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import train
from jax_encoder.training import manifest, metrics
from jax_encoder.training.checkpoint import Checkpoints
from jax_encoder.training.run_folder import RunFolder
from tests.jax_encoder.data.test_lock import HOLD
from tests.jax_encoder.training.helpers import tiny, write_corpus


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run to its end."""
    folder = tmp_path_factory.mktemp("finished")
    write_corpus(folder / "corpus.txt")
    assert train.main(tiny(folder / "corpus.txt", folder / "run", "--steps=4")) == 0
    return folder / "run"


SEALED = ("config.json", "tokenizer.json", "tokenizer-report.json", "baselines.json", "rows/train.npy")
SEALED += ("rows/held_out.npy", "metrics.jsonl", "manifest.json")


def cut(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def empty(content: bytearray, _: random.Random) -> None:
    content.clear()


def flip(content: bytearray, rng: random.Random) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def swap(content: bytearray, rng: random.Random) -> None:
    one, other = rng.sample(range(len(content)), 2)
    while content[one] == content[other]:
        other = rng.randrange(len(content))
    content[one], content[other] = content[other], content[one]


def zero(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content) - 9)
    content[start : start + 8] = bytes(b ^ 255 for b in content[start : start + 8])


DAMAGES = [(name, damage, seed) for name in SEALED for damage in (cut, flip, swap, zero) for seed in range(3)]
DAMAGES += [(name, damage, 0) for name in SEALED for damage in (empty, None)]


def test_a_hundred_damages_are_each_told_in_one_line(finished, tmp_path, capsys):
    """`resume` and `export` of 112 damaged folders; checkpoints have tests of their own (test_checkpoint.py)."""
    assert len(DAMAGES) > 100
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for name, damage, seed in DAMAGES:
        path = run / name
        before = path.read_bytes()
        if damage is None:
            path.unlink()
        else:
            content = bytearray(before)
            damage(content, random.Random(f"{name} {seed}"))
            path.write_bytes(content)
        for command in (["resume", str(run)], ["export", str(run), "--to", str(tmp_path / "to")]):
            assert train.main(command) == 2, (name, damage, seed)
            out, err = capsys.readouterr()
            assert out == ""
            assert err.startswith(f"train.py: {path}"), (name, damage, seed, err)
            assert err.count("\n") == 1
            assert err.endswith(": put it back as it was, or start a new run\n")
        path.write_bytes(before)
    assert not (tmp_path / "to").exists()
    RunFolder.open(run)


def test_two_commands_on_one_run(finished, tmp_path, capsys):
    """Whoever has the folder, the second of pretrain, resume and export is refused, and nothing is lost."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(run)])
    while not (run / "folder.lock.json").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    commands = (
        ["resume", str(run)],
        ["export", str(run), "--to", str(tmp_path / "to")],
        ["pretrain", "--run", str(run)],
    )
    for command in commands:
        assert train.main(command) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert f"{run} is in use by resume (process {process.pid} on " in err
    process.kill()
    process.wait()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_stopped_before_its_first_step_the_same_command_begins_again(finished, tmp_path, capsys):
    run, corpus = tmp_path / "run", finished.parent / "corpus.txt"
    shutil.copytree(finished, run, ignore=lambda *_: ["metrics.jsonl", "loss.png", "tensorboard"])
    for name in ("unfinished.txt", ".config.json.12-abc", "mine.txt", "prepared.json"):
        (run / name).write_text("left")
    assert train.main(["resume", str(run)]) == 2
    assert "was stopped before its first step: the same command begins again" in capsys.readouterr().err
    assert train.main(tiny(corpus, run, "--steps=4")) == 0
    assert lines(run) == lines(finished)
    assert (run / "mine.txt").read_text() == "left"
    assert not (run / "prepared.json").exists()
    assert train.main(tiny(corpus, run, "--steps=4")) == 2
    assert "exists already" in capsys.readouterr().err


def lines(run: Path) -> list[dict]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in metrics.read(run / "metrics.jsonl")]


def test_lines_behind_the_newest_checkpoint_are_not_sealed(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write('{"split": "train", "step": 120.5}\nno json\n[]\n')
    manifest.check(run, metrics=run / "metrics.jsonl")
    assert lines(run) == lines(finished)
    for step in (4, 2):
        log = metrics.MetricsLog(run / "metrics.jsonl", run / "tensorboard", step=step)
        log.close()
        manifest.check(run, metrics=run / "metrics.jsonl")
        assert lines(run) == [record for record in lines(finished) if record["step"] <= step]


def test_a_run_from_before_there_were_manifests_goes_on(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "manifest.json").unlink()
    config = (run / "config.json").read_text()
    assert '"version": 4' in config
    (run / "config.json").write_text(config.replace('"version": 4', '"version": 3'))
    RunFolder.open(run)
    metrics.MetricsLog(run / "metrics.jsonl", run / "tensorboard", step=4).close()
    assert not (run / "manifest.json").exists()


def test_files_of_others_beside_checkpoints_are_left_alone(finished, tmp_path):
    shutil.copytree(finished / "checkpoints", tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "notes.txt").write_text("mine")
    (tmp_path / "checkpoints" / "best").mkdir()
    (tmp_path / "checkpoints" / "step_00000001").mkdir()
    Checkpoints(tmp_path / "checkpoints", keep=1)._prune(4)
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"notes.txt", "best", "step_00000004", "step_00000004.sha256"}
