"""A measurement that crashes, hangs or is slow says so, and what it had measured counts."""

import time

from benchmarks.gpu.children import call


def test_a_crash_is_told_with_its_last_lines():
    ended = call("products", {"by": "nobody", "tiny": True, "seconds": 60}, seconds=60, environment={})
    assert ended.records == []
    assert ended.error.splitlines()[0] == "ended with status 1"
    assert ended.error.splitlines()[-1] == "KeyError: 'nobody'"


def test_one_that_takes_too_long_is_stopped():
    start = time.monotonic()
    ended = call("products", {"by": "torch", "tiny": True, "seconds": 60}, seconds=0.2, environment={})
    assert ended.error == "stopped after 0 s; it had 0 results"
    assert time.monotonic() - start < 10


def test_what_no_module_measures_is_a_crash():
    ended = call("nothing", {}, seconds=60, environment={})
    assert ended.error.splitlines()[-1].endswith("No module named benchmarks.gpu.nothing")
