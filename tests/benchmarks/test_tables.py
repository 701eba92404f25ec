"""The CPU's tables say what the files say."""

import json

import pytest

import benchmarks.__main__
from benchmarks.tables import section
from benchmarks.train.lines import step_seconds, wrong

MACHINE = {"date": "2026-11-27", "device": "Some CPU (avx2)", "cores": 2, "load": 0.1, "python": "3.11.7"}
MACHINE |= {"versions": {"jax": "0.10.2"}, "tiny": False}


def rounds(ours: float, theirs: float, units: float = 1) -> list[dict]:
    one = {"ours": ours, "theirs": theirs}
    return [
        {side: {"seconds": s * drift, "core_seconds": 2 * s * drift, "units": units} for side, s in one.items()}
        for drift in (1.0, 1.1, 0.9)
    ]


TRAIN = MACHINE | {"kind": "train", "command": "python -m benchmarks train", "elapsed": 9.0}
TRAIN |= {
    "products": [
        {"by": "jax", "dtype": "float32", "size": [2048, 384, 1536], "flops_per_second": 200e9},
        {"by": "jax", "dtype": "bfloat16", "size": [2048, 384, 1536], "flops_per_second": 400e9},
    ],
    "tasks": [
        {
            "task": "minilm_l6",
            "described": "a step",
            "dtype": "float32",
            "ours": {"tokens": 2048.0, "flops": 160e9},
            "peers": [
                {"peer": "torch, eager", "theirs": {"steps": 1}, "rounds": rounds(1.0, 2.0)},
                {"peer": "keras", "missing": ["keras_hub"]},
                {"peer": "nnx", "trouble": "ended with status 1\nKeyError"},
            ],
        },
        {
            "task": "text",
            "described": "text",
            "dtype": "float32",
            "ours": {"tokens": 2000.0, "flops": 160e9},
            "peers": [{"peer": "padded", "theirs": {"steps": 4}, "rounds": rounds(4.0, 8.0, units=8000)}],
        },
    ],
}


def test_a_step_has_its_ratio_and_its_share_of_the_limit():
    page = section(TRAIN)
    assert page.startswith("## Training: Some CPU (avx2), 2 cores, 2026-11-27\n")
    assert "| torch, eager | 2,000.0 ms | 1,000.0 ms | 2.00 (2.00 to 2.00) | 3 | 2.00 |" in page
    # 160 GFLOP at 200 GFLOP/s, the rate of this dtype, take 0.8 s of our second.
    assert "would take 800.0 ms: 80% of the limit." in " ".join(page.split())
    # 8,000 tokens in four steps of our four seconds.
    assert "| padded | 1,000 tokens/s | 2,000 tokens/s | 2.00 (2.00 to 2.00) | 3 | 2.00 |" in page
    assert step_seconds(TRAIN["tasks"][1]) == pytest.approx(1.0)
    assert not [line for line in page.splitlines() if len(line) > 120 and not line.startswith("|")]


def test_no_peer_is_dropped_in_silence():
    page = section(TRAIN)
    assert "| keras | not installed | – | – | – | – |" in page
    assert "| nnx | crashed: ended with status 1 | – | – | – | – |" in page
    # A peer that is not there is no mistake of this run.
    assert wrong(TRAIN) == ["minilm_l6, nnx: ended with status 1"]


def test_the_other_kinds_have_tables_of_their_own():
    encode = MACHINE | {"kind": "encode", "command": "python -m benchmarks encode", "texts": 2000, "batch_size": 32}
    peers = [{"peer": "theirs", "theirs": {}, "rounds": rounds(1.0, 1.5, units=2000), "distance": 2e-7}]
    assert "| theirs | 1,333 | 2,000 | 1.50 (1.50 to 1.50) | 3 | 1.50 |" in section(encode | {"peers": peers})
    parity = MACHINE | {"kind": "parity", "command": "python -m benchmarks parity"}
    spent = [{"proof": {"seconds": 3.0}, "plain": {"seconds": 1.0}}]
    proved = {"encoder": "mini", "values": 100, "replayed": 20, "agree": 120, "rounds": spent}
    crashed = {"encoder": "bert_base", "trouble": "took more than 600 s"}
    page = section(parity | {"encoders": [proved, crashed]})
    assert "| mini | 120 | 3.00 s | 1.00 s | 3.0 |" in page
    assert "| bert_base | crashed: took more than 600 s | – | – | – |" in page
    compiled = MACHINE | {"kind": "compile", "command": "python -m benchmarks compile"}
    starts = [{"start": "resumed", "seconds": 5.25, "said": []}]
    page = section(compiled | {"layers": {"rounds": rounds(2.0, 2.2)}, "starts": starts, "trouble": "ended\nso"})
    assert "6 layers 2.0 s, 24 layers 2.2 s: ratio 1.10" in page
    assert "| resumed | 5.2 s |" in page
    assert "Crashed: ended\n" in page


def test_a_page_keeps_what_was_measured_elsewhere(tmp_path):
    page, file = tmp_path / "page.md", tmp_path / "figures.json"
    other = TRAIN | {"device": "Another CPU"}
    for result in (other, TRAIN | {"date": "2026-01-01"}, TRAIN):
        file.write_text(json.dumps(result))
        assert benchmarks.__main__.main(["report", str(file), f"--to={page}", "--keep"]) == 0
    titles = [line for line in page.read_text().splitlines() if line.startswith("## ")]
    assert titles == [f"## Training: {name}, 2 cores, 2026-11-27" for name in ("Another CPU", "Some CPU (avx2)")]
    assert page.read_text().count("# Performance\n") == 1


def test_a_kind_that_is_not_known_is_refused(tmp_path, capsys):
    file = tmp_path / "figures.json"
    file.write_text(json.dumps(TRAIN | {"kind": "speed"}))
    assert benchmarks.__main__.main(["report", str(file), f"--to={tmp_path / 'page.md'}"]) == 2
    assert "holds results of the kind 'speed', which this version cannot write" in capsys.readouterr().err
