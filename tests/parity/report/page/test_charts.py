"""Charts: what stands where, whatever the values are."""

import math
import re

import pytest

from parity.judge.compare import SEMANTIC
from parity.report.page import charts
from parity.report.page.charts import Frame, Line, Marks, curve, errors_by_site, histogram
from parity.report.page.places import groups_of


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
