"""The page says what the file says."""

import json

import pytest

import benchmarks.__main__
from benchmarks.gpu.results import wrong
from benchmarks.report import section

STEP = {"shape": "bert_base", "rows": 128, "fastest_ms": 90.0, "slowest_ms": 120.0, "repeats": 7, "steps": 7}
STEP |= {"tokens": 65536.0, "flops": 40e12, "compile_seconds": 30.0, "peak_gib": 51.25, "loss": 9.0}
RESULT = {
    "command": "python -m benchmarks gpu",
    "date": "2026-11-27",
    "tiny": False,
    "device": "NVIDIA H100 80GB HBM3",
    "memory": "81559 MiB",
    "driver": "580.1",
    "cores": 16,
    "python": "3.12.3",
    "versions": {"jax": "0.11.2", "torch": "2.11.0"},
    "peak": 1000e12,
    "trouble": [],
    "products": [{"by": "jax", "size": [8192, 8192, 8192], "flops_per_second": 800e12}],
    "train": [
        STEP | {"side": "ours", "recipe": "as trained", "ms": 100.0},
        STEP | {"side": "ours", "recipe": "no dropout", "ms": 50.0},
        STEP | {"side": "torch", "recipe": "eager", "ms": 160.0},
        STEP | {"side": "torch", "recipe": "compiled", "ms": 120.0},
    ],
    "precision": [
        {"encoder": "bert_base", "dtype": "float64", "precision": "highest", "on": "gpu"}
        | {"loss": 1e-15, "gradient": 2e-15, "ok": True},
        {"dropout": "same masks as on the CPU", "on": "gpu", "same": True},
    ],
    "tests": [{"test": "a", "outcome": "passed", "why": "", "seconds": 1.0}],
}


def test_the_page_has_rates_shares_and_ratios():
    page = section(RESULT)
    assert page.startswith("## NVIDIA H100 80GB HBM3, 2026-11-27\n")
    # 65,536 tokens in 100 ms; 40 TFLOP in 100 ms are 400 TFLOP/s, of 1,000 and of 800.
    assert (
        "| bert_base | jax-encoder, as trained | 655,360 | 100.0 (90.0 to 120.0) | 128 | 40.0% | 50.0% | 51.2 |" in page
    )
    # What is left out of our step does not count, and PyTorch's faster recipe does.
    assert "\n| bert_base | 1.20 |\n" in page
    assert "| bert_base | float64, highest | 1.0e-15 | 2.0e-15 |" in page
    assert "Tests marked gpu on this device: 1 passed." in page
    assert "What went wrong" not in page
    assert not [line for line in page.splitlines() if len(line) > 120 and not line.startswith("|")]


def test_the_page_hides_nothing_that_went_wrong():
    precision = [RESULT["precision"][0] | {"ok": False}]
    tests = [{"test": "b", "outcome": "failure", "why": "assert 1 == 2", "seconds": 1.0}]
    trouble = [{"what": "train bert_large torch", "why": "ended with status 1\nOutOfMemoryError"}]
    result = RESULT | {"precision": precision, "tests": tests, "trouble": trouble}
    lines = [
        "train bert_large torch: ended with status 1",
        "float64 on gpu is not the CPU's function for bert_base",
        "b: failure: assert 1 == 2",
    ]
    assert wrong(result) == lines
    assert "What went wrong in this run:\n\n- " + "\n- ".join(lines) in section(result)


def test_the_command_writes_a_section_for_each_file(tmp_path, capsys):
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file, date in zip(files, ("2026-11-27", "2026-12-01"), strict=True):
        file.write_text(json.dumps(RESULT | {"date": date}))
    page = tmp_path / "page.md"
    assert benchmarks.__main__.main(["report", *map(str, files), f"--to={page}"]) == 0
    assert capsys.readouterr().out == f"wrote {page}\n"
    assert page.read_text().count("## NVIDIA H100") == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        ("{", "is not JSON: "),
        ("[]", "is not what a command of `python -m benchmarks` writes with --json"),
        (json.dumps(RESULT | {"tiny": True}), "was made with --tiny: such figures measure nothing"),
    ],
)
def test_a_file_without_figures_is_refused(content, message, tmp_path, capsys):
    file = tmp_path / "figures.json"
    if content is not None:
        file.write_text(content)
    assert benchmarks.__main__.main(["report", str(file), f"--to={tmp_path / 'page.md'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
