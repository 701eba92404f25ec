"""The command, at its smallest, on the CPU."""

import json
import time

import pytest

import benchmarks.__main__
from benchmarks.gpu.command import Gpu
from benchmarks.gpu.machine import has_gpu


@pytest.mark.slow
def test_the_parts_leave_their_figures(tmp_path, capsys):
    file = tmp_path / "figures.json"
    options = ["--parts", "products", "train", "--shapes", "modernbert_base", "--sides", "ours"]
    status = benchmarks.__main__.main(["gpu", "--tiny", *options, f"--trace={tmp_path}", f"--json={file}"])
    out = capsys.readouterr().out
    assert status == 0, out
    result = json.loads(file.read_text())
    assert {one["by"] for one in result["products"]} == {"jax", "torch"}
    step, profile = result["train"]
    assert step["loss"] < 7
    assert step["flops"] > 1e8
    assert sum(profile["breakdown"]["kinds"].values()) > 0
    assert result["trouble"] == []
    assert "modernbert_base ours as trained: " in out


def test_a_part_that_crashes_leaves_the_others_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "nowhere")
    file = tmp_path / "figures.json"
    assert benchmarks.__main__.main(["gpu", "--tiny", "--parts", "products", f"--json={file}"]) == 1
    out = capsys.readouterr().out
    assert "products jax: CRASHED: ended with status 1" in out
    assert "WRONG: products jax: ended with status 1" in out
    result = json.loads(file.read_text())
    assert [one["by"] for one in result["products"]] == ["torch"]
    assert "nowhere" in result["trouble"][0]["why"]
    assert result["command"] == "python -m benchmarks gpu --parts products --tiny"


def test_what_no_time_is_left_for_is_said_to_be_left_out(capsys):
    assert benchmarks.__main__.main(["gpu", "--tiny", "--seconds=1", "--shapes", "bert_base"]) == 1
    out = capsys.readouterr().out
    for title in ("products jax", "train bert_base ours as trained", "train bert_base torch", "precision", "tests"):
        assert f"WRONG: {title}: left out: no time was left\n" in out


def test_a_slow_shape_leaves_time_to_the_next():
    command = Gpu(seconds=400, parts=("train", "precision"), shapes=("bert_base", "bert_large"))
    shares = [seconds for *_, seconds in command._plan(ends=time.monotonic() + 400)]
    assert shares == pytest.approx([155, 310 * 2 / 3, 310, 310, 90], abs=1)


def test_nothing_is_left_out_where_it_is_not():
    jobs = Gpu(shapes=("bert_base", "modernbert_base"), sides=("torch",), ablate=True)._jobs("train")
    left_out = [(spec["shape"], spec["recipe"]) for name, spec in jobs if name == "ours"]
    assert left_out == [
        *(("bert_base", name) for name in ("no dropout", "no attention dropout", "unrolled", "default precision")),
        *(("modernbert_base", name) for name in ("unrolled", "default precision")),
    ]


def test_what_cannot_be_measured_here_is_refused(capsys):
    assert benchmarks.__main__.main(["gpu", "--tiny", "--shapes", "bert_huge"]) == 2
    assert benchmarks.__main__.main(["gpu", "--tiny", "--rows=0"]) == 2
    assert "--rows must be at least 1, got 0" in capsys.readouterr().err
    if not has_gpu():
        assert benchmarks.__main__.main(["gpu"]) == 2
        assert "this machine has no NVIDIA GPU: give --tiny" in capsys.readouterr().err
