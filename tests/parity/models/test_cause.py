"""Mistakes in pairs of foreign models: caught, found where they are, and named."""

import pytest

from tests.parity.models import planted

# Of what is looked for, this alone is told by its place only.
UNNAMED = {"port: no gradient"}


@pytest.mark.parametrize("mistake", planted.ALL, ids=lambda mistake: mistake.name)
def test_a_planted_mistake_is_caught_placed_and_named(mistake):
    found = planted.outcome(mistake)
    assert found.caught
    assert found.placed, found.said
    assert found.named or mistake.name in UNNAMED, found.said
