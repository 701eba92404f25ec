"""The self-test's own table, and the command that fills it."""

import functools
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
    names = ("adam-eps", "accumulate-mean", "matmul-tf32", "draws-steps-alike")
    options = [word for name in names for word in ("--bug", name)]
    status = cli.main(["selftest", *options, "--clean", "1", "--jobs", "1", "--write", str(page)])
    out = capsys.readouterr().out
    assert status == 0, out
    assert "\n| draws | 2 | 2 | 2 | 2 | 2 |\n" in out, "of one encoder, and of the trainer's keys"
    for tier in ("optimizer", "training", "precision"):
        assert f"\n| {tier} | 1 | 1 | 1 | " in out
    assert "random encoders in bfloat16: 1 without a mistake, no false alarm." in out
    assert out.strip() in page.read_text()


@pytest.mark.slow
def test_the_command_tells_what_went_wrong(capsys):
    assert cli.main(["selftest", "--bug", "norm-fast-variance", "--clean", "0", "--jobs", "1"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("norm-fast-variance in JAX: embedding.norm; embedding.norm (-)\n")
    assert "\n| forward | 2 | 2 | 2 | 2 | 1 |\n| other sizes and forms | 2 | 2 | 2 | 2 | 2 |\n" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clean", "-1"], "--clean must be at least 0, got -1"),
        (["--jobs", "-1"], "--jobs must be at least 0, got -1"),
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
    assert not [part.what for part in tiers.parts() if part.what.startswith("text")]
    monkeypatch.setattr(tiers, "parts", lambda names, clean, seed: [tiers.Part("one", 1, lambda: [GOOD, *CLEAN])])
    assert cli.main(["selftest", "--clean", "0"]) == 0
    assert capsys.readouterr().out.startswith("the tier of text is left out: sentence_transformers ")


@pytest.mark.slow
def test_mistakes_of_text_are_a_tier():
    found = tiers.tried(tiers.parts(frozenset({"text-cut-other-side"}))).outcomes
    assert [(one.bug, one.tier, one.side) for one in found] == [
        ("text-cut-other-side", "text", "torch"),
        ("text-cut-other-side", "text", "JAX"),
    ]
    assert passed(found, CLEAN)


def test_all_that_is_done_is_done_in_some_part():
    whole, some = tiers.parts(clean=2), tiers.parts(frozenset({"adam-eps", "norm-order"}))
    assert [part.what for part in some] == ["post", "another model, 1", "another model, 2", "optimizer"]
    assert len({part.what for part in whole}) == len(whole)
    assert [part.what for part in whole[-3:]] == [
        f"no mistake, {dtype}" for dtype in ("float64", "float32", "bfloat16")
    ]
    assert tiers.parts(frozenset()) == []
    made = frozenset().union(*(one for part in whole for one in _names(part.work)))
    assert made == frozenset(tiers.NAMES)


def _names(work):
    """What a partial is given as names, wherever it stands among its arguments."""
    return [one for one in work.args if isinstance(one, frozenset)]


def _told(bug, tier="forward"):
    return GOOD._replace(bug=bug, tier=tier)


def _of_first():
    return [_told("untied", "backward"), _told("gelu-tanh")]


def _of_second():
    return [_told("norm-order"), Clean("random encoders in float64", 1, "")]


@pytest.mark.slow
def test_the_order_is_the_catalogues_whatever_is_done_first_and_where():
    parts = [
        tiers.Part("first", 1, _of_first),
        tiers.Part("second", 5, _of_second),
        tiers.Part("third", 3, functools.partial(_other, "adam-eps")),
    ]
    told = []
    alone, shared = tiers.tried(parts, progress=told.append), tiers.tried(parts, jobs=2)
    assert told == ["second", "third", "first"], "what takes longest is done first"
    assert alone == shared
    assert [one.bug for one in alone.outcomes] == ["norm-order", "gelu-tanh", "untied", "adam-eps"]
    assert alone.clean == [Clean("random encoders in float64", 1, "")]


def _other(bug):
    return [_told(bug, "optimizer")]


def test_it_can_be_stopped(monkeypatch, capsys):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(tiers, "parts", lambda names, clean, seed: [tiers.Part("one", 1, stop)])
    assert cli.main(["selftest"]) == 130
    assert capsys.readouterr() == ("", "python -m parity: stopped\n")
