"""The search for a smallest failure."""

import pytest
from hypothesis import strategies as st

from parity.fuzz.search import search

NUMBERS = st.tuples(st.integers(0, 1000), st.booleans())


def too_large(problem) -> str:
    return f"{problem[0]} is too large" if problem[0] >= 37 else ""


def test_finds_the_smallest_that_fails():
    found = search(NUMBERS, too_large, seed=0, examples=200, seconds=60.0)
    assert found.smallest == (37, False)
    assert found.reason == "37 is too large"


def test_nothing_fails():
    found = search(NUMBERS, lambda problem: "", seed=0, examples=50, seconds=60.0)
    assert (found.smallest, found.reason) == (None, "")
    assert 40 <= found.tried <= 50


def test_equal_seeds_try_the_same():
    def tried(seed):
        problems = []
        search(NUMBERS, lambda problem: problems.append(problem) or "", seed=seed, examples=20, seconds=60.0)
        return problems

    assert tried(1) == tried(1)
    assert tried(1) != tried(2)


def test_time_is_a_limit_and_what_was_found_is_kept():
    assert search(NUMBERS, too_large, seed=0, examples=100, seconds=0.0).tried == 0
    times = iter([0.0] + [1.0] * 1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("parity.fuzz.search.time.monotonic", lambda: next(times))
        found = search(NUMBERS, lambda problem: "always", seed=0, examples=100, seconds=0.5)
    assert found.tried == 0
    clock = [0.0]

    def slow(problem) -> str:
        clock[0] += 1.0
        return too_large(problem)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("parity.fuzz.search.time.monotonic", lambda: clock[0])
        found = search(NUMBERS, slow, seed=0, examples=100, seconds=4.5)
    assert found.tried == 5
    assert found.smallest[0] >= 37
