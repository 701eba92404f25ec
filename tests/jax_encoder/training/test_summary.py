import io
import json
import re
import sys

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from jax_encoder.training import metrics
from jax_encoder.training.plot import loss_plot
from jax_encoder.training.run_folder import RunFolder
from jax_encoder.training.summary import finish
from jax_encoder.training.verify import Result, Verdict, verify

BASELINES = {"unigram": 6.5, "bigram": 5.5}


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    """What a run of 40 steps at 500 tokens and half a second each has measured."""
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    log = metrics.MetricsLog(folder.metrics, folder.tensorboard, step=0)
    for step in range(1, 41):
        log.write("train", step, {"loss": 8 - step / 20, "tokens": 500, "seconds": step / 2})
        if step % 20 == 0:
            log.write("held_out", step, {"loss": 8 - step / 16, "accuracy": step / 200, "targets": 1234})
    log.close()
    folder.write_json(folder.baselines, BASELINES)
    return folder


def screen(folder: RunFolder, *, check_parity: bool) -> tuple[Verdict, str]:
    """The verdict and the words of the last screen."""
    console = Console(file=io.StringIO(), width=400)
    verdict = finish(folder, console, check_parity=check_parity)
    return verdict, " ".join(console.file.getvalue().replace("│", " ").split())


def test_the_screen_has_every_number_and_place(folder):
    verdict, shown = screen(folder, check_parity=False)
    assert verdict == Verdict("parity not checked: --no-verify", Result.NOT_CHECKED)
    assert verdict.status == 0
    for expected in (
        "on 1,234 held-out masked tokens loss (nats) accuracy",
        "unigram counts of the training text 6.500",
        "bigram counts of the training text 5.500",
        "this encoder 5.500 20.0%",
        "steps 40, 20,000 tokens in 0:00:20",
        "throughput 1,000 real tokens per second",
        "parity not checked: --no-verify",
        f"folder {folder.path}",
        f"loss curve {folder.loss_plot}",
        f"TensorBoard tensorboard --logdir {folder.tensorboard}",
        f"check python -m parity trained {folder.path}",
    ):
        assert expected in shown


def test_the_screen_fits_a_terminal(folder):
    console = Console(file=io.StringIO(), width=100)
    finish(folder, console, check_parity=False)
    assert len(console.file.getvalue().splitlines()) <= 24


def test_the_plot_is_a_picture(folder):
    finish(folder, Console(file=io.StringIO()), check_parity=False)
    pixels = imread(folder.loss_plot)
    assert pixels.shape == (720, 1200, 4)
    assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 50


def test_the_plot_shows_both_losses_and_both_baselines(folder):
    train, held_out = (metrics.of_split(folder.metrics, split) for split in ("train", "held_out"))
    axes = loss_plot(train, held_out, BASELINES).axes[0]
    raw, smooth, held, unigram, bigram = axes.get_lines()
    np.testing.assert_allclose(raw.get_ydata(), [8 - step / 20 for step in range(1, 41)])
    np.testing.assert_allclose(held.get_xydata(), [[20, 6.75], [40, 5.5]])
    assert set(unigram.get_ydata()) == {6.5}
    assert set(bigram.get_ydata()) == {5.5}
    assert smooth.get_ydata()[0] == raw.get_ydata()[0]
    assert 6.0 < smooth.get_ydata()[-1] < 7.0
    assert [text.get_text() for text in axes.texts] == ["unigram 6.50", "bigram 5.50"]


def named_files(folder: RunFolder, shown: str) -> set[str]:
    """What the screen says lies in the folder; the folder of checkpoints is made with the first of them."""
    return set(re.findall(re.escape(str(folder.path)) + r"/([\w.-]+)", shown)) - {"checkpoints"}


def test_without_torch_parity_is_not_checked_and_says_how(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    verdict, shown = screen(folder, check_parity=True)
    assert verdict == Verdict("parity not checked: pip install 'jax-encoder[parity]'", Result.NOT_CHECKED)
    assert verdict.status == 0
    assert verdict.line in shown
    assert named_files(folder, shown) == {"loss.png", "metrics.jsonl", "tensorboard"}


@pytest.mark.slow
def test_a_check_that_crashed_is_no_verdict_and_leaves_no_report(folder):
    folder.parity_text.write_text("parity PASS: of an earlier checkpoint")
    folder.parity_json.write_text("{}")
    folder.config.write_text(json.dumps({}))
    verdict, shown = screen(folder, check_parity=True)
    assert verdict.result is Result.CRASHED
    assert verdict.status == 3
    command, reason = (
        f"python -m parity trained {folder.path}",
        f"{folder.config} cannot be read as the config of a run: 'training'",
    )
    assert verdict.line == f"parity check broke off: {command} ended with status 2: python -m parity: {reason}"
    assert verdict.line in shown
    assert not folder.parity_text.exists()
    assert not folder.parity_json.exists()
    assert folder.parity_output.read_text() == f"{command} ended with status 2\n\n\npython -m parity: {reason}\n"
    assert named_files(folder, shown) == {
        "config.json",
        "loss.png",
        "metrics.jsonl",
        "tensorboard",
        "parity-output.txt",
    }


KILLED = """
import os, signal, sys

if "parity" in sys.orig_argv:
    print("so far", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


RAISED = """
import os, sys

if "parity" in sys.orig_argv:
    print("parity ERROR in variant run, case held-out: JAX raised ValueError: no\\n  raised at a.py:1", flush=True)
    os._exit(3)
"""


def test_a_side_that_raised_is_reported(folder, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(RAISED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    verdict, shown = screen(folder, check_parity=True)
    assert verdict == Verdict("parity ERROR in variant run, case held-out: JAX raised ValueError: no", Result.RAISED)
    assert verdict.status == 3
    assert folder.parity_text.read_text().endswith("\n  raised at a.py:1\n")
    assert not folder.parity_output.exists()
    assert str(folder.parity_text) in shown


def test_a_check_that_was_killed_says_by_what(folder, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(KILLED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    verdict = verify(folder)
    assert verdict.result is Result.CRASHED
    assert verdict.line.endswith(f"{folder.path} was killed by SIGKILL and said no reason")
    assert "so far" in folder.parity_output.read_text()


def test_a_reason_that_is_no_text_is_kept(folder, tmp_path, monkeypatch):
    broken = "import os, sys\nif 'parity' in sys.orig_argv:\n    os.write(2, b'\\xff\\n'); os._exit(9)\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert verify(folder).line.endswith("ended with status 9: \N{REPLACEMENT CHARACTER}")
