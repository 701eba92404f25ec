"""The self-test's own table, and the command that fills it."""

import importlib.util
import re
import sys

import pytest

from parity import cli
from parity.encoder.bugs.catalogue import MODEL_BUGS
from parity.encoder.bugs.draws import DRAWS_BUGS
from parity.errors import UsageError
from parity.judge.outcome import Outcome
from parity.optimizer.bugs import OPTIMIZER_BUGS
from parity.precision.bugs import PRECISION_BUGS
from parity.selftest import tiers
from parity.selftest.table import Clean, passed, render, written_into
from parity.text.bugs import CATALOGUE as TEXT_BUGS
from parity.training.bugs import TRAINING_BUGS
from parity.training.draws import KEY_BUGS

GOOD = Outcome("gelu-tanh", "torch", "forward", True, True, True, True, "mlp; mlp (gelu-tanh)")
CLEAN = (Clean("random encoders in float64", 20, ""),)


def test_all_right():
    assert passed([GOOD], CLEAN)
    assert render([GOOD, GOOD._replace(side="JAX")], CLEAN).splitlines() == [
        "| tier | made | caught | first site right | cause located | named first |",
        "|---|---|---|---|---|---|",
        "| forward | 2 | 2 | 2 | 2 | 2 |",
        "| all | 2 | 2 | 2 | 2 | 2 |",
        "",
        "random encoders in float64: 20 without a mistake, no false alarm.",
        "",
        "<details><summary>Every mistake</summary>",
        "",
        "| mistake | made in | tier | caught | first site right | cause located | named first |",
        "|---|---|---|---|---|---|---|",
        "| `gelu-tanh` | torch | forward | yes | yes | yes | yes |",
        "| `gelu-tanh` | JAX | forward | yes | yes | yes | yes |",
        "",
        "</details>",
    ]


@pytest.mark.parametrize(
    ("outcomes", "clean"),
    [
        ([], CLEAN),
        ([GOOD, GOOD._replace(caught=False)], CLEAN),
        ([GOOD, GOOD._replace(located=False)], CLEAN),
        ([GOOD] * 8 + [GOOD._replace(named=False)], CLEAN),
        ([GOOD], (Clean("random encoders in float32", 7, "head.logits loses digits"),)),
    ],
)
def test_what_is_not_good_enough(outcomes, clean):
    assert not passed(outcomes, clean)


def test_one_in_ten_may_stay_without_a_name():
    assert passed([GOOD] * 9 + [GOOD._replace(named=False)], CLEAN)


def test_misses_and_alarms_are_told():
    table = render(
        [GOOD._replace(named=False), GOOD._replace(bug="untied", tier="backward", first=False, located=False)],
        (Clean("random encoders in float32", 7, "head.logits loses digits"),),
    )
    assert "- `gelu-tanh` in torch: not named first" in table
    assert "- `untied` in torch: not first site right, not cause located" in table
    assert "random encoders in float32: 7 without a mistake, head.logits loses digits." in table
    assert "| backward | 1 | 1 | 0 | 0 | 1 |" in table


def test_a_page_gets_the_table_between_its_marks():
    page = "before\n<!-- selftest: begin -->\nold\n<!-- selftest: end -->\nafter\n"
    new = written_into(page, "new \\1")
    assert new == "before\n<!-- selftest: begin -->\nnew \\1\n<!-- selftest: end -->\nafter\n"
    assert written_into(new, "old") == page
    with pytest.raises(UsageError, match="the page has no <!-- selftest: begin --> and"):
        written_into("nothing", "new")


@pytest.mark.parametrize(
    "bugs", [MODEL_BUGS, DRAWS_BUGS, OPTIMIZER_BUGS, TRAINING_BUGS, KEY_BUGS, PRECISION_BUGS, TEXT_BUGS]
)
def test_names_are_unique_in_every_tier(bugs):
    names = [bug.name for bug in bugs]
    assert len(set(names)) == len(names) >= 3
    assert set(names) <= set(tiers.NAMES)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names), "they are typed: selftest --bug NAME"


@pytest.mark.slow
def test_the_command_judges_every_tier_and_writes_the_page(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- selftest: begin -->\n<!-- selftest: end -->\n")
    names = ("gelu-tanh", "adam-eps", "accumulate-mean", "matmul-tf32")
    options = [word for name in names for word in ("--bug", name)]
    status = cli.main(["selftest", *options, "--clean", "1", "--write", str(page)])
    out = capsys.readouterr().out
    assert status == 0, out
    for tier in ("forward", "optimizer", "training", "precision"):
        assert f"\n| {tier} | " in out
    assert "random encoders in bfloat16: 1 without a mistake, no false alarm." in out
    assert out.strip() in page.read_text()


@pytest.mark.slow
def test_the_command_tells_what_went_wrong(capsys):
    assert cli.main(["selftest", "--bug", "norm-fast-variance", "--clean", "0"]) == 1
    assert capsys.readouterr().out.startswith("norm-fast-variance in JAX: embedding.norm; embedding.norm (-)\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clean", "-1"], "--clean must be at least 0, got -1"),
        (["--bug", "gelu"], "no bug is called gelu; there are: norm-eps-1e-5, "),
        (["--write", "nowhere.md"], "cannot read nowhere.md: No such file or directory"),
    ],
)
def test_bad_use_is_status_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["selftest", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"python -m parity: {message}")


def test_what_no_tier_measured_is_a_dash_and_counts_for_nothing():
    unmeasured = GOOD._replace(bug="x64-off", side="JAX", tier="precision", located=None, named=None)
    assert passed([GOOD, unmeasured], CLEAN)
    assert not passed([unmeasured], CLEAN), "nothing was named at all"
    assert not passed([GOOD, unmeasured._replace(first=False)], CLEAN)
    table = render([GOOD, unmeasured], CLEAN)
    assert "| precision | 1 | 1 | 1 | – | – |" in table
    assert "| all | 2 | 2 | 2 | 1 of 1 | 1 of 1 |" in table
    assert "| `x64-off` | JAX | precision | yes | yes | – | – |" in table
    assert "not" not in table.partition("<details>")[0].replace("without a mistake, no", "")


def test_text_is_left_out_where_its_libraries_are_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sentence_transformers" else object())
    assert tiers.left_out() == "the tier of text is left out: sentence_transformers cannot be imported here"
    assert list(tiers._text(None)) == []
    assert list(tiers._text(frozenset({"gelu-tanh"}))) == []
    monkeypatch.setattr(tiers, "outcomes", lambda names, advance: iter([GOOD]))
    monkeypatch.setattr(tiers, "clean", lambda count, seed: CLEAN)
    assert cli.main(["selftest", "--clean", "0"]) == 0
    assert capsys.readouterr().out.startswith("the tier of text is left out: sentence_transformers ")


def test_mistakes_of_text_are_a_tier():
    found = list(tiers.outcomes(frozenset({"text-cut-other-side"})))
    assert [(one.bug, one.tier, one.side) for one in found] == [
        ("text-cut-other-side", "text", "torch"),
        ("text-cut-other-side", "text", "JAX"),
    ]
    assert passed(found, CLEAN)
