"""Charts as inline SVG: errors by site on a logarithmic scale, figures by step, and how many errors are how large."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from parity.report.page.markup import Html, classed, element
from parity.report.page.places import LEAST, written

_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 14.0, 22.0, 30.0

# Text of a chart is about this wide a letter; a label that does not fit its stretch is left out.
_LETTER = 6.2

# Steps of a curve that are drawn at most.
_STEPS = 400


Real = int | float


class Line(NamedTuple):
    """One line of a chart.

    Attributes:
        name: for the legend.
        style: its class.
        values: one a site; None where there is none.
    """

    name: str
    style: str
    values: tuple[Real | None, ...]


class Marks(NamedTuple):
    """Places to point at, and what they mean."""

    at: tuple[int, ...]
    meaning: str


class Frame(NamedTuple):
    """Where a chart's values lie on the page.

    Attributes:
        width, height: of the whole.
        low, high: the values at the bottom and the top; logarithms in base 10 where `logarithmic`.
        places: how many values stand side by side.
        logarithmic: whether the scale is.
    """

    width: Real
    height: Real
    low: Real
    high: Real
    places: int
    logarithmic: bool = True

    def x(self, index: Real) -> float:
        """The middle of the index-th place."""
        return round(_LEFT + (self.width - _LEFT - _RIGHT) * (index + 0.5) / max(self.places, 1), 2)

    def y(self, value: Real) -> float:
        """The height of a value; what is beyond the frame, or no number, lies on its edge."""
        if self.logarithmic:
            value = -math.inf if value <= 0 else math.log10(value)
        share = 1.0 if math.isnan(value) else (value - self.low) / (self.high - self.low)
        return round(self.height - _BOTTOM - (self.height - _TOP - _BOTTOM) * min(max(share, 0.0), 1.0), 2)


def text(x: Real, y: Real, content: object, style: str = "") -> Html:
    """A label."""
    return element("text", {"x": x, "y": y, "class": style or None}, content)


def rule(frame: Frame, value: Real, style: str) -> Html:
    """A line from left to right at a value."""
    y = frame.y(value)
    return element("line", {"x1": _LEFT, "x2": frame.width - _RIGHT, "y1": y, "y2": y, "class": style})


def drawing(frame: Frame, name: str, *children: object) -> Html:
    """The chart as a whole; `name` tells those who do not see it what it shows."""
    box = f"0 0 {frame.width:g} {frame.height:g}"
    return element("svg", {"viewBox": box, "role": "img", "aria-label": name}, *children)


def errors_by_site(
    sites: Sequence[str], lines: Sequence[Line], groups: Sequence[tuple[str, int]], allowed: Real, marks: Marks
) -> Html:
    """Errors over the sites in the order computed.

    Args:
        sites: their names.
        lines: values as many as there are sites.
        groups: stretches of neighbouring sites: name and length.
        allowed: drawn as a line of its own; 0 leaves it out.
        marks: indices of the sites to point at.
    """
    values = [value for line in lines for value in line.values if value and math.isfinite(value)]
    powers = [math.floor(math.log10(value)) for value in values]
    low = max(min([LEAST, *powers] if allowed or not powers else powers), -40)
    frame = Frame(1080, 300 if allowed else 220, low, max(0, low + 1), len(sites))
    parts = [*_decades(frame), *_stretches(frame, groups)]
    if allowed:
        top = frame.y(allowed)
        area = {"x": _LEFT, "y": _TOP, "width": frame.width - _LEFT - _RIGHT, "height": round(top - _TOP, 2)}
        parts.insert(0, element("rect", {**area, "class": "beyond"}))
        parts += [
            rule(frame, allowed, "constant"),
            text(frame.width - _RIGHT, top - 5, f"the constant {allowed:.0e}", "end"),
        ]
    for index in marks.at:
        parts.append(
            element(
                "line",
                {"x1": frame.x(index), "x2": frame.x(index), "y1": _TOP, "y2": frame.height - _BOTTOM, "class": "mark"},
            )
        )
        parts.append(text(frame.x(index), _TOP - 8, "\N{BLACK DIAMOND}", "diamond"))
    parts += [mark for line in lines for mark in _polyline(frame, line)]
    parts += _hover(frame, sites, lines)
    name = f"{' and '.join(line.name for line in lines)} by site: {len(sites)} sites, {len(marks.at)} of them marked"
    keys = [classed("span", f"line {line.style}", line.name) for line in lines]
    if marks.at:
        keys.append(classed("span", "", f"\N{BLACK DIAMOND} {marks.meaning}"))
    return element("figure", {}, classed("p", "legend", *keys), drawing(frame, name, *parts))


def histogram(errors: Sequence[Real], allowed: Real) -> Html:
    """How many errors are how large, by half powers of ten; the heights are logarithms, so that one can be seen."""
    bins = _bins(errors)
    frame = Frame(1080, 190, 0, math.log10(10 * max(*bins.values(), 1)), len(bins))
    boundary = math.log10(allowed) if allowed else float(LEAST)
    bars = []
    for place, (name, count) in enumerate(bins.items()):
        beyond = name == "none" or (name != "equal" and float(name) >= boundary)
        bars += _bar(frame, place, count, " over" * beyond) if count else []
        if name in ("equal", "none"):
            bars.append(text(frame.x(place), frame.height - 10, name, "middle"))
        elif float(name) % 2 == 1 and float(name) > LEAST:
            bars.append(text(frame.x(place - 0.5), frame.height - 10, f"1e{name}", "middle"))
    x = round(frame.x(0.5 + 2 * (boundary - LEAST)), 2)
    bars.append(element("line", {"x1": x, "x2": x, "y1": 4, "y2": frame.height - _BOTTOM, "class": "constant"}))
    bars.append(text(x + 6, 14, f"the constant {allowed:.0e}"))
    return element("figure", {}, drawing(frame, f"{len(errors):,} comparisons by their error", *bars))


def _bins(errors: Sequence[Real]) -> dict[str, int]:
    """How many errors lie from each half power of ten to the next; beside them those that are 0 and those without."""
    places = [math.floor(2 * max(math.log10(error), LEAST)) for error in errors if error and math.isfinite(error)]
    at = Counter(min(place, 0) for place in places)
    counted = {f"{half / 2:g}": at[half] for half in range(2 * LEAST, 1)}
    without = sum(not math.isfinite(error) for error in errors)
    return {"equal": sum(error == 0 for error in errors), **counted, "none": without}


def _bar(frame: Frame, place: int, count: int, style: str) -> list[Html]:
    width, top, x = round(frame.x(1) - frame.x(0) - 2, 2), frame.y(10 * count), frame.x(place)
    size = {"x": round(x - width / 2, 2), "y": top, "width": width, "height": round(frame.height - _BOTTOM - top, 2)}
    return [
        element("rect", {**size, "rx": 2, "class": f"bar{style}"}),
        text(x, top - 4, f"{count / 1000:.1f}k" if count >= 1000 else count, f"count{style}"),
    ]


def curve(name: str, values: Sequence[Real]) -> Html:
    """One figure by step of a training run."""
    stride = -(-len(values) // _STEPS)
    steps = sorted({*range(0, len(values), max(stride, 1)), max(len(values) - 1, 0)}) if values else []
    shown = [values[step] for step in steps]
    finite = [value for value in shown if math.isfinite(value)]
    positive = [value for value in finite if value > 0]
    logarithmic = len(positive) == len(finite) > 0 and max(positive) > 30 * min(positive)
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if logarithmic:
        low, high = math.floor(math.log10(low)), math.ceil(math.log10(high))
    frame = Frame(520, 190, low, high if high > low else low + 1, len(steps), logarithmic)
    marks = _decades(frame) if logarithmic else _levels(frame)
    line = Line(name, "free", tuple(value if math.isfinite(value) else None for value in shown))
    ends = [text(_LEFT, 182, "step 0"), text(frame.width - _RIGHT, 182, f"step {len(values) - 1:,}", "end")]
    last = f"{values[-1]:.3g} at the end" if len(values) else "no steps"
    title = classed("figcaption", "", classed("b", "", name), f" {last}")
    return element("figure", {}, title, drawing(frame, f"{name}: {last}", *marks, *_polyline(frame, line), *ends))


def _decades(frame: Frame) -> Iterator[Html]:
    """Powers of ten, not more than ten of them."""
    step = max(1, math.ceil((frame.high - frame.low) / 10))
    for power in range(math.ceil(frame.low), math.floor(frame.high) + 1):
        if power % step == 0:
            yield rule(frame, 10.0**power, "grid")
            yield text(_LEFT - 8, frame.y(10.0**power) + 4, f"1e{power}" if power else "1", "end")


def _levels(frame: Frame) -> Iterator[Html]:
    for share in range(5):
        value = frame.low + (frame.high - frame.low) * share / 4
        yield rule(frame, value, "grid")
        yield text(_LEFT - 8, frame.y(value) + 4, f"{value:.3g}", "end")


def _stretches(frame: Frame, groups: Sequence[tuple[str, int]]) -> Iterator[Html]:
    """Where the embedding ends and every layer begins."""
    start, half = 0, (frame.x(1) - frame.x(0)) / 2
    for name, count in groups:
        left, right = frame.x(start) - half, frame.x(start + count - 1) + half
        if start:
            x = round(left, 2)
            yield element("line", {"x1": x, "x2": x, "y1": _TOP, "y2": frame.height - _BOTTOM + 6, "class": "grid"})
        if len(name) * _LETTER < right - left:
            yield text(round((left + right) / 2, 2), frame.height - 10, name, "middle")
        start += count


def _polyline(frame: Frame, line: Line) -> Iterator[Html]:
    """The line, in pieces where a value is missing; a piece of one value is a point."""
    piece: list[str] = []
    for index, value in enumerate((*line.values, None)):
        if value is not None:
            piece.append(f"{frame.x(index):g},{frame.y(math.inf if math.isnan(value) else value):g}")
        elif piece:
            points = " ".join(piece if len(piece) > 1 else piece * 2)
            yield element("polyline", {"points": points, "class": f"line {line.style}"})
            piece = []


def _hover(frame: Frame, sites: Sequence[str], lines: Sequence[Line]) -> Iterator[Html]:
    """Invisible columns that tell the values of a site."""
    width = round(frame.x(1) - frame.x(0), 2)
    for index, site in enumerate(sites):
        told = [f"{line.name} {written(value)}" for line in lines if (value := line.values[index]) is not None]
        size = {"x": round(frame.x(index) - width / 2, 2), "y": _TOP, "width": width}
        column = {**size, "height": frame.height - _TOP - _BOTTOM, "class": "column"}
        yield element("rect", column, element("title", {}, "; ".join([site, *told])))
