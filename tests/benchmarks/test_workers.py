"""A side that is measured in turn, and one that crashes or hangs."""

import textwrap
import time

import pytest

from benchmarks import comparison
from benchmarks.comparison import LEAST_ROUNDS, Side
from benchmarks.workers import Worker, WorkerError

# Counts how often it was asked; no framework, so that it starts at once.
SIDE = """
import time
from benchmarks.workers import serve

def prepared(spec):
    asked = iter(range(1000))
    def measure():
        number = next(asked)
        if number == spec.get("crashes at"):
            raise ValueError("no more")
        time.sleep(spec.get("sleeps", 0))
        return {"seconds": spec["seconds"], "core_seconds": 2 * spec["seconds"], "units": 2, "number": number}
    return {"ready": spec["seconds"]}, measure

if __name__ == "__main__":
    serve(prepared)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("side")
    (folder / "a_side.py").write_text(textwrap.dedent(SIDE))
    return {"PYTHONPATH": str(folder)}


def test_a_side_waits_and_is_measured_as_often_as_it_is_asked(environment):
    with Worker("a_side", {"seconds": 3.0}, environment) as worker:
        assert worker.ready(seconds=60) == {"ready": 3.0}
        assert [worker.measure()["number"] for _ in range(3)] == [0, 1, 2]


def test_a_side_that_crashes_or_hangs_says_so_with_its_last_lines(environment):
    crash = pytest.raises(WorkerError, match=r"^ended with status 1\n(.*\n)*KeyError: 'seconds'$")
    with Worker("a_side", {}, environment) as worker, crash:
        worker.ready(seconds=60)
    with Worker("a_side", {"seconds": 1.0, "sleeps": 60}, environment) as worker:
        worker.ready(seconds=60)
        start = time.monotonic()
        with pytest.raises(WorkerError, match=r"^took more than 0 s$"):
            worker.measure(seconds=0.2)
    assert time.monotonic() - start < 10


def test_two_sides_take_turns_and_their_ratio_is_the_rounds_own(environment):
    ours, theirs = (Side(name, "a_side", {}, (), environment) for name in ("ours", "theirs"))
    with ours.start({"seconds": 2.0}) as worker:
        worker.ready(seconds=60)
        one = comparison.against(worker, theirs, {"seconds": 5.0}, until=0.0)
        crashed = comparison.against(worker, theirs, {"seconds": 5.0, "crashes at": 1}, until=0.0)
        absent = comparison.against(worker, Side("x", "a_side", {}, ("no_such_package",)), {}, until=0.0)
    assert len(one["rounds"]) == LEAST_ROUNDS
    assert comparison.ratio(one) == comparison.ratio(one, "core_seconds") == 2.5
    assert (comparison.median(one, "ours"), comparison.median(one, "theirs")) == (1.0, 2.5)
    assert "ValueError: no more" in crashed["trouble"]
    assert absent == {"peer": "x", "missing": ["no_such_package"]}


def test_the_median_is_of_ratios_not_the_ratio_of_medians():
    # The machine slows down by and by: in every round the peer takes twice as long.
    rounds = [
        {"ours": {"seconds": ours, "units": 1}, "theirs": {"seconds": theirs, "units": 1}}
        for ours, theirs in ((1.0, 2.0), (5.0, 10.0), (4.0, 2.0), (10.0, 20.0))
    ]
    assert comparison.ratio({"rounds": rounds}) == 2.0
    assert comparison.extremes({"rounds": rounds}, "theirs") == (2.0, 20.0)
