"""Every program in examples/ runs and prints what it is for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jax_encoder.training.helpers import write_corpus

ROOT = Path(__file__).parent.parent


def run(name: str, *arguments: object, status: int = 0) -> str:
    """What an example prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, str]:
    """The folder and the output of encode_and_train.py on a small text."""
    folder = tmp_path_factory.mktemp("example")
    write_corpus(folder / "text.txt")
    return folder, run("encode_and_train.py", folder / "run", folder / "text.txt")


def test_every_example_is_run_here():
    source = Path(__file__).read_text(encoding="utf-8")
    names = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert names == set(re.findall(r'run\("(\w+\.py)"', source))


@pytest.mark.slow
def test_encode_and_train(trained):
    _, out = trained
    before, after = re.findall(r"^(fresh|after 60 steps): logits (.*), first (.*); weight (.*)$", out, re.MULTILINE)
    assert before[:2] == ("fresh", "(2, 4, 8192)")
    assert after[0] == "after 60 steps"
    assert before[3] != after[3]
    first, *_, last = [float(loss) for loss in re.findall(r"^step \d+/60  loss (\S+)", out, re.MULTILINE)]
    assert last < first - 1


@pytest.mark.slow
def test_export_and_load(trained):
    folder, _ = trained
    out = run("export_and_load.py", folder / "run", folder / "model")
    difference, largest = map(float, re.findall(r"difference (\S+), largest logit (\S+)$", out, re.MULTILINE)[0])
    assert difference < 1e-4 * largest
    assert re.search(r"^most likely: (\S+, ){4}\S+$", out, re.MULTILINE)


@pytest.mark.slow
def test_compare_nnx():
    out = run("compare_nnx.py", status=1)
    names = re.findall(r"^  looks like: (.*)$", out, re.MULTILINE)
    norm = "layer norm with epsilon 1e-06 in JAX, layer norm with epsilon 1e-05 in torch"
    assert names == [norm, "tanh GELU in JAX, exact GELU in torch", norm]
    page = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    shown = page.split("<!-- compare_nnx.py: begin -->\n```\n")[1].split("```\n<!-- compare_nnx.py: end -->")[0]
    assert re.sub(r"-?\d+\.\d{3,}", "#", out).startswith(re.sub(r"-?\d+\.\d{3,}", "#", shown))


@pytest.mark.slow
def test_compare_linen():
    assert run("compare_linen.py").startswith("parity PASS: 1 output and 5 gradients; ")


@pytest.mark.slow
def test_compare_onnx():
    out = run("compare_onnx.py", status=1)
    assert out.splitlines()[1] == "  looks like: tanh GELU in ONNX, exact GELU in torch"
    assert "  ONNX   Gelu (5, 8) in 1 at the model, node /1/Gelu" in out


@pytest.mark.slow
def test_compare_function():
    out = run("compare_function.py")
    assert "looks like: scores times 0.25 in JAX, scores times 0.353553 (1/sqrt(8)) in torch" in out
    true, false = ("filled with -1e+09 where mask is true in JAX", "filled with -inf where mask is false in torch")
    assert f"looks like: {true}, {false}" in out


@pytest.mark.slow
def test_check_your_port():
    first, *rest = run("check_your_port.py", status=1).splitlines()
    assert first.startswith("parity FAIL semantic at layers.1.mlp.post_activation, ")
    assert any(line.startswith("  looks like: tanh GELU for the exact one, in torch") for line in rest)
