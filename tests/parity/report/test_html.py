"""The page stands by itself, says what the report says, and nothing in a report can break it."""

import dataclasses
import doctest
import math
import re
import tomllib
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest

from parity.judge.check import check
from parity.judge.compare import SEMANTIC
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
from parity.report.page import charts, markup, places
from parity.report.page.charts import Frame, Line, Marks, curve, errors_by_site, histogram
from parity.report.page.places import colour, described, exponent, groups_of, parts_of, place_of, written
from parity.report.text import headline
from tests.parity import helpers as toy
from tests.parity.helpers import agreeing, run_of

HOSTILE = "</title></td><script>alert('1')</script>&amp;\"\x00\ud800"


class Tree(HTMLParser):
    """Refuses markup that is not nested as it should be; keeps what the tests look at."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.tags, self.text = [], [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        given = dict(attributes)
        assert len(given) == len(attributes), f"doubled attributes of {tag}"
        self.tags.append((tag, given))
        self.text += [" "] if tag not in ("b", "wbr", "code") else []
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def layered(*, error: float = 1e-15, layers: int = 3) -> list:
    """Two values in every layer, between an embedding and a head; then the derivatives by some of them."""
    names = [f"layers.{layer}.{row}" for layer in range(layers) for row in ("attention.key", "mlp.output")]
    back = [f"d(mlm)/d({name})" for name in ["head.logits", *reversed(names), "embedding.word"]]
    parameters = [f"d(mlm)/d(encoder.layers.{layer}.attention.key.weight)" for layer in range(layers)]
    parameters += ["d(mlm)/d(encoder.embedding.word.weight)", "d(mlm)/d(head.bias)"]
    sites = ["embedding.word", *names, "head.logits", "mlm", *back, *parameters]
    return [agreeing(site, error=error) for site in sites]


def changed(comparisons: list, **errors: float) -> tuple:
    """Other errors, by index."""
    return tuple(one._replace(error=errors.get(f"at{index}", one.error)) for index, one in enumerate(comparisons))


SITES = layered()
CULPRIT = Culprit(
    "layers.1.attention.key",
    ("layers.0.mlp.output", "embedding.word"),
    agreeing("layers.1.attention.key", error=0.31),
    (Element((0, 1), 0.5, 1.0), Element((1, 2), 1.25, 1.25000000125)),
    (
        Explanation("key-bias-dropped", "the key bias not loaded", "torch", 2e-16),
        Explanation("other", "something else", "JAX", 1e-12),
    ),
    ("JAX is 0.5 x torch",),
)
FAILED = Run(
    "post",
    "ragged",
    changed(SITES, at3=0.31, at4=0.2, at5=math.nan, at12=1e-3),
    replayed=changed(SITES[:9], at3=0.31),
    culprits=(CULPRIT,),
)
PASSED = run_of(*layered(error=3e-13), variant="pre", case="packed")
REPORT = Report("a against b", SEMANTIC, {"jax": "0.10"}, (PASSED, FAILED))
PRECISION = (
    PrecisionRun(
        "post", "ragged", "bfloat16", (SiteError("layers.0.a", 3e-3, 2e-3, 8e-3), SiteError("head.b", 0.0, 0.0, 0.0))
    ),
    PrecisionRun("pre", "ragged", "bfloat16", (SiteError("layers.0.a", math.nan, 2e-3, 8e-3),)),
    PrecisionRun("pre", "holes", "float32", (SiteError("layers.0.a", 1e-7, 1e-7, 0.0),)),
    PrecisionRun("pre", "packed", "float32", ()),
)
FULL = dataclasses.replace(
    REPORT,
    precision=PRECISION,
    preflight=(Setting("TF32", "off", "allowed", "torch may round"), Setting("x64", "on", "-")),
    curves={"loss": (3.0, 2.5, math.nan, 2.0), "drift": (1e-15, 1e-14, 1e-13), "none": (), "flat": (0.0, 0.0)},
    hashes={"weights": "ab" * 32},
)


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


def cells(report: Report) -> dict[str, tuple[str, str]]:
    """Class and text of every cell of the heat maps that has a title, by site."""
    found = re.findall(r'<td class="([^"]*)" title="([^":]*): [^"]*">([^<]*)</td>', to_html(report))
    return {site: (style, text) for style, site, text in reversed(found)}


def test_the_map_shows_every_site_and_tells_making_from_inheriting():
    found = cells(REPORT)
    assert set(found) == {comparison.site for comparison in SITES}
    assert found["layers.0.attention.key"] == ("e15", "\N{MINUS SIGN}15")
    assert found["layers.1.attention.key"] == ("e1 bad made", "\N{BLACK DIAMOND}\N{THIN SPACE}\N{MINUS SIGN}1")
    assert found["layers.1.mlp.output"] == ("e1 bad", "\N{MINUS SIGN}1")
    assert found["layers.2.attention.key"] == ("e-none bad", "\N{MULTIPLICATION SIGN}")
    words = Tree(to_html(REPORT)).words
    for panel in ("embedding", "layers", "parameters of layers", "parameters of the embedding", "parameters of heads"):
        assert f"Backward from the loss mlm: {panel} " in words


def test_a_layer_that_lacks_a_value_leaves_a_gap():
    sites = ("layers.0.a", "layers.1.norm", "layers.1.a")
    page = to_html(Report("a", SEMANTIC, {}, (run_of(*map(agreeing, sites)),)))
    assert page.count('class="gap"') == 1
    assert page.index('<th scope="row">norm') < page.index('<th scope="row">a<')


def test_a_pass_that_agrees_is_folded_behind_the_first():
    tree = Tree(to_html(Report("a", SEMANTIC, {}, (PASSED,))))
    assert len(tree.of("details")) == 1
    assert "Backward from the loss mlm 13 sites agree, worst 3.0e-13" in tree.words
    assert "Forward 9 sites agree, worst 3.0e-13" in tree.words
    failing = Tree(to_html(Report("a", SEMANTIC, {}, (FAILED,))))
    assert not failing.of("details")
    assert "Backward from the loss mlm 1 of 13 sites differ, worst 1.0e-03" in failing.words


def test_places():
    assert place_of("layers.11.mlp.up").group == "layer 11"
    assert place_of("head.logits")[1:] == ("after", -1, "head.logits", "head.logits")
    assert place_of("d(mlm)/d(encoder.layers.1.mlp.up.weight)")[:4] == ("mlm", "layers", 1, "mlp.up.weight")
    assert groups_of(["embedding.a", "embedding.b", "layers.0.a", "layers.1.a", "layers.1.b", "out"]) == [
        *(("embedding", 2), ("layer 0", 1), ("layer 1", 2), ("out", 1))
    ]
    assert [part.title for part in parts_of(FAILED)] == ["Forward", "Backward from the loss mlm"]
    assert described(agreeing("x", problem="one\ntwo")) == "x: one"
    assert described(agreeing("x", shape=())) == "x: agrees, error 1.0e-15; float64, one number"


@pytest.mark.parametrize(
    ("error", "style", "short", "long"),
    [
        (0.0, "e-zero", "0", "0.0e+00"),
        (1e-300, "e17", "\N{MINUS SIGN}17", "1.0e-300"),
        (9.9e-11, "e11", "\N{MINUS SIGN}11", "9.9e-11"),
        (0.5, "e1", "\N{MINUS SIGN}1", "5.0e-01"),
        (7.0, "e0", "0", "7.0e+00"),
        (math.inf, "e-none", "\N{MULTIPLICATION SIGN}", "not comparable"),
    ],
)
def test_errors_in_words_and_colours(error, style, short, long):
    assert (colour(error), exponent(error), written(error)) == (style, short, long)
    assert f".{style} " in resources.files("parity.report.page").joinpath("page.css").read_text()


def numbers(svg: str) -> list[float]:
    named = re.findall(r' (?:x|y|x1|x2|y1|y2|width|height|cx|cy)="([^"]*)"', svg)
    points = [number for points in re.findall(r'points="([^"]*)"', svg) for number in re.split("[ ,]", points)]
    return [float(number) for number in (*named, *points)]


@pytest.mark.parametrize(
    "values", [(0.0, 1e-15, 1.0), (math.inf, math.nan, 1e-300), (None, 1e-3, None), (5e9, 1e-12, 0.0), (), (1e-8,)]
)
@pytest.mark.parametrize("allowed", [SEMANTIC, 0])
def test_whatever_the_values_a_chart_stays_in_its_frame(values, allowed):
    sites = [f"s{i}" for i in range(len(values))]
    svg = errors_by_site(sites, [Line("free", "free", values)], groups_of(sites), allowed, Marks((0,), "here"))
    assert all(0 <= number <= 1080 for number in numbers(svg))
    assert svg.count('class="column"') == len(values)


def test_the_height_of_a_point_is_its_logarithm():
    frame = Frame(1000, 300, -10, 0, 5)
    tops = [frame.y(value) for value in (1.0, 1e-5, 1e-10)]
    assert tops[1] - tops[0] == pytest.approx(tops[2] - tops[1])
    assert tops[0] < tops[1] < tops[2]
    assert frame.y(math.inf) == frame.y(100.0) == tops[0]
    assert frame.y(0.0) == frame.y(-1.0) == tops[2]


def test_a_missing_value_breaks_the_line():
    line = Line("x", "x", (1e-3, 1e-4, None, None, 1e-5))
    first, second = re.findall(r'points="([^"]*)"', errors_by_site(list("abcde"), [line], [("a", 5)], 0, Marks((), "")))
    assert [len(points.split()) for points in (first, second)] == [2, 2]
    assert len(set(second.split())) == 1  # a point


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [
        ((1e-15, 1e-12, 1e-9), True),
        ((1.0, 2.0), False),
        ((0.0, 1.0, 1e6), False),
        ((math.nan, math.inf), False),
        (tuple(range(1, 3001)), True),
    ],
)
def test_curves_have_the_scale_that_their_values_need(values, logarithmic):
    svg = curve("loss", tuple(map(float, values)))
    assert bool(re.search(r">1e-?\d", svg)) is logarithmic
    assert all(0 <= number <= 520 for number in numbers(svg))
    drawn = max((len(points.split()) for points in re.findall(r'points="([^"]*)"', svg)), default=0)
    assert drawn <= charts._STEPS + 1
    assert f"step {len(values) - 1:,}<" in svg


def test_every_error_has_its_bar():
    errors = [0.0, 0.0, 1e-20, 1.5e-15, 2e-15, 3.5e-15, 2e-10, 1.0, 40.0, math.inf]
    counted = charts._bins(errors)
    assert {name: count for name, count in counted.items() if count} == {
        "equal": 2,
        "-17": 1,
        "-15": 2,
        "-14.5": 1,
        "-10": 1,
        "0": 2,
        "none": 1,
    }
    svg = histogram(errors, SEMANTIC)
    assert svg.count('class="bar over"') == 3
    assert svg.count('class="bar"') == 4
    assert "1.5k" in histogram([1e-15] * 1500, 0.0)


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
