import json
import math

import pytest

from parity.judge.check import check
from parity.judge.compare import SEMANTIC, Comparison
from parity.judge.rounding import ExplainedRun
from parity.judge.verdict import Crash, Culprit, Element, Explanation, PrecisionRun, Report, Setting, SiteError
from parity.report import record
from tests.parity import helpers as toy
from tests.parity.helpers import agreeing, run_of

STRANGE = (
    agreeing("nan", error=math.inf, actual=math.nan, expected=-math.inf, problem="not finite"),
    agreeing("whole", error=math.inf, worst_index=None, actual=None, expected=None, problem="a\nb"),
    agreeing("flags", dtype="bool", error=0.5, allowed=0.0, actual=True, expected=False, shape=(), worst_index=()),
    agreeing("integers", error=0.0, allowed=0.0, actual=2**63, expected=2**63),
    agreeing("π", error=1e-300 / 3),
)
EXPLANATION = Explanation("x", "y is z", "torch", 2e-16)
CULPRIT = Culprit(
    "layers.0.attention.key",
    ("embedding.norm",),
    agreeing("layers.0.attention.key", error=math.inf, actual=math.nan, problem="not finite"),
    (Element((0, 1), math.nan, 2.5), Element((), True, False), Element((3,), 7, 8)),
    (EXPLANATION, EXPLANATION._replace(residual=math.inf)),
    ("row 1 of 5 differs",),
)
RUNS = (
    run_of(*STRANGE, replayed=STRANGE[:2], culprits=(CULPRIT, Culprit("bare", (), STRANGE[4]))),
    run_of(case="packed", inadequate=("x",)),
    run_of(agreeing("a", error=1.0), case="holes", inert=("a",), outputs=("mlm",)),
)
CRASH = Crash("JAX", "ValueError", "no", "a.py:1, in f", "b", "Traceback")
PRECISION = (
    ExplainedRun(
        "one", "ragged", "float32", (SiteError("a", math.inf, math.nan, math.nan),), explanations=(EXPLANATION,)
    ),
    PrecisionRun("one", "packed", "bfloat16", (SiteError("a", 1 / 3, 0.0, 1e-7), SiteError("b", 0.0, 0.0, 0.0))),
)
REPORT = Report(
    "a against b",
    SEMANTIC,
    {"jax": "0.10"},
    RUNS,
    PRECISION,
    (Setting("version", "0.10", "2.13"), Setting("products", "11", "24", "use all digits")),
    {"loss": (1.5, math.nan, -math.inf), "empty": ()},
    {"parameters": "0f" * 32},
)


def same(left: Report, right: Report) -> bool:
    return repr(left) == repr(right)  # NaN differs from itself


CRASHED = Report(
    *("a against b", SEMANTIC, {}, (run_of(crash=CRASH),)),
    precision=(PrecisionRun("one", "ragged", "float32", (), crash=CRASH),),
)


@pytest.mark.parametrize(
    "report", [REPORT, CRASHED, Report("nothing", SEMANTIC, {}, ())], ids=["strange", "crashed", "empty"]
)
def test_everything_comes_back(report):
    text = record.to_json(report)
    assert same(record.from_json(text), report)
    assert record.to_json(record.from_json(text)) == text


def test_a_real_report_comes_back():
    report = check(toy.ToySubject())
    assert same(record.from_json(record.to_json(report)), report)


def test_the_schema_is_what_the_documentation_says():
    values = json.loads(record.to_json(REPORT), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    schema = record.__doc__.split("one object:")[1].split("A comparison's values")[0]
    documented = [line.split()[0] for line in schema.splitlines() if line.startswith("    ") and line[4] != " "]
    assert list(values) == documented
    assert values["schema"] == 3
    assert values["verdict"] == "FAIL semantic"
    assert values["headline"].startswith("parity FAIL semantic at nan, first of 3 values to differ (of 5)")
    assert values["fields"] == list(Comparison._fields)
    assert values["runs"][1] == {
        "variant": "one",
        "case": "packed",
        "inadequate": ["x"],
        "comparisons": [],
        "replayed": [],
        "culprits": [],
        "inert": [],
        "outputs": [],
        "crash": None,
    }
    assert (values["runs"][2]["inert"], values["runs"][2]["outputs"]) == (["a"], ["mlm"])
    assert values["precision"][0] == {
        "variant": "one",
        "case": "ragged",
        "dtype": "float32",
        "errors": [["a", "inf", "nan", "nan"]],
        "explanations": [["x", "y is z", "torch", 2e-16]],
        "crash": None,
    }
    assert values["preflight"][1] == {"name": "products", "jax": "11", "torch": "24", "warning": "use all digits"}
    assert values["curves"] == {"loss": [1.5, "nan", "-inf"], "empty": []}
    assert values["variants"] == [
        {
            "name": "one",
            "verdict": "FAIL semantic",
            "cases": 3,
            "sites": 5,
            "worst_error": "inf",
            "worst_site": "nan",
            "worst_case": "ragged",
        }
    ]


def test_a_crash_is_an_object():
    values = json.loads(record.to_json(CRASHED))
    assert (values["verdict"], values["vacuities"]) == ("ERROR", [])
    fields = {"where": "a.py:1, in f", "reached": "b", "traceback": "Traceback"}
    crash = {"side": "JAX", "kind": "ValueError", "message": "no", **fields}
    assert values["runs"][0]["crash"] == values["precision"][0]["crash"] == crash


def test_a_variant_without_comparisons_has_no_worst():
    [variant] = json.loads(record.to_json(Report("a", SEMANTIC, {}, (run_of(),))))["variants"]
    assert (variant["worst_error"], variant["worst_site"], variant["worst_case"]) == (None, None, None)


def changed(**values) -> str:
    return json.dumps(json.loads(record.to_json(REPORT)) | values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "^not a parity record: JSONDecodeError"),
        ("[]", "^not a parity record: TypeError"),
        ("{}", "^not a parity record: KeyError: 'schema'$"),
        (changed(schema=2), "^a parity record of schema 2 cannot be read, must be 3$"),
        (changed(runs=[{"variant": "one"}]), "^not a parity record: KeyError"),
        (changed(verdict="PASS"), "^the parity record was changed: verdict is not what its runs come to$"),
        (changed(runs=[]), "^the parity record was changed: verdict, headline, vacuities, variants is not"),
        (changed(preflight=[{"name": "version"}]), "^not a parity record: TypeError"),
        (changed(precision=[{"variant": "one"}]), "^not a parity record: KeyError"),
        (changed(fields=["site"]), "^the parity record was changed: fields is not"),
    ],
)
def test_what_is_damaged_or_edited_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        record.from_json(text)


@pytest.mark.parametrize("where", [("comparisons", 0), ("replayed", 0), ("culprits", 0, "comparison")])
def test_a_comparison_of_another_length_is_refused(where):
    values = json.loads(record.to_json(REPORT))
    found = values["runs"][0]
    for key in where:
        found = found[key]
    found.pop()
    with pytest.raises(ValueError, match="zip"):
        record.from_json(json.dumps(values))


def test_a_loss_of_digits_that_is_taken_out_is_noticed():
    agrees = Report("a", SEMANTIC, {}, (run_of(agreeing()),), (PrecisionRun("one", "ragged", "float32", ()),))
    fails = Report("a", SEMANTIC, {}, agrees.runs, PRECISION)
    text = json.dumps(
        json.loads(record.to_json(fails)) | {"precision": json.loads(record.to_json(agrees))["precision"]}
    )
    with pytest.raises(ValueError, match=r"^the parity record was changed: verdict, headline is not"):
        record.from_json(text)


def test_writing_replaces_the_file_as_a_whole(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    record.write(REPORT, path)
    assert same(record.from_json(path.read_text(encoding="utf-8")), REPORT)
    assert [child.name for child in tmp_path.iterdir()] == ["report.json"]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_text("old")
    monkeypatch.setattr(record, "to_json", lambda report: "half\ud800")
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        record.write(REPORT, path)
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["report.json"]
