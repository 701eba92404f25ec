import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import train
from jax_encoder.config import EncoderConfig
from tests.jax_encoder.training.helpers import tiny, write_corpus

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("text") / "corpus.txt"
    write_corpus(path)
    return path


def refused(capsys, arguments: list[str]) -> str:
    """The message of a command that ends with status 2 and says nothing else."""
    assert train.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_bad_numbers_are_refused_before_anything_is_read(capsys, tmp_path):
    message = refused(capsys, ["pretrain", f"--run={tmp_path / 'run'}", "--batch-size=0", "--data=/no/such.txt"])
    assert message == "train.py: --batch-size must be at least 1, got 0\n"
    message = refused(capsys, ["pretrain", f"--run={tmp_path / 'run'}", "--seq-len=129", "--data=/no/such.txt"])
    assert message.startswith("train.py: --seq-len 129 is longer than the 128 positions (max_len) of preset mini: ")
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_does_not_fit_is_refused(capsys, tmp_path):
    path = tmp_path / "encoder.json"
    path.write_text(json.dumps(json.loads(EncoderConfig.mini().to_json()) | {"head_dim": 63}))
    message = refused(capsys, ["pretrain", f"--run={tmp_path / 'run'}", f"--encoder={path}"])
    assert message == (
        f"train.py: --encoder {path}: rotary positions turn pairs of channels: head_dim must be even, got 63\n"
    )


def test_a_taken_folder_is_refused(capsys, tmp_path, corpus):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("the only copy")
    message = refused(capsys, tiny(corpus, tmp_path / "run"))
    assert message == (
        f"train.py: {tmp_path}/run exists already: name another folder with --run, delete this one, or go on with the "
        f"run in it: python -m jax_encoder resume {tmp_path}/run\n"
    )
    message = refused(capsys, tiny(corpus, tmp_path / "run" / "thesis.txt"))
    assert f"train.py: {tmp_path}/run/thesis.txt exists already: " in message


def test_missing_text_is_refused(capsys, tmp_path):
    assert "/no/such.txt" in refused(capsys, tiny(Path("/no/such.txt"), tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_tokenizer_larger_than_the_model_is_refused(capsys, tmp_path, corpus, finished):
    arguments = tiny(corpus, tmp_path / "run", f"--tokenizer={finished / 'tokenizer.json'}", "--vocab-size=50")
    assert train.main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"train.py: {finished}/tokenizer.json ")
    assert "50" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "train.py: no folder {path}: name the folder of a run\n"),
        (
            Path.mkdir,
            "train.py: {path} has no config.json: it is not the folder of a run, or of one that never started\n",
        ),
    ],
)
def test_resuming_what_is_no_run_is_refused(capsys, tmp_path, make, message):
    path = tmp_path / "run"
    make(path)
    assert refused(capsys, ["resume", str(path)]) == message.format(path=path)


@pytest.mark.parametrize("content", ["", "{}", '{"training": 3, "encoder": {}}', '{"training": {}, "encoder": {}}'])
def test_resuming_a_damaged_config_is_refused(capsys, tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    message = refused(capsys, ["resume", str(tmp_path)])
    assert message.startswith(f"train.py: {tmp_path}/config.json cannot be read as the config of a run: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pretrain", "--learning-rat", "3"], "Unrecognized options: --learning-rat"),
        (["pretrain", "--steps", "many"], "Error parsing --steps: invalid literal for int"),
        (["pretrain", "--preset", "huge"], "huge"),
        (["resume"], "Missing from train.py resume"),
        ([], "Expected one of {prepare, pretrain, resume, export, replay}"),
    ],
)
def test_what_cannot_be_parsed_ends_with_status_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as raised:
        train.main(arguments)
    assert raised.value.code == 2
    assert message.lower() in " ".join(capsys.readouterr().err.replace("│", " ").split()).lower()


def test_help_names_every_option_and_needs_no_jax():
    code = "import sys, train\ntry: train.main(['pretrain', '--help'])\nfinally: assert 'jax' not in sys.modules"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for option in (
        "--run",
        "--data",
        "--preset",
        "--learning-rate",
        "--schedule {cosine,linear,wsd,wsd_sqrt,inverse_root}",
        "--accumulate",
    ):
        assert option in shown
    assert "Decoupled, times the learning rate" in shown


@pytest.fixture(scope="module")
def finished(tmp_path_factory, corpus) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    assert train.main(tiny(corpus, run)) == 0
    return run


@pytest.mark.slow
def test_a_run_leaves_everything_in_its_folder(finished):
    names = {path.name for path in finished.iterdir()}
    assert {"config.json", "tokenizer.json", "baselines.json", "metrics.jsonl", "loss.png", "tensorboard"} <= names
    assert sorted(path.name for path in (finished / "checkpoints").glob("*.sha256")) == [
        "step_00000004.sha256",
        "step_00000006.sha256",
    ]


@pytest.mark.slow
def test_resuming_a_complete_run_shows_its_end_again(finished, capsys):
    (finished / "loss.png").unlink()
    assert train.main(["resume", str(finished)]) == 0
    assert "training complete" in capsys.readouterr().out
    assert (finished / "loss.png").exists()


@pytest.mark.slow
def test_resuming_without_a_whole_checkpoint_is_refused(finished, capsys, tmp_path):
    import shutil

    shutil.copytree(finished, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("*.sha256"):
        path.write_text("")
    assert train.main(["resume", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"train.py: no whole checkpoint in {tmp_path}/run/checkpoints: start a new run\n")
    assert "the checkpoint of step 6 is damaged: step_00000006.sha256 is empty" in message
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert train.main(["resume", str(tmp_path / "run")]) == 2
    assert "there is nothing to resume; start a new run" in capsys.readouterr().err


def start(arguments: list[str]) -> subprocess.Popen:
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process: subprocess.Popen, status: int = 0) -> str:
    """Waits for a status and silence on stderr; returns what was printed."""
    out, err = process.communicate(timeout=400)
    assert (process.returncode, err) == (status, ""), out
    return out


def wait_for_steps(process: subprocess.Popen, run: Path, steps: int) -> None:
    """Until a checkpoint is there and metrics.jsonl has some lines."""
    end = time.monotonic() + 300
    while not (any(run.glob("checkpoints/*[24680].sha256")) and len(lines(run)) > steps):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def lines(run: Path) -> list[dict]:
    from jax_encoder.training import metrics

    return [{k: v for k, v in r.items() if k != "seconds"} for r in metrics.read(run / "metrics.jsonl")]


LONG = ("--steps=200", "--checkpoint-every=20", "--eval-every=100")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, corpus) -> Path:
    """A run that nothing disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    finish(start(tiny(corpus, run, *LONG)))
    return run


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 117])
def test_killed_and_resumed_is_the_run_without_the_kill(tmp_path, corpus, whole, steps):
    run = tmp_path / "run"
    process = start(tiny(corpus, run, *LONG))
    wait_for_steps(process, run, steps)
    process.kill()
    process.communicate()
    assert len(lines(run)) < 200
    said = finish(start(["resume", str(run)]))
    assert "\nprograms   the training step: kept from an earlier run, ready in " in f"\n{said}"
    assert lines(run) == lines(whole)
    assert lines(run)[-1]["step"] == 200


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_its_status_and_the_command_to_resume(tmp_path, corpus, number):
    run = tmp_path / "run"
    process = start(tiny(corpus, run, "--steps=100000", "--checkpoint-every=20"))
    wait_for_steps(process, run, 30)
    process.send_signal(number)
    out = finish(process, status=128 + number)
    assert f"python {ROOT / 'train.py'} resume {run}" in out
    assert "of 100000; go on with" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("tokenizer  ", "before the first step: nothing is lost, and the same command begins again\n"),
        ("programs   compiling the training step", "while compiling; go on with\n  python {train} resume {run}\n"),
    ],
)
def test_a_signal_is_heard_before_the_first_step_too(tmp_path, corpus, monkeypatch, line, told):
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "false")
    run = tmp_path / "run"
    process = start(tiny(corpus, run))
    assert process.stdout is not None
    while not process.stdout.readline().startswith(line):
        assert process.poll() is None, process.communicate()
    begun = time.monotonic()
    process.terminate()
    out = finish(process, status=143)
    assert time.monotonic() - begun < 2
    assert out.endswith(f"stopped by SIGTERM {told.format(train=ROOT / 'train.py', run=run)}")
    assert train.main(["resume", str(run)] if "resume" in told else tiny(corpus, run)) == 0
