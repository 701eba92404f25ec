"""The page stands by itself, says what the report says, and nothing in a report can break it."""

import dataclasses
import doctest
import math
import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from parity.judge.check import check
from parity.judge.compare import SEMANTIC, STATISTIC
from parity.judge.verdict import (
    Culprit,
    Element,
    Explanation,
    PrecisionRun,
    Report,
    Run,
    Setting,
    SiteError,
)
from parity.report import html
from parity.report.html import to_html, write_html
from parity.report.page import markup, places
from parity.report.text import headline
from tests.parity import helpers as toy
from tests.parity.helpers import agreeing, run_of
from tests.parity.report.page.helpers import CULPRIT, FAILED, FULL, HOSTILE, PASSED, REPORT, Tree, layered


def test_a_failure_is_told_in_the_order_in_which_a_person_asks():
    tree = Tree(to_html(FULL))
    assert [one["id"] for one in tree.of("section")] == [
        *("cause", "run-0", "precision", "training", "spread", "matrix", "runs", "settings", "provenance")
    ]
    words = tree.words
    assert words.index(headline(FULL)) < words.index("Where the difference is made")
    for part in (
        "looks like the key bias not loaded key-bias-dropped, made in torch; residual after correcting for it: 2e-16",
        "or, which explains it as well: something else (other, in JAX, residual 1e-12)",
        "JAX is 0.5 x torch",
        "(1, 2) 1.25 1.250000001 -1.25e-09",
        "Relative error 3.1e-01, allowed 1e-10; float64, 2 x 3.",
        "\N{WARNING SIGN} torch may round",
        "abababab",
        "bfloat16: pre, ragged, the run that comes closest to what is allowed",
        "pre ragged layers.0.a not comparable 2.0e-03 8.0e-03 \N{MULTIPLICATION X} differs",
    ):
        assert part in words, part


def test_a_pass_shows_first_how_close_it_was():
    report = check(toy.ToySubject(), cases=["ragged", "holes"])
    tree = Tree(to_html(report))
    assert [one["id"] for one in tree.of("section")] == ["spread", "run-0", "matrix", "settings", "provenance"]
    assert headline(report) in tree.words
    assert "the run with the largest error" in tree.words


def test_draws_are_no_relative_error():
    drawn = run_of(agreeing("draws.rows", error=0.25, allowed=STATISTIC), case="draws")
    tree = Tree(to_html(Report("a", SEMANTIC, {}, (run_of(agreeing()), drawn))))
    assert "largest relative error 1.0e-15" in tree.words
    assert "variants x cases 1 x 1" in tree.words
    assert "In variant one, case ragged, the run with the largest error" in tree.words


def test_a_real_failure():
    planted = toy.ToyVariant(break_params=lambda params: params | {"key.bias": params["key.bias"] * 0})
    tree = Tree(to_html(check(toy.ToySubject({"toy": planted, "good": toy.ToyVariant()}), cases=["ragged"])))
    assert "parity FAIL semantic at attention.key, first of 3 values to differ (of 7); norm still agrees" in tree.words
    assert "attention.key" in tree.words


@pytest.mark.parametrize(
    "report",
    [
        Report("nothing", SEMANTIC, {}, ()),
        Report("nothing", SEMANTIC, {}, (run_of(),)),
        Report("a", SEMANTIC, {}, (run_of(agreeing(), inadequate=tuple(f"reason {i}" for i in range(50))),)),
    ],
    ids=["empty", "no-sites", "inadequate"],
)
def test_a_check_that_is_no_proof(report):
    tree = Tree(to_html(report))
    assert tree.of("section")[0]["id"] == "vacuous"
    assert headline(report) in tree.words
    assert ("and 10 more" in tree.words) is (len(report.runs) == 1 and bool(report.runs[0].inadequate))


def test_failing_in_precision_alone():
    report = dataclasses.replace(FULL, runs=(PASSED,))
    tree = Tree(to_html(report))
    assert [one["id"] for one in tree.of("section")][:2] == ["run-0", "precision"]
    assert tree.words.count("parity FAIL precision") == 2  # in the title and in the heading


def test_nothing_in_a_report_can_break_the_page():
    comparison = agreeing(HOSTILE, error=0.5, dtype=HOSTILE, problem=HOSTILE + "\nmore")
    culprit = Culprit(
        HOSTILE, (HOSTILE,), comparison, (Element((0,), True, False),), (Explanation(*[HOSTILE] * 3, 0.5),), (HOSTILE,)
    )
    run = Run(HOSTILE, HOSTILE, (comparison, agreeing("d(<b>)/d(layers.0.<i>)")), (HOSTILE,), culprits=(culprit,))
    report = Report(
        *(HOSTILE, SEMANTIC, {HOSTILE: HOSTILE}, (run, dataclasses.replace(run, culprits=(), variant="x"))),
        precision=(PrecisionRun(HOSTILE, HOSTILE, HOSTILE, (SiteError(HOSTILE, 1.0, 1.0, 0.5),)),),
        preflight=(Setting(*[HOSTILE] * 4),),
        curves={HOSTILE: (1.0, 2.0)},
        hashes={HOSTILE: HOSTILE},
    )
    page = to_html(report)
    assert "alert('1')</script>" in Tree(page).words
    assert page.count("<script") == 1
    assert "<i>" not in page.replace("<i class", "")
    assert "\x00" not in page
    page.encode()


@pytest.mark.parametrize("report", [FULL, Report("nothing", SEMANTIC, {}, ())])
def test_the_page_fetches_nothing(report):
    page = to_html(report)
    tree = Tree(page)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\bsrc=|fetch\(|import\(", page)
    assert [one["href"] for one in tree.of("link")] == ["data:,"]
    assert {"http-equiv": "Content-Security-Policy", "content": html._POLICY} in tree.of("meta")
    assert html._POLICY.startswith("default-src 'none'; ")


def test_the_page_is_accessible():
    tree = Tree(to_html(FULL))
    assert len(tree.ids) == len(set(tree.ids))
    assert {link.removeprefix("#") for link in tree.links} <= set(tree.ids)
    assert len(tree.links) == 2
    assert {one["aria-labelledby"] for one in tree.of("section")} <= set(tree.ids)
    assert all(one["role"] == "img" and one["aria-label"] for one in tree.of("svg"))
    assert len(tree.of("caption")) == len(tree.of("table")) > 5
    assert all(one["scope"] in ("row", "col") for one in tree.of("th"))
    assert len(tree.of("h1")) == len(tree.of("main")) == 1
    assert tree.of("html") == [{"lang": "en"}]


def test_a_large_report_stays_small():
    sites = layered(layers=12) + [agreeing(f"layers.{i % 12}.more.{i // 12}") for i in range(160)]
    wrong = [one._replace(error=0.1) for one in sites]
    runs = [
        Run(
            f"variant-{v}",
            f"case-{c}",
            tuple((wrong if v % 3 == 0 else sites)[: 9 if c else None]),
            replayed=tuple(sites),
        )
        for v in range(30)
        for c in range(10)
    ]
    page = to_html(Report("large", SEMANTIC, {}, tuple(runs)))
    assert len(page) < 3e6
    shown = [one for one in Tree(page).of("details") if one.get("class") == "run"]
    assert len(shown) == 5
    assert 'href="#run-4"' in page
    assert "variant-12" in page[page.index('id="run-4"') :]  # every variant's first failure before a second


def test_more_culprits_than_have_a_card():
    culprits = tuple(
        CULPRIT._replace(site=f"layers.{i}.a", reads=(), explanations=(), elements=(), shape=()) for i in range(9)
    )
    words = Tree(to_html(Report("a", SEMANTIC, {}, (dataclasses.replace(FAILED, culprits=culprits),)))).words
    assert "further culprits" in words
    assert words.count("this block still differs") == 6
    assert "its parameters" in words


def test_a_failure_without_culprits_shows_its_first_symptom():
    failed = run_of(agreeing("a"), agreeing("b", error=0.5, actual=True, expected=False))
    words = Tree(to_html(Report("a", SEMANTIC, {}, (failed,)))).words
    assert "Where the difference first shows" in words
    assert "(0, 1) True False +1" in words
    whole = agreeing("b", error=math.inf, worst_index=None, actual=None, expected=None, problem="two\nlines")
    assert "two lines" in Tree(to_html(Report("a", SEMANTIC, {}, (run_of(whole),)))).words


def test_a_variant_that_was_not_run_on_a_case():
    page = to_html(
        Report(
            "a",
            SEMANTIC,
            {},
            (run_of(agreeing()), run_of(agreeing(), variant="two", case="holes"), run_of(case="packed")),
        )
    )
    assert page.count("not run") == 3
    assert "nothing was compared" in page


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(html, "to_html", lambda report: "half\ud800")
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        write_html(REPORT, path)
    assert path.read_text() == "old"
    monkeypatch.undo()
    write_html(REPORT, path)
    assert path.read_text(encoding="utf-8") == to_html(REPORT)
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]


def test_an_installed_package_has_the_style_and_the_script():
    declared = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["tool"]["setuptools"]
    folder = Path(str(resources.files("parity.report.page")))
    patterns = declared["package-data"]["parity.report.page"]
    packed = {path.name for pattern in patterns for path in folder.glob(pattern)}
    assert (
        packed == {path.name for path in folder.iterdir() if path.suffix not in (".py", "")} == {"page.css", "page.js"}
    )


def test_the_examples_in_the_documentation():
    assert [doctest.testmod(module) for module in (markup, places)] == [(0, 1), (0, 2)]
