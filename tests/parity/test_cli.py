import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from parity import cli
from parity.cases.case import CASE_NAMES
from parity.judge.check import check
from parity.judge.crash import SideError
from parity.judge.verdict import Crash, PrecisionRun, SiteError
from parity.report import record
from tests.parity import helpers as toy

ROOT = Path(__file__).parents[2]
BIASLESS = toy.ToyVariant(break_params=toy.without_key_bias)


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command line on the toy; returns status, output and error output."""

    def call(*arguments: str, subject=None):
        monkeypatch.setattr("parity.encoder.subject.subject", lambda: subject or toy.ToySubject())
        alone = ("--jobs", "1") if arguments[:1] == ("check",) else ()  # a toy of a test is known in its process only
        return cli.main((*arguments, *alone)), *capsys.readouterr()

    return call


def test_pass_is_status_0(run):
    status, out, err = run("check")
    assert status == 0
    assert out.startswith("parity PASS: 2 variants x 10 cases, 140 comparisons; ")
    assert err == ""


def test_fail_is_status_1(run):
    status, out, err = run("check", subject=toy.ToySubject({"good": toy.ToyVariant(), "bad": BIASLESS}))
    assert status == 1
    assert out.startswith(
        "parity FAIL semantic at attention.key, first of 3 values to differ (of 7); norm still agrees\n"
    )
    assert err == ""


def test_vacuous_is_status_1(run):
    unfit = toy.ToyVariant(sizes=toy.sizes(model_sizes=(13,)))
    status, out, _ = run("check", "--case", "ragged", subject=toy.ToySubject({"toy": unfit}))
    assert status == 1
    assert out.startswith(
        "parity VACUOUS: T = 13 is also a size of the model: swapped axes would go unnoticed (toy, ragged)"
    )


def test_error_is_status_3_and_the_others_are_reported(run, tmp_path):
    def raises(params, case):
        if case.name == "packed":
            raise IndexError("index 7 is out of bounds\nfor axis 0")
        return toy.run_batched(params, case)

    subject = toy.ToySubject({"good": toy.ToyVariant(), "bad": toy.ToyVariant(ours=raises)})
    files = "--json", str(tmp_path / "report.json"), "--html", str(tmp_path / "report.html")
    status, out, err = run("check", *files, subject=subject)
    assert (status, err) == (3, "")
    lines = out.splitlines()
    assert lines[0] == "parity ERROR in variant bad, case packed: JAX raised IndexError: index 7 is out of bounds"
    assert lines[1].startswith("  raised at tests/parity/test_cli.py:")
    assert lines[2:4] == ["  for axis 0", "  raised in 1 of 20 runs; differing runs: 0"]
    assert [line.split()[0] for line in lines if line.endswith(" PASS")] == ["good"]
    assert [line.split()[0] for line in lines if line.endswith(" ERROR")] == ["bad"]
    kept = record.from_json((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert kept.crashed[0].crash.traceback.startswith("Traceback (most recent call last):\n")
    assert "index 7 is out of bounds" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_is_raised_in_a_command_without_a_report_is_status_3(monkeypatch, capsys):
    def raises(*_, **__):
        raise SideError(Crash("JAX", "ValueError", "no", traceback="Traceback (most recent call last):\n  ..."))

    monkeypatch.setattr("parity.precision.runs.precision_runs", raises)
    assert cli.main(["calibrate", "--configs", "1"]) == 3
    assert capsys.readouterr().err == (
        "Traceback (most recent call last):\n  ...\nparity ERROR: JAX raised ValueError: no\n"
    )


def test_names_choose_what_is_checked(run):
    subject = toy.ToySubject({"good": toy.ToyVariant(), "bad": BIASLESS})
    status, out, _ = run("check", "--config", "good", "--case", "packed", "--case", "holes", subject=subject)
    assert status == 0
    assert out.startswith("parity PASS: 1 variant x 2 cases, 14 comparisons; ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config", "three"), "python -m parity: no variant is called three; there are: one, two\n"),
        (("--case", "raged"), f"python -m parity: no case is called raged; there are: {', '.join(CASE_NAMES)}\n"),
        (
            ("--json", "no/such/folder.json"),
            "python -m parity: --json no/such/folder.json: must name a file in a folder that exists\n",
        ),
        (("--json", "."), "python -m parity: --json .: must name a file in a folder that exists\n"),
    ],
)
def test_bad_use_is_status_2(run, arguments, message):
    assert run("check", *arguments) == (2, "", message)


@pytest.mark.parametrize("arguments", [(), ("chek",), ("check", "--cas", "ragged"), ("check", "--case"), ("trained",)])
def test_what_cannot_be_parsed_is_status_2(run, arguments):
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2


def test_help_is_for_people(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["check", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for part in ("--config NAME", "--case NAME", "--json FILE", "--list", "first line is the verdict"):
        assert part in " ".join(text.split())


def test_list_names_everything_and_checks_nothing(run):
    subject = toy.ToySubject()
    status, out, _ = run("check", "--list", subject=subject)
    assert (status, subject.log) == (0, [])
    lines = out.splitlines()
    assert lines[:4] == [
        "2 variants of a head against itself:",
        "  one",
        "  two",
        "10 cases, each made to expose something:",
    ]
    assert [line.split()[0] for line in lines[4:]] == list(CASE_NAMES)
    assert lines[-1] == "  nan-padding          content of padding that reaches a token: NaN times a weight of 0 is NaN"


def test_json_is_the_whole_report(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = run("check", "--case", "ragged", "--json", "report.json")
    assert status == 0
    report = record.from_json(Path("report.json").read_text(encoding="utf-8"))
    assert len(report.runs) == 2
    assert json.loads(Path("report.json").read_text())["headline"] == out.splitlines()[0]


def test_html_is_a_page(run, tmp_path):
    status, out, _ = run("check", "--case", "ragged", "--html", str(tmp_path / "report.html"))
    assert status == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert out.splitlines()[0].removeprefix("parity PASS") in page


def test_dtypes_are_measured_beside_float64(run, monkeypatch):
    def precision_runs(configs, cases, dtypes, progress):
        runs = [(variant, case, dtype) for dtype in dtypes for variant in configs for case in cases]
        return tuple(PrecisionRun(*run, (SiteError("norm", 1e-7, 2e-7, 4e-7),)) for run in runs)

    monkeypatch.setattr("parity.precision.runs.precision_runs", precision_runs)
    monkeypatch.setattr("parity.encoder.variants.variants", lambda: {"one": None})
    status, out, _ = run("check", "--case", "ragged", "--config", "one", "--dtype", "float32", "--dtype", "bfloat16")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if ", allowed 16" in line] == ["float32", "bfloat16"]
    assert "dtypes   float32,bfloat16  float32,bfloat16" in out


def test_list_tells_what_is_checked_by_name_only(run):
    subject = toy.ToySubject({"small": toy.ToyVariant(), "large": toy.ToyVariant(by_default=False)})
    _, out, _ = run("check", "--list", subject=subject)
    assert out.splitlines()[:4] == [
        "1 variants of a head against itself:",
        "  small",
        "checked only by name:",
        "  large",
    ]


def test_progress_shows_on_a_terminal(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    _, out, err = run("check", "--case", "ragged")
    assert "two, ragged" in err
    assert "ragged  " not in out.splitlines()[0]


@pytest.fixture
def binding(monkeypatch):
    """The toy in the place of our encoders and of a training run."""

    def check_run(folder: Path):
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a run")
        return check(toy.ToySubject({folder.name: toy.ToyVariant()}))

    monkeypatch.setattr("parity.encoder.subject.subject", toy.ToySubject)
    monkeypatch.setattr("parity.certificate.trained.check_run", check_run)


@pytest.mark.usefixtures("binding")
def test_the_binding_is_asked_for_the_subject(capsys):
    assert cli.main(["check", "--case", "ragged", "--jobs", "1"]) == 0
    assert capsys.readouterr().out.startswith("parity PASS: 2 variants x 1 case")


@pytest.mark.usefixtures("binding")
def test_the_binding_is_asked_for_trained_parameters(capsys, tmp_path):
    (tmp_path / "checkpoint").touch()
    assert cli.main(["trained", str(tmp_path), "--json", str(tmp_path / "parity.json")]) == 0
    assert capsys.readouterr().out.startswith("parity PASS: 1 variant x 10 cases")
    assert record.from_json((tmp_path / "parity.json").read_text()).runs[0].variant == tmp_path.name


@pytest.mark.usefixtures("binding")
def test_a_folder_that_holds_no_run_is_status_2(capsys):
    assert cli.main(["trained", "nowhere"]) == 2
    assert capsys.readouterr().err == "python -m parity: nowhere is not a run\n"


# Every command that needs a package, in a process of its own in which that package is missing.
WITHOUT = """
import sys
sys.modules[{package!r}] = None
from parity import cli
print([cli.main(command) for command in {commands!r}])
"""


@pytest.mark.parametrize(
    ("package", "install", "commands"),
    [
        (
            "torch",
            "jax-encoder[parity]",
            [["check"], ["optimizer"], ["training"], ["trained", "."], ["fuzz"], ["selftest"], ["calibrate"]],
        ),
        ("transformers", "transformers", [["check", "--against", "transformers"], ["text", "--model", "."]]),
    ],
)
def test_a_missing_package_is_status_2(package, install, commands):
    code = WITHOUT.format(package=package, commands=commands)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == f"{[2] * len(commands)}\n"
    message = f"python -m parity: {package} is needed for this: pip install '{install}'\n"
    assert done.stderr == message * len(commands)


def test_a_missing_module_of_our_own_is_a_mistake_of_ours(monkeypatch):
    monkeypatch.setitem(sys.modules, "parity.fuzz.search", None)
    with pytest.raises(ModuleNotFoundError, match="search"):
        cli.main(["fuzz"])


@pytest.mark.usefixtures("binding")
def test_python_m_parity(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["parity", "check", "--case", "one-token", "--jobs", "1"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(Path(cli.__file__).with_name("__main__.py")), run_name="__main__")
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("parity PASS")
