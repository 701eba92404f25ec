import math

import pytest

from parity import cli
from parity.judge.rounding import FLOOR, MULTIPLE, allowed
from parity.judge.verdict import PrecisionRun, SiteError
from parity.precision.calibration import false_alarms, render


def error(site: str, ours: float, theirs: float) -> SiteError:
    return SiteError(site, ours, theirs, allowed(theirs, "float32"))


def run(*errors: SiteError, variant: str = "config 0", case: str = "ragged") -> PrecisionRun:
    return PrecisionRun(variant, case, "float32", errors)


CLEAN = (
    run(error("a", 1e-6, 1e-6), error("b", 3e-6, 1e-6), error("c", 0.0, 0.0)),
    run(error("a", 1e-6, 2e-6), variant="config 1", case="packed"),
)
ALARM = run(error("d", 1e-3, 1e-6), error("e", math.inf, math.nan), variant="config 2")


def test_clean_runs_have_no_false_alarm():
    assert false_alarms(CLEAN) == ()
    lines = render(CLEAN).splitlines()
    assert lines[0] == "2 clean encoders x 2 cases, 4 values"
    assert lines[1] == (
        f"false alarms: 0 values, in 0 encoders (allowed: {MULTIPLE:g} times torch's error, "
        f"which counts as {FLOOR:g} epsilon at least)"
    )
    assert lines[2].startswith("our error / torch's, or the floor: 50 % up to 1.00, 90 % up to 3.00, ")
    assert lines[2].endswith(", largest 3.00")
    assert lines[3:6] == [
        "torch's error is 0 at 1 value",
        "largest:",
        "   3.00  JAX 3.0e-06, torch 1.0e-06, at b (config 0, ragged)",
    ]


def test_false_alarms_are_counted_by_value_and_by_encoder():
    assert [place.error.site for place in false_alarms((*CLEAN, ALARM))] == ["d", "e"]
    lines = render((*CLEAN, ALARM)).splitlines()
    assert lines[1].startswith("false alarms: 2 values, in 1 encoder (")
    assert lines[5:7] == [
        "    inf  JAX inf, torch nan, at e (config 2, ragged)",
        "1000.00  JAX 1.0e-03, torch 1.0e-06, at d (config 2, ragged)",
    ]


@pytest.fixture
def asked(monkeypatch):
    """Runs that find what they are told to, and what they were asked for."""
    asked = []

    def precision_runs(configs, cases, dtypes, progress):
        asked.append((list(configs), list(cases), dtypes))
        progress("config 0", "ragged")
        return (ALARM,) if "bad" in configs else CLEAN

    def random_forms(count, seed):
        return {"bad" if seed == 13 else f"{count} of seed {seed}": None}

    monkeypatch.setattr("parity.precision.runs.precision_runs", precision_runs)
    monkeypatch.setattr("parity.precision.runs.random_forms", random_forms)
    return asked


def test_the_command_prints_what_it_found(asked, capsys):
    assert cli.main(["calibrate", "--configs", "3", "--dtype", "bfloat16", "--seed", "7"]) == 0
    assert asked[0][0] == ["3 of seed 7"]
    assert asked[0][2] == ["bfloat16"]
    assert len(asked[0][1]) == 10
    assert capsys.readouterr().out.startswith(
        "bfloat16, seed 7: 2 clean encoders x 2 cases, 4 values\nfalse alarms: 0 "
    )


@pytest.mark.usefixtures("asked")
def test_a_false_alarm_is_status_1(capsys):
    assert cli.main(["calibrate", "--seed", "13"]) == 1
    assert "false alarms: 2 values" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("--configs", "0"), ("--seed", "-1")])
def test_bad_use_is_status_2(arguments, capsys):
    assert cli.main(["calibrate", *arguments]) == 2
    assert "--configs must be at least 1 and --seed at least 0, got " in capsys.readouterr().err


@pytest.mark.slow
def test_a_real_calibration(capsys):
    assert cli.main(["calibrate", "--configs", "1", "--seed", "2"]) == 0
    assert capsys.readouterr().out.startswith("float32, seed 2: 1 clean encoder x 10 cases, ")
