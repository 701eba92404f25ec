"""Why two programs differ: the places where a difference is made, and what the mistake looks like."""

from collections.abc import Sequence

from parity.judge.compare import Comparison, Number
from parity.judge.verdict import Culprit, Element, Run
from parity.report.causes import about_first
from parity.report.page.markup import Html, classed, code, element, join, table
from parity.report.page.places import written
from parity.report.reach import beside, reached

# Culprits of a run that have a card of their own, and known mistakes that are named on it.
_CARDS, _NAMED = 6, 3


def causes(run: Run) -> Html:
    """A card for every culprit of a failing run; without one, the first site that differs."""
    reach = [classed("p", "", line.strip()) for line in (*reached(run), *beside(run))]
    if not run.culprits:
        return join([_first_symptom(run), *reach])
    cards = [_card(culprit, number) for number, culprit in enumerate(run.culprits[:_CARDS], start=1)]
    rest = [[code(one.site), written(one.comparison.error)] for one in run.culprits[_CARDS:]]
    more = [table(["also made at", "error"], rest, caption="further culprits")] if rest else []
    return join([*cards, *more, *reach])


def _card(culprit: Culprit, number: int) -> Html:
    heading = element("h3", {}, classed("span", "number", number), code(culprit.site))
    parts: list[object] = [heading, _flow(culprit)]
    if culprit.explanations:
        parts.append(_likeness(culprit))
    if culprit.comparison.problem:
        parts.append(classed("p", "problem", culprit.comparison.problem))
    beside: list[object] = []
    if culprit.elements:
        beside.append(element("div", {}, element("h4", {}, "Where the two differ most"), _elements(culprit.elements)))
    if culprit.shape:
        lines = [classed("li", "", line) for line in culprit.shape]
        title = element("h4", {}, "What the difference looks like")
        beside.append(classed("div", "shape", title, classed("ul", "", *lines)))
    parts.append(classed("div", "beside", *beside))
    return classed("article", "culprit", *parts)


def _flow(culprit: Culprit) -> Html:
    """What was fed, and what came out."""
    alone = "keys of dropout" if culprit.comparison.by_chance else "its parameters"
    reads = [classed("span", "chip", code(site)) for site in culprit.reads] or [classed("span", "chip", alone)]
    shape = " x ".join(map(str, culprit.comparison.shape)) or "one number"
    sentence = (
        "Fed what the reference computed before it, this block still differs: the mistake lies between them. "
        f"Relative error {written(culprit.comparison.error)}, allowed {culprit.comparison.allowed:.0e}; "
        f"{culprit.comparison.dtype}, {shape}."
    )
    if culprit.comparison.by_chance:
        sentence = f"{culprit.comparison.error:.3g} times what chance may leave; {culprit.comparison.dtype}, {shape}."
    arrow = element("span", {"class": "arrow", "role": "img", "aria-label": "gives"}, "\N{LONG RIGHTWARDS ARROW}")
    made = classed("span", "chip made", "\N{BLACK DIAMOND} ", code(culprit.site))
    chips = classed("p", "flow", classed("span", "reads", *reads), arrow, made)
    return join([chips, classed("p", "", sentence)])


def _likeness(culprit: Culprit) -> Html:
    """The known mistakes that explain it, the best in large letters."""
    best, *others = culprit.explanations[:_NAMED]
    first = classed(
        "p",
        "likeness",
        classed("span", "", "looks like "),
        classed("b", "", best.mistake),
        classed(
            "small", "", f" {best.bug}, made in {best.side}; residual after correcting for it: {best.residual:.1g}"
        ),
    )
    rest = [f"{one.mistake} ({one.bug}, in {one.side}, residual {one.residual:.1g})" for one in others]
    either = f"or, which explains it as well: {'; or '.join(rest)}"
    return join([first, classed("p", "others", either) if rest else ""])


def _elements(elements: Sequence[Element]) -> Html:
    rows = []
    for one in elements:
        actual, expected = _apart(one.actual, one.expected)
        difference = float(one.actual) - float(one.expected)
        rows.append([code(one.at), actual, expected, f"{difference:+.4g}"])
    return table(["index", "JAX", "torch", "JAX - torch"], rows, caption="elements that differ most", style="figures")


def _apart(actual: Number, expected: Number) -> tuple[str, str]:
    """Both values with as many digits as it takes to see that they differ."""
    if not isinstance(actual, float) or not isinstance(expected, float):
        return str(actual), str(expected)
    texts = [(f"{actual:.{digits}g}", f"{expected:.{digits}g}") for digits in range(7, 18)]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[-1])


def _first_symptom(run: Run) -> Html:
    """The first site that differs, for a run whose blocks could not be fed one by one."""
    assert run.first_to_differ is not None, "only failing runs have a cause"
    comparison: Comparison = run.comparisons[run.first_to_differ]
    parts: list[object] = [element("h3", {}, code(comparison.site))]
    known = " ".join(line.strip() for line in about_first(run, comparison.site))
    told = f"{known[:1].upper()}{known[1:]}." if known else "Which block makes the difference is not known."
    parts.append(classed("p", "", f"The first value that differs. {told}"))
    if comparison.problem:
        parts.append(classed("p", "problem", comparison.problem))
    else:
        parts.append(classed("p", "", f"Relative error {written(comparison.error)}, allowed {comparison.allowed:.0e}."))
    if comparison.worst_index is not None and comparison.actual is not None and comparison.expected is not None:
        parts.append(_elements([Element(comparison.worst_index, comparison.actual, comparison.expected)]))
    return classed("article", "culprit", *parts)
