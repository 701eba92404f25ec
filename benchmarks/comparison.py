"""Two sides measured in turn, and what follows from their times."""

import contextlib
import dataclasses
import importlib.util
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.workers import Record, Worker, WorkerError

_SECONDS_TO_START = 600.0
# Rounds of both sides in turn: a median needs three, and more than seven say little more.
LEAST_ROUNDS, MOST_ROUNDS = 3, 7


@dataclasses.dataclass(frozen=True)
class Side:
    """Who does the work.

    Attributes:
        name: as it is printed.
        module: of the process that does it.
        spec: what it is told beside the work.
        packages: import names that it needs.
        environment: variables of its process.
    """

    name: str
    module: str
    spec: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    packages: tuple[str, ...] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def missing(self) -> list[str]:
        """Packages that it needs and this machine lacks."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]

    def start(self, work: Mapping[str, Any]) -> Worker:
        """Its process, not yet ready."""
        return Worker(self.module, {**self.spec, **work}, self.environment)


def against(ours: Worker, peer: Side, work: Mapping[str, Any], *, until: float) -> Record:
    """Measures a peer and us in turn until the clock says `until`, for three rounds at least.

    Returns:
        What became of it: the times of both sides, or why there are none.
    """
    return several(ours, [peer], work, lambda _: until)[0]


def several(
    ours: Worker, peers: Sequence[Side], work: Mapping[str, Any], until: Callable[[int], float]
) -> list[Record]:
    """Has several peers get ready at the same time, and then measures each alone, in turn with us.

    Args:
        ours: started; it need not be ready.
        peers: as many as fit into the memory beside us.
        work: what all are to do.
        until: when to end with a peer, given how many of these still wait behind it.

    Raises:
        WorkerError: ours crashed.
    """
    with contextlib.ExitStack() as stack:
        started = [(peer, None if peer.missing() else stack.enter_context(peer.start(work))) for peer in peers]
        # All are ready before any is measured: what gets ready disturbs.
        found = [_ready(peer, worker) for peer, worker in started]
        ours.ready(seconds=_SECONDS_TO_START)
        for index, (one, (_, worker)) in enumerate(zip(found, started, strict=True)):
            if worker is not None and "theirs" in one:
                one |= _measured(ours, worker, until(len(peers) - 1 - index))
                worker.close()
    return found


def _ready(peer: Side, worker: Worker | None) -> Record:
    if worker is None:
        return {"peer": peer.name, "missing": peer.missing()}
    try:
        return {"peer": peer.name, "theirs": worker.ready(seconds=_SECONDS_TO_START)}
    except WorkerError as error:
        return {"peer": peer.name, "trouble": str(error)}


def _measured(ours: Worker, theirs: Worker, until: float) -> Record:
    try:
        return {"rounds": _in_turn(ours, theirs, until)}
    except WorkerError as error:
        if not ours.running:
            raise
        return {"trouble": str(error)}


def _in_turn(ours: Worker, theirs: Worker, until: float) -> list[Record]:
    rounds: list[Record] = []
    longest = 0.0
    while len(rounds) < LEAST_ROUNDS or (len(rounds) < MOST_ROUNDS and time.monotonic() + longest < until):
        start = time.monotonic()
        # Who comes first changes, so that a drift of the machine falls on both.
        order = (theirs, ours) if len(rounds) % 2 else (ours, theirs)
        times = {"ours" if one is ours else "theirs": one.measure() for one in order}
        rounds.append(times)
        longest = max(longest, time.monotonic() - start)
    return rounds


def median(result: Record, side: str, what: str = "seconds") -> float:
    """Of one side's times a unit of its work."""
    return statistics.median(_each(result, side, what))


def extremes(result: Record, side: str) -> tuple[float, float]:
    """The shortest and the longest time of one side."""
    each = _each(result, side, "seconds")
    return min(each), max(each)


def ratio(result: Record, what: str = "seconds") -> float:
    """How much faster we are: the median over the rounds of their time over ours, for the same work."""
    return statistics.median(ratios(result, what))


def ratios(result: Record, what: str = "seconds") -> Sequence[float]:
    """Of each round."""
    pairs = zip(_each(result, "theirs", what), _each(result, "ours", what), strict=True)
    return [theirs / ours for theirs, ours in pairs]


def _each(result: Record, side: str, what: str) -> list[float]:
    """Seconds a unit of work: a step, a real token, a run over all texts."""
    return [one[side][what] / one[side]["units"] for one in result["rounds"]]
