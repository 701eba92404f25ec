"""Whether what dropout drops is drawn as it is said to be: as often as the rate says, and each mask for itself.

Nothing is known of how it is drawn. Masks are taken apart along every axis they have (steps, micro-batches, layers,
rows, heads, positions, channels), and the slices compared pair by pair; so are values at every distance that is a power
of two, and masks that share no axis. Two masks of different shapes are laid side by side in the order of their entries.

What this cannot tell: dependence that no pair shows, or at another offset than these; and, for one pair, less likeness
than chance leaves in as many entries.

Axes: K slices or masks, E entries, C coordinates.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parity.judge import chance
from parity.judge.chance import Alike
from parity.judge.compare import SEMANTIC, STATISTIC, Comparison
from parity.judge.verdict import Culprit, Explanation, Run

# Axes that tell masks from one another; all others are axes of one mask.
OUTER = ("step", "micro-batch", "layer")

# What is drawn wrongly, by its name in the catalogue.
MISTAKES: Mapping[str, str] = {
    "draws-steps-alike": "every step drops the same",
    "draws-micro-batches-alike": "every micro-batch drops the same",
    "draws-layers-alike": "every layer drops the same",
    "draws-rows-alike": "every row drops the same",
    "draws-heads-alike": "every head drops the same",
    "draws-queries-alike": "every query drops the same",
    "draws-keys-alike": "every key drops the same",
    "draws-positions-alike": "every position drops the same",
    "draws-channels-alike": "every channel drops the same",
    "draws-neighbours-alike": "what is dropped repeats after some entries",
    "draws-sites-alike": "sites share a mask",
    "draws-masks-alike": "masks that differ in more than one of site, step, micro-batch and layer are the same",
    "draws-nothing": "nothing is dropped",
    "draws-rate-swapped": "the rate is that of keeping",
    "draws-rate-twice": "the rate is applied twice",
    "draws-rate-elsewhere": "the rate is another site's",
}

# Entries of each mask that are compared with every other mask's.
_ENTRIES = 2**13

_NEIGHBOURS = "neighbours"


class Drawn(NamedTuple):
    """All masks of one place in the network.

    Attributes:
        place: its name.
        rate: the share that is to be dropped, above 0.
        axes: a word for each axis of `dropped`: those of `OUTER` that it has, then the rows and what is in them.
        dropped: booleans, True = dropped.
    """

    place: str
    rate: float
    axes: tuple[str, ...]
    dropped: np.ndarray

    @property
    def outer(self) -> int:
        """How many of the axes tell masks from one another."""
        return sum(axis in OUTER for axis in self.axes)

    @property
    def entries(self) -> int:
        """How many one mask has."""
        return math.prod(self.dropped.shape[self.outer :])

    @property
    def layers(self) -> int:
        """How many layers have a mask of this place; 1 outside of them."""
        return self.dropped.shape[self.axes.index("layer")] if "layer" in self.axes else 1

    def of_layer(self, layer: int) -> "Drawn":
        """The masks of one layer."""
        axis = self.axes.index("layer")
        return self._replace(axes=self.axes[:axis] + self.axes[axis + 1 :], dropped=self.dropped.take(layer, axis=axis))

    def slices(self, axis: str) -> np.ndarray:
        """Those along an axis, each as one row."""
        index = self.axes.index(axis)
        return np.moveaxis(self.dropped, index, 0).reshape(self.dropped.shape[index], -1)


class _Found(NamedTuple):
    """One test: how it came out, what it found if anything, and why it could not have."""

    comparison: Comparison
    shape: tuple[str, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    unfit: str = ""


def judge_draws(variant: str, case: str, drawn: Sequence[Drawn]) -> Run:
    """Judges all draws of one encoder: of sound ones `chance.FALSE_ALARM` fails any test at all.

    Args:
        variant, case: names of the run.
        drawn: of every place with a rate above 0.
    """
    each = share(drawn)
    rates = {one.place: one.rate for one in drawn}
    found, left = [], []
    for one in drawn:
        within, reduced = _within(one, each)
        found += within
        left.append(reduced)
    found += [*_between(left, each), *(rate for one in left for rate in _rates(one, rates, each))]
    culprits = tuple(
        Culprit(one.comparison.site, (), one.comparison, explanations=one.explanations, shape=one.shape)
        for one in found
        if not one.comparison.agrees
    )
    unfit = tuple(one.unfit for one in found if one.unfit)
    return Run(variant, case, tuple(one.comparison for one in found), unfit, culprits=culprits)


def share(drawn: Sequence[Drawn]) -> float:
    """The chance that each comparison may have to fail of itself: an equal share of all (Bonferroni)."""
    return chance.FALSE_ALARM / sum((len(one.axes) + 1 + one.layers for one in drawn), start=2)


def plural(axis: str) -> str:
    """`query` -> `queries`."""
    return {"query": "queries", "micro-batch": "micro-batches", _NEIGHBOURS: _NEIGHBOURS}.get(axis, f"{axis}s")


def _within(one: Drawn, each: float) -> tuple[list[_Found], Drawn]:
    """Whether slices along each axis are drawn for themselves, and the place without axes along which they are not.

    Slices that repeat make everything else of the same place look less random than it is: of all that fails, what is
    most alike is the cause, only its first slice is kept, and the rest is tested again.
    """
    found: dict[str, _Found] = {}
    guilty: set[str] = set()
    while True:
        tested = {axis: _worst(tests) for axis, tests in _along(one, each) if axis not in guilty}
        for axis, (pair, alike) in tested.items():
            site = f"draws.{one.place}.{plural(axis).replace('-', '_')}"
            found[axis] = _told(site, one.dropped, alike, pair, f"draws-{plural(axis)}-alike")
        failing = [axis for axis in tested if not found[axis].comparison.agrees]
        if not failing:
            return list(found.values()), one
        worst = max(failing, key=lambda axis: abs(tested[axis][1].share))
        guilty.add(worst)
        if worst in one.axes:
            one = one._replace(dropped=one.dropped.take([0], axis=one.axes.index(worst)))


def _along(one: Drawn, each: float) -> Iterator[tuple[str, list[tuple[str, Alike]]]]:
    """What slices along each axis have in common, and neighbours; of every layer, whose rate may be another.

    Yields axes with their tests, each with the words for its worst pair.
    """
    parts = [one.of_layer(layer) for layer in range(one.layers)] if "layer" in one.axes else [one]
    for axis, size in zip(one.axes, one.dropped.shape, strict=True):
        of = [one] if axis == "layer" else parts
        if size > 1:
            tests = [chance.alike(part.slices(axis), each / len(of)) for part in of]
            yield axis, [_in_words(plural(axis), alike, i, len(of)) for i, alike in enumerate(tests)]
    distances = [2**power for power in range(one.entries.bit_length() - 1)]
    if distances:
        share = each / (len(distances) * len(parts))
        yield (
            _NEIGHBOURS,
            [
                (f"values {distance:,} entries apart", chance.alike(_apart(part, distance), share))
                for part in parts
                for distance in distances
            ],
        )


def _in_words(what: str, alike: Alike, layer: int, layers: int) -> tuple[str, Alike]:
    i, j = alike.pair
    return f"{what} {i} and {j}{f' of layer {layer}' if layers > 1 else ''}", alike


def _worst(tests: Sequence[tuple[str, Alike]]) -> tuple[str, Alike]:
    """Several tests as one: the worst of them, and counts of all."""
    words, worst = max(tests, key=lambda test: test[1].excess)
    counts = {name: sum(getattr(alike, name) for _, alike in tests) for name in ("beyond", "pairs", "blind")}
    return words, worst._replace(**counts)


def _apart(one: Drawn, distance: int) -> np.ndarray:
    """Entries of each mask as pairs so far apart, none in two pairs: the first ones, and the second ones."""
    flat_KE = one.dropped.reshape(-1, one.entries)
    blocks = flat_KE[:, : one.entries // (2 * distance) * 2 * distance].reshape(-1, 2, distance)
    return np.stack([blocks[:, 0].ravel(), blocks[:, 1].ravel()])


def _told(site: str, dropped: np.ndarray, alike: Alike, pair: str, name: str) -> _Found:
    """How much slices or masks are alike, as a comparison."""
    at = _comparison(site, dropped, alike.excess, alike.correlation, 0.0)
    unfit = f"too little is dropped for {site} to show two that are the same" if alike.blind else ""
    if at.agrees:
        return _Found(at, unfit=unfit)
    said = f"{pair}: correlation {alike.correlation:.4f}; {alike.beyond:,} of {alike.pairs:,} pairs beyond chance"
    rest = abs(1 - alike.share)
    mistake = MISTAKES[name] if alike.beyond == alike.pairs else MISTAKES[name].replace("every", "more than one")
    named = Explanation(name, f"{mistake} ({said})", "JAX", rest)
    return _Found(at, (said,), (named,) if rest <= SEMANTIC else ())


def _comparison(site: str, dropped: np.ndarray, excess: float, measured: float, expected: float) -> Comparison:
    """Of booleans: their scale and spread are 1, and no entry is the worst."""
    return Comparison(
        *(site, dropped.shape, "bool", excess, STATISTIC, None, measured, expected, dropped.size), scale=1.0, spread=1.0
    )


class _Mask(NamedTuple):
    """One mask, by its place and its coordinates along `OUTER`; -1 where the place has no such axis."""

    place: str
    at: tuple[int, ...]
    entries: np.ndarray

    def __str__(self) -> str:
        return f"{self.place} ({', '.join(f'{axis} {i}' for axis, i in zip(OUTER, self.at, strict=True) if i >= 0)})"


def _masks(one: Drawn) -> Iterator[_Mask]:
    for index in np.ndindex(one.dropped.shape[: one.outer]):
        known = dict(zip(one.axes, index, strict=False))
        yield _Mask(one.place, tuple(known.get(axis, -1) for axis in OUTER), one.dropped[index].ravel())


def _between(drawn: Sequence[Drawn], each: float) -> Iterator[_Found]:
    """Whether masks are drawn for themselves that differ in place, or in more than one coordinate."""
    masks = [mask for one in drawn for mask in _masks(one)]
    length = min((_ENTRIES, *(mask.entries.size for mask in masks)))
    dropped_KE = np.stack([mask.entries[:length] for mask in masks])
    place_K, at_KC = np.array([mask.place for mask in masks]), np.array([mask.at for mask in masks])
    known_KKC = np.minimum(at_KC[:, None], at_KC[None]) >= 0
    apart_KK = ((at_KC[:, None] != at_KC[None]) & known_KKC).sum(axis=-1)
    elsewhere_KK = place_K[:, None] != place_K[None]
    once_KK = np.triu(np.ones(apart_KK.shape, bool), 1)
    chosen = {
        "sites": elsewhere_KK & (apart_KK == 0) & once_KK,
        "masks": np.where(elsewhere_KK, apart_KK > 0, apart_KK > 1) & once_KK,
    }
    for name, pairs_KK in chosen.items():
        if pairs_KK.any():
            alike = chance.alike(dropped_KE, each, pairs_KK)
            pair = " and ".join(str(masks[k]) for k in alike.pair)
            yield _told(f"draws.{name}", dropped_KE, alike, pair, f"draws-{name}-alike")


def _rates(one: Drawn, rates: Mapping[str, float], each: float) -> Iterator[_Found]:
    """How much is dropped, in every layer."""
    if "layer" not in one.axes:
        yield _rate(f"draws.{one.place}.rate", one, rates, each)
        return
    for layer in range(one.layers):
        yield _rate(f"draws.layers.{layer}.{one.place}.rate", one.of_layer(layer), rates, each)


def _rate(site: str, one: Drawn, rates: Mapping[str, float], each: float) -> _Found:
    count, entries = int(one.dropped.sum()), one.dropped.size
    excess = chance.rate_excess(count, entries, one.rate, each)
    at = _comparison(site, one.dropped, excess, count / entries, one.rate)
    least = chance.resolution(entries, one.rate, each)
    unfit = f"{entries:,} values tell the rate only from one that is off by {least:.1%} or more: {site}"
    if at.agrees:
        return _Found(at, unfit=unfit if least > chance.RESOLUTION else "")
    said = f"{count / entries:.4f} of {entries:,} values are dropped, where the rate is {one.rate}"
    known = {"draws-nothing": 0.0, "draws-rate-swapped": 1 - one.rate, "draws-rate-twice": 1 - (1 - one.rate) ** 2}
    possible = [*known.items(), *(("draws-rate-elsewhere", rate) for rate in sorted({*rates.values()} - {one.rate}))]
    fitting = [
        Explanation(name, f"{MISTAKES[name]}: {said}", "JAX", abs(count / entries - rate))
        for name, rate in possible
        if chance.rate_excess(count, entries, rate, each) <= 1
    ]
    return _Found(at, (said,), tuple(sorted(fitting, key=lambda explanation: explanation.residual)))
