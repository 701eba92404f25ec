"""How a run ends by what its parity check came to: no torch, a check that breaks off, another function."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import train
from tests.jax_encoder.training.helpers import tiny, write_corpus

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("text") / "corpus.txt"
    write_corpus(path)
    return path


NO_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NoTorch())
"""


@pytest.mark.slow
def test_a_run_works_and_says_so_where_there_is_no_torch(tmp_path, corpus):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(NO_TORCH)
    arguments = tiny(corpus, tmp_path / "run", "--verify")
    environment = os.environ | {"PYTHONPATH": str(blocked), "JAX_PLATFORMS": "cpu", "COLUMNS": "200"}
    process = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "parity not checked: pip install 'jax-encoder[parity]'" in process.stdout
    assert process.stderr == ""
    blocks = [sys.executable, "-c", "import torch"]
    assert subprocess.run(blocks, env=environment, capture_output=True, check=False).returncode == 1


@pytest.mark.slow
def test_a_run_whose_check_breaks_off_does_not_end_well(tmp_path, corpus, capsys, monkeypatch):
    jax.jit(lambda: 0)()  # this process has read its flags by now; one that finds an unknown one there is ended
    monkeypatch.setenv("XLA_FLAGS", "--xla_flag_that_no_release_has=true")
    monkeypatch.setenv("COLUMNS", "200")
    assert train.main(tiny(corpus, tmp_path / "run", "--verify")) == 3
    shown = capsys.readouterr().out
    assert "parity check broke off" in shown
    assert "parity-output.txt" in shown
    assert not (tmp_path / "run" / "parity.txt").exists()
    assert "xla_flag_that_no_release_has" in (tmp_path / "run" / "parity-output.txt").read_text()


BIASES_SWITCHED = """
import sys

if "parity" in sys.orig_argv:
    import torch

    class Linear(torch.nn.Linear):
        def __init__(self, *sizes, bias):
            super().__init__(*sizes, bias=not bias)

    torch.nn.Linear = Linear
"""


@pytest.mark.slow
def test_a_run_that_pytorch_does_not_repeat_ends_with_status_1(tmp_path, corpus, capsys, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(BIASES_SWITCHED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert train.main(tiny(corpus, tmp_path / "run", "--verify")) == 1
    assert "parity FAIL semantic" in capsys.readouterr().out
    assert (tmp_path / "run" / "parity.txt").read_text().startswith("parity FAIL semantic")
    assert not (tmp_path / "run" / "parity-output.txt").exists()
