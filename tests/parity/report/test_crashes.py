"""What a report says of a side that raised, by hand."""

from parity.judge.compare import SEMANTIC
from parity.judge.verdict import Crash, PrecisionRun, Report, SiteError
from parity.report.html import to_html
from parity.report.text import render
from tests.parity.helpers import agreeing, run_of

CRASH = Crash("JAX", "ValueError", "no\n\nsuch <b>shape</b>", "a.py:7, in f", "layers.0.key", "Traceback: <i>")
OTHER = Crash("torch", "OSError", "")


def report_of(*runs, **rest) -> Report:
    return Report("a against b", SEMANTIC, {}, runs, **rest)


def test_where_it_was_raised_and_how_the_others_ended():
    report = report_of(
        run_of(agreeing("a", error=0.5)),
        run_of(case="packed", crash=CRASH),
        run_of(case="holes", crash=CRASH),
        run_of(variant="two", crash=OTHER),
        precision=(PrecisionRun("one", "ragged", "float32", (), crash=CRASH),),
    )
    lines = render(report).splitlines()
    assert lines[:7] == [
        "parity ERROR in variant one, case packed: JAX raised ValueError: no",
        "  raised at a.py:7, in f",
        "  the last value that it had computed: layers.0.key",
        "  such <b>shape</b>",
        "  raised in 4 of 5 runs; differing runs: 1",
        "  also in variant two, case ragged: torch raised OSError",
        "",
    ]
    assert "one      3      1      5.0e-01      a (ragged)  ERROR" in lines
    assert "float32  1     0       -                      -   ERROR" in lines


def test_a_crash_in_a_deployed_dtype():
    runs = (
        PrecisionRun("one", "ragged", "float32", (SiteError("a", 1e-7, 1e-7, 1e-6),)),
        PrecisionRun("one", "packed", "float32", (), crash=OTHER),
    )
    lines = render(report_of(run_of(agreeing("a")), precision=runs)).splitlines()
    assert lines[0] == "parity ERROR in variant one, case packed in float32: torch raised OSError"
    assert lines[1] == "  raised in 1 of 3 runs; differing runs: 0"
    assert any(line.startswith("float32  2") and line.endswith("ERROR") for line in lines)


def test_long_messages_are_cut_and_counted():
    long = CRASH._replace(message="\n".join(["x" * 500] * 20), where="", reached="")
    lines = render(report_of(run_of(crash=long))).splitlines()
    assert len(lines[0]) < 300
    assert lines[0].endswith("xxx...")
    assert len([line for line in lines if line.startswith("  xx")]) == 11
    assert lines[12] == "  and 8 more lines, in the report that --json writes"


def test_many_kinds_are_counted():
    runs = [run_of(case=f"c{n}", crash=OTHER._replace(message=str(n))) for n in range(12)]
    lines = render(report_of(*runs)).splitlines()
    assert lines[2] == "  also in variant one, case c1: torch raised OSError: 1"
    assert lines[10] == "  and 3 others"
    assert "and 4 others" in to_html(report_of(*runs))


def test_the_page_shows_each_kind_once_with_its_traceback():
    page = to_html(report_of(run_of(crash=CRASH), run_of(case="packed", crash=CRASH), run_of(case="b", crash=OTHER)))
    assert page.count("<article") == 2
    assert "In variant one, case ragged and 1 more run." in page
    assert "Raised at a.py:7, in f." in page
    assert "The last value that it had computed: layers.0.key." in page
    assert "<pre>Traceback: &lt;i&gt;</pre>" in page
    assert page.count("<pre>") == 1
    assert page.count("\N{HIGH VOLTAGE SIGN} raised") == 3
