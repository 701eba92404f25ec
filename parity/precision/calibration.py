"""What errors look like where nothing is wrong: the measurement behind the constants of `parity.judge.rounding`."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from parity.judge.rounding import FLOOR, MULTIPLE, ratio
from parity.judge.verdict import PrecisionRun, SiteError
from parity.report.columns import counted

_QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)
_WORST = 8


class Place(NamedTuple):
    """One value's errors, and where it is."""

    run: PrecisionRun
    error: SiteError


def false_alarms(runs: Sequence[PrecisionRun]) -> tuple[Place, ...]:
    """Every value that would be called a failure."""
    return tuple(place for place in _places(runs) if not place.error.agrees)


def render(runs: Sequence[PrecisionRun]) -> str:
    """The distribution of our errors against theirs, the largest ratios with their places, and the false alarms."""
    places = sorted(_places(runs), key=lambda place: -ratio(place.error))
    alarms = false_alarms(runs)
    failed = {(place.run.variant, place.run.dtype) for place in alarms}
    encoders, cases = ({getattr(run, what) for run in runs} for what in ("variant", "case"))
    ratios = np.array([ratio(place.error) for place in places])
    shares = ", ".join(
        f"{100 * share:g} % up to {np.quantile(ratios, share, method='higher'):.2f}" for share in _QUANTILES
    )
    exact = sum(place.error.theirs == 0 for place in places)
    lines = [
        f"{counted(len(encoders), 'clean encoder')} x {counted(len(cases), 'case')}, {counted(len(places), 'value')}",
        f"false alarms: {counted(len(alarms), 'value')}, in {counted(len(failed), 'encoder')} "
        f"(allowed: {MULTIPLE:g} times torch's error, which counts as {FLOOR:g} epsilon at least)",
        f"our error / torch's, or the floor: {shares}, largest {ratios.max():.2f}",
        f"torch's error is 0 at {counted(exact, 'value')}",
        "largest:",
        *map(_line, places[:_WORST]),
    ]
    return "\n".join(lines) + "\n"


def _places(runs: Sequence[PrecisionRun]) -> Iterator[Place]:
    return (Place(run, error) for run in runs for error in run.errors)


def _line(place: Place) -> str:
    error = place.error
    where = f"{error.site} ({place.run.variant}, {place.run.case})"
    return f"{ratio(error):7.2f}  JAX {error.ours:.1e}, torch {error.theirs:.1e}, at {where}"
