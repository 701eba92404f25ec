"""Tells where a difference is made from where it merely arrives.

A value that ours computes otherwise although it was fed what the reference computed before it is a culprit. Everything
else that differs has inherited it. What cannot be fed (another shape, not finite) makes what reads it undecidable, and
undecidable is not a culprit: the one before it is.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parity.judge.compare import Comparison

Reads = Mapping[str, tuple[str, ...]]

_LAYER = re.compile(r"(.*\.)?layers\.\d+\.")
_DERIVATIVE = re.compile(r"d\((?P<loss>.*)\)/d\((?P<value>.*)\)")


def feedable(ours: Any, theirs: Any) -> bool:
    """Whether the reference's array can stand in the place of ours."""
    return ours.shape == theirs.shape and ours.dtype == theirs.dtype and bool(np.isfinite(theirs).all())


def culprits(
    compared: Sequence[Comparison],
    replayed: Sequence[Comparison],
    fed: Mapping[str, bool],
    reads: Reads,
    aliases: Mapping[str, str],
) -> list[Comparison]:
    """The replayed comparisons at which a difference is made, in the order computed.

    Args:
        compared: of the values that both sides came to by themselves.
        replayed: of the values that ours computes from the reference's.
        fed: whether a value could be fed.
        reads: what each value is computed from.
        aliases: values that are earlier ones under another name.
    """
    differing = {comparison.site for comparison in compared if not comparison.agrees}
    made = [
        comparison
        for comparison in replayed
        if not comparison.agrees
        and comparison.site in differing
        and all(fed.get(one, False) for one in _sources(comparison.site, reads))
    ]
    forward = {comparison.site for comparison in made if not is_derivative(comparison.site)}
    return [one for one in made if not _follows(one.site, forward, aliases, reads)]


def _follows(site: str, forward: set[str], aliases: Mapping[str, str], reads: Reads) -> bool:
    """Whether a difference has to be there because of one that is made elsewhere.

    A value may be read under the name that it shares with another, which the reference has made a value of its own. A
    derivative by a value, where the value or one that reads it is computed otherwise: another function has another
    derivative. And a derivative by something that ours has not got, or does not read; or by what the mistaken block may
    read although ours does not, as a residual that is added once more: anything that was computed before it in its
    layer.
    """
    doubtful = {aliases[one] for one in forward if one in aliases}
    if not is_derivative(site):
        return bool(doubtful & {*reads.get(site, ())}) and site not in aliases
    involved = {value_of(one) for one in (site, *reads.get(site, ()))}
    if (forward | doubtful) & involved or (forward and not reads.get(site)):
        return True
    layer = _LAYER.match(value_of(site))
    here = {one for one in forward if layer and one.startswith(layer[0])}
    return any(value_of(site) in _before(one, reads) for one in here)


def _before(site: str, reads: Reads) -> set[str]:
    """Everything that a value is computed from, directly or through others."""
    found, left = set[str](), [*reads.get(site, ())]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += reads.get(one, ())
    return found


def is_derivative(site: str) -> bool:
    """Whether a site is the derivative of a loss."""
    return site.startswith("d(")


def value_of(site: str) -> str:
    """What a derivative is by; any other site is its own."""
    found = _DERIVATIVE.fullmatch(site)
    return found["value"] if found else site


def loss_of(site: str) -> str:
    """What a derivative is of; nothing for any other site."""
    found = _DERIVATIVE.fullmatch(site)
    return found["loss"] if found else ""


def _sources(site: str, reads: Reads) -> set[str]:
    """All that has to be fed for the value to be computed: for a derivative, also what the blocks after it read."""
    found = set(reads.get(site, ()))
    if is_derivative(site):
        after = {value_of(one) for one in found}
        found |= after | {source for one in after for source in reads.get(one, ())}
        found |= {value_of(site)} & reads.keys()  # a parameter is not fed
    return found
