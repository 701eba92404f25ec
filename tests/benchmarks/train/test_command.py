"""The command, at its smallest."""

import json

import pytest

import benchmarks.__main__
from benchmarks.train.command import PEERS, Train


def test_every_peer_that_is_promised_is_there():
    names = {task: [side.name for side in sides] for task, sides in PEERS.items()}
    assert names["minilm_l6"] == [
        "transformers as it ships, eager",
        "transformers as it ships, torch.compile",
        "torch's best recipe, eager",
        "torch's best recipe, torch.compile",
        "Flax NNX, stock parts",
        "keras-hub on JAX",
    ]
    assert all("bfloat16" in name for name in names["minilm_l6_bfloat16"])
    assert [side.spec["padded"] for side in PEERS["text"]] == ["longest", "full"]
    assert any("torch.compile" in name for name in names["text"])
    assert any("sparse prediction, torch.compile" in name for name in names["mini"])
    assert Train().tasks == tuple(PEERS)


def test_a_peer_that_nobody_has_is_refused(capsys):
    assert benchmarks.__main__.main(["train", "--tiny", "--only", "nobody"]) == 2
    assert "--only nobody: no peer of minilm_l6, minilm_l6_bfloat16, text, mini has this" in capsys.readouterr().err


@pytest.mark.slow
def test_two_sides_take_turns_and_leave_their_figures(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    file = tmp_path / "figures.json"
    options = ["--tasks", "mini", "--only", "sparse prediction, eager", "--seconds", "0", f"--json={file}"]
    status = benchmarks.__main__.main(["train", "--tiny", *options])
    out = capsys.readouterr().out
    assert status == 0, out
    assert "transformers' ModernBERT, its sparse prediction, eager: " in out
    assert " of the limit" in out
    result = json.loads(file.read_text())
    assert {one["by"] for one in result["products"]} == {"jax", "torch"}
    (task,) = result["tasks"]
    assert len(task["peers"][0]["rounds"]) == 3
    assert task["peers"][0]["theirs"]["flops"] == task["ours"]["flops"]
    assert result["command"] == "python -m benchmarks train --tasks mini --only 'sparse prediction, eager' --tiny"
