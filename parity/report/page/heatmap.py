"""The errors of a pass as a map: what a layer computes from top to bottom, the layers from left to right."""

from collections.abc import Collection, Iterator, Sequence

from parity.judge.compare import Comparison
from parity.report.page.markup import Html, classed, element, escape
from parity.report.page.places import LEAST, MOST, Part, colour, described, exponent, place_of, size_of

# Panels in the order in which they stand: zone, whether of parameters, title.
_PANELS = (
    ("before", False, "embedding"),
    ("layers", False, "layers"),
    ("layers", True, "parameters of layers"),
    ("after", False, "output and heads"),
    ("before", True, "parameters of the embedding"),
    ("after", True, "parameters of heads"),
)

Placed = dict[tuple[int, str], Comparison]


def heat_map(part: Part, culprits: Collection[str]) -> Html:
    """One panel for the embedding, one for the layers, one for all that follows.

    Args:
        part: what to show.
        culprits: names of the sites at which a difference is made.
    """
    panels: dict[tuple[str, bool], Placed] = {}
    for comparison in part.comparisons:
        place = place_of(comparison.site)
        of_parameters = bool(place.loss) and place.value not in part.values
        panels.setdefault((place.zone, of_parameters), {})[place.layer, place.row] = comparison
    drawn = [
        _panel(f"{part.title}: {title}", title, panels[zone, of_parameters], culprits)
        for zone, of_parameters, title in _PANELS
        if (zone, of_parameters) in panels
    ]
    return classed("div", "heat", *drawn)


def legend(allowed: float) -> Html:
    """What the colours and signs of every map mean."""
    steps = [element("i", {"class": f"e{-power}"}) for power in range(LEAST, MOST + 1)]
    scale = element("span", {"class": "ramp", "role": "img", "aria-label": f"colours from 1e{LEAST} to 1"}, *steps)
    return classed(
        "p",
        "legend",
        *(f"1e{LEAST}", scale, "1"),
        classed("span", "", classed("b", "key bad e3", exponent(1e-3)), f" differs: above {allowed:.0e}"),
        classed(
            "span", "", classed("b", "key bad made e1", _sign(True), exponent(1e-1)), " the difference is made here"
        ),
        classed("span", "", classed("b", "key e-zero", "0"), " equal to the last bit"),
        classed("span", "", "A number is the power of ten of the relative error."),
    )


def _panel(caption: str, title: str, placed: Placed, culprits: Collection[str]) -> Html:
    layers = sorted({layer for layer, _ in placed})
    rows = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, row),
            *(_cell(placed.get((layer, row)), culprits) for layer in layers),
        )
        for row in _rows(placed, layers)
    ]
    heads = [element("th", {"scope": "col"}, "error" if layer < 0 else layer) for layer in layers]
    head = element("thead", {}, element("tr", {}, element("th", {"scope": "col", "class": "corner"}, title), *heads))
    inner = element("table", {}, classed("caption", "unseen", caption), head, element("tbody", {}, *rows))
    return element("div", {"class": "wide", "tabindex": 0, "role": "group", "aria-label": caption}, inner)


def _rows(placed: Placed, layers: Sequence[int]) -> Iterator[str]:
    """Names of the rows; the fullest layer gives the order, because another may lack a value in between."""
    by_layer = {layer: [row for at, row in placed if at == layer] for layer in layers}
    yield from dict.fromkeys(row for rows in sorted(by_layer.values(), key=len, reverse=True) for row in rows)


def _sign(made: bool) -> Html:
    return escape("\N{BLACK DIAMOND}\N{THIN SPACE}" if made else "")


def _cell(comparison: Comparison | None, culprits: Collection[str]) -> Html:
    if comparison is None:
        return element("td", {"class": "gap"}, classed("span", "unseen", "none"))
    error, made = size_of(comparison), comparison.site in culprits
    style = colour(error) + " bad" * (not comparison.agrees) + " made" * made
    title = described(comparison) + "; the difference is made here" * made
    return element("td", {"class": style, "title": title}, _sign(made), exponent(error))
