"""Where in a network a site stands, and how its error is written and coloured."""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from parity.judge.compare import Comparison
from parity.judge.verdict import Run

# log10 of the smallest error that has a colour of its own, and of the largest.
LEAST, MOST = -17, 0

_DERIVATIVE = re.compile(r"d\((?P<loss>[^()]*)\)/d\((?P<value>.*)\)")
_LAYER = re.compile(r"(?:.*\.)?layers\.(?P<layer>\d+)\.(?P<row>.+)")


class Place(NamedTuple):
    """A site by its place.

    Attributes:
        loss: what it is a derivative of, or "".
        zone: "before", "layers" or "after".
        layer: its layer; -1 outside of them.
        row: its name within the layer; outside of them, the whole.
        value: the site itself, or of a derivative what it is by.
    """

    loss: str
    zone: str
    layer: int
    row: str
    value: str

    @property
    def group(self) -> str:
        """What to write under a stretch of sites."""
        return f"layer {self.layer}" if self.zone == "layers" else self.row.partition(".")[0]


class Part(NamedTuple):
    """The forward pass, or the derivatives of one loss.

    Attributes:
        title: what to call it.
        comparisons: free-running, in the order computed.
        local: of the same sites the errors when fed what the reference computed before; None where that is unknown.
        values: names of what the forward pass computes; a derivative by anything else is by a parameter.
    """

    title: str
    comparisons: tuple[Comparison, ...]
    local: tuple[Comparison | None, ...]
    values: frozenset[str]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return all(comparison.agrees for comparison in self.comparisons)

    @property
    def summary(self) -> str:
        """What came out, in a few words."""
        differing = sum(not comparison.agrees for comparison in self.comparisons)
        worst = written(max(map(size_of, self.comparisons)))
        state = (
            f"{differing:,} of {len(self.comparisons):,} sites differ"
            if differing
            else f"{len(self.comparisons):,} sites agree"
        )
        return f"{state}, worst {worst}"


def place_of(site: str) -> Place:
    """Reads the name of a site.

    >>> place_of("d(mlm)/d(layers.1.attention.key)")
    Place(loss='mlm', zone='layers', layer=1, row='attention.key', value='layers.1.attention.key')
    >>> place_of("embedding.word").zone, place_of("head.logits").zone
    ('before', 'after')
    """
    derivative = _DERIVATIVE.fullmatch(site)
    loss, value = (derivative["loss"], derivative["value"]) if derivative else ("", site)
    layered = _LAYER.fullmatch(value)
    if layered:
        return Place(loss, "layers", int(layered["layer"]), layered["row"], value)
    return Place(loss, "before" if "embedding" in value.split(".") else "after", -1, value, value)


def parts_of(run: Run) -> tuple[Part, ...]:
    """The forward pass, and the derivatives of every loss."""
    local = {comparison.site: comparison for comparison in run.replayed}
    values = frozenset(comparison.site for comparison in run.comparisons if not place_of(comparison.site).loss)
    losses: dict[str, list[Comparison]] = {}
    for comparison in run.comparisons:
        losses.setdefault(place_of(comparison.site).loss, []).append(comparison)
    return tuple(
        Part(
            f"Backward from the loss {loss}" if loss else "Forward",
            tuple(found),
            tuple(local.get(comparison.site) for comparison in found),
            values,
        )
        for loss, found in losses.items()
    )


def groups_of(sites: Iterable[str]) -> list[tuple[str, int]]:
    """Neighbouring sites of one place: what to call them, and how many there are."""
    found: list[tuple[str, int]] = []
    for site in sites:
        group = place_of(site).group
        if found and found[-1][0] == group:
            found[-1] = group, found[-1][1] + 1
        else:
            found.append((group, 1))
    return found


def size_of(comparison: Comparison) -> float:
    """The error as a number to draw: infinite where there is a problem, or the error is no number."""
    return math.inf if comparison.problem or math.isnan(comparison.error) else comparison.error


def decade(error: float) -> int | None:
    """The power of ten just below an error, as far as there are colours; None for 0."""
    if not error:
        return None
    return max(LEAST, min(MOST, math.floor(math.log10(error)))) if math.isfinite(error) else MOST


def colour(error: float) -> str:
    """The class of an error."""
    power = decade(error)
    return "e-zero" if power is None else "e-none" if not math.isfinite(error) else f"e{-power}"


def written(error: float) -> str:
    """An error as it is written everywhere."""
    return f"{error:.1e}" if math.isfinite(error) else "not comparable"


def exponent(error: float) -> str:
    """An error as short as it can be: its power of ten."""
    power = decade(error)
    return (
        "0"
        if power is None
        else "\N{MULTIPLICATION SIGN}"
        if not math.isfinite(error)
        else f"{power}".replace("-", "\N{MINUS SIGN}")
    )


def described(comparison: Comparison) -> str:
    """A comparison in one line."""
    if comparison.problem:
        return f"{comparison.site}: {comparison.problem.splitlines()[0]}"
    state = "agrees" if comparison.agrees else "DIFFERS"
    shape = " x ".join(map(str, comparison.shape)) or "one number"
    return f"{comparison.site}: {state}, error {written(comparison.error)}; {comparison.dtype}, {shape}"
