"""Steps are timed as they are."""

import time

from benchmarks.gpu.timing import time_steps


def test_a_step_takes_as_long_as_it_takes():
    taken = []

    def run(steps: int) -> None:
        taken.append(steps)
        time.sleep(0.01 * steps)

    timing = time_steps(run, seconds=0.7)
    assert 10 <= timing.fastest_ms <= timing.ms <= timing.slowest_ms
    assert timing.ms < 40
    assert taken[0] == 3
    assert taken[2:] == [timing.steps] * timing.repeats
    assert timing.repeats >= 2


def test_without_time_left_two_single_steps_are_timed():
    taken = []
    timing = time_steps(taken.append, seconds=-3.0)
    assert (timing.repeats, timing.steps) == (2, 1)
    assert taken[2:] == [1, 1]
