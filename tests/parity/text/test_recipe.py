"""How vectors of tokens become one, in numpy."""

import numpy as np
import pytest

from parity.text.recipe import Pooled, mask_of

HIDDEN = [np.array([[1.0, 2.0], [3.0, -4.0], [5.0, 6.0]]), np.array([[2.0, 0.0]])]
SPECIAL = (np.array([1, 0, 0]), np.array([0]))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("mean", [3.0, 4 / 3]),
        ("cls", [1.0, 2.0]),
        ("lasttoken", [5.0, 6.0]),
        ("max", [5.0, 6.0]),
        ("mean_sqrt_len_tokens", [9 / 3**0.5, 4 / 3**0.5]),
        ("weightedmean", [22 / 6, 12 / 6]),
    ],
)
def test_modes(mode, expected):
    pooled = Pooled(modes=(mode,), normalize=False)
    np.testing.assert_allclose(pooled.vectors(HIDDEN, SPECIAL)[0], expected)
    assert pooled.vectors(HIDDEN, SPECIAL).shape == (2, 2)


def test_joined_scaled_and_cut():
    both = Pooled(modes=("cls", "mean"), normalize=True, width=3)
    whole = np.array([1.0, 2.0, 3.0, 4 / 3])
    np.testing.assert_allclose(both.vectors(HIDDEN, SPECIAL)[0], whole[:3] / np.linalg.norm(whole))
    first = Pooled(modes=("cls", "mean"), normalize=True, width=3, cut_first=True)
    np.testing.assert_allclose(first.vectors(HIDDEN, SPECIAL)[0], whole[:3] / np.linalg.norm(whole[:3]))


def test_without_the_tokens_around_a_text():
    own = Pooled(modes=("mean",), normalize=False, own_only=True)
    np.testing.assert_allclose(own.vectors(HIDDEN, SPECIAL)[0], [4.0, 1.0])


def test_padding_on_either_side():
    assert mask_of([1, 3], left=False).tolist() == [[True, False, False], [True] * 3]
    assert mask_of([1, 3], left=True).tolist() == [[False, False, True], [True] * 3]
    assert mask_of([], left=True).shape == (0, 0)
