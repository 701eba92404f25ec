"""Where two programs part: random small programs, and the same with one operation changed."""

import numpy as np
import pytest

from parity.judge.verdict import Verdict
from tests.parity.models import programs


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_meet_and_part_where_they_are_changed(seed):
    random = np.random.default_rng(seed)
    steps = programs.draw(random)
    assert programs.compared(steps, steps, random).verdict is Verdict.PASS
    wrong, place = programs.changed(steps, random)
    report = programs.compared(wrong, steps, random)
    assert report.verdict is Verdict.FAIL_SEMANTIC
    assert programs.found_at(report, steps, place), (steps[place], wrong[place])
