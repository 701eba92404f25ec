"""Where two arrays differ is said as it was made: indices, padding, distances, single entries."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parity.judge.residual import describe
from parity.judge.support import axes_of, indices
from tests.parity.judge.arrays import AXES, LENGTHS, PLACES, SEEDS, SEEN_BT, SHAPE, drawn


@given(SEEDS, PLACES, st.data())
def test_only_some_indices(seed, place, data):
    expected, size = drawn(seed), SHAPE[place]
    chosen = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=size - 1)))
    actual = expected.copy()
    at = (slice(None),) * place + (chosen,)
    actual[at] = drawn(seed + 1)[at]
    axis = axes_of(SHAPE, AXES)[place]
    found = describe(actual, expected, AXES)
    assert found[0] == f"they differ only at {indices(np.array(chosen), axis)}"
    assert found[1].startswith("there: no simple relation: correlation ")
    actual[at] = expected[at] * 0.5
    assert describe(actual, expected, AXES) == (found[0], "there: JAX is 0.5 x torch")
    actual[at] = 0
    assert describe(actual, expected, AXES) == (found[0], "there: JAX is zero, torch is not")


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ([2], "head 2 (of 20)"),
        ([1, 3], "heads 1 and 3 (of 20)"),
        ([1, 3, 5], "heads 1, 3 and 5 (of 20)"),
        ([0, 1, 2, 3], "heads 0 to 3 (of 20)"),
        (range(0, 20, 2), "heads 0 to 18, every second (of 20)"),
        (range(1, 20, 4), "heads 1 to 17, one in 4 (of 20)"),
        (range(5, 20), "heads from 5 on (of 20)"),
        ([0, 1, 4, 5, 6, 8, 9, 11, 15], "heads 0, 1, 4, 5, ... (9 in all) (of 20)"),
    ],
)
def test_indices_in_words(chosen, text):
    assert indices(np.array(chosen), axes_of((20,), "N")[0]) == text


def test_several_axes_at_once():
    actual, expected = drawn(0), drawn(0)
    actual[2, 5:, 1] += 1
    assert describe(actual, expected, AXES) == (
        "they differ only at row 2 (of 5) and positions from 5 on (of 13) and head 1 (of 3)",
        "there: JAX is torch + 1",
    )
    assert describe(actual, expected)[0] == (
        "they differ only at axis 0's index 2 (of 5) and axis 1's indices from 5 on (of 13) and axis 2's index 1 (of 3)"
    )


@given(SEEDS)
def test_only_padding(seed):
    expected = np.where(SEEN_BT[..., None, None], drawn(seed), 0)
    end = "they differ only at the end of each row: positions from 13, 10, 7, 4 and 2 on"
    actual = np.where(SEEN_BT[..., None, None], expected, drawn(seed + 1))
    assert describe(actual, expected, AXES) == (end, "there: torch is zero, JAX is not")
    padding = "they differ only at positions that are padding, at every one"
    assert describe(actual, expected, AXES, SEEN_BT) == (padding, "there: torch is zero, JAX is not")
    actual[4, 12] = expected[4, 12]
    assert describe(actual, expected, AXES, SEEN_BT)[0] == "they differ only at positions that are padding"
    start = "they differ only at the start of each row: the first 13, 10, 7, 4 and 2 positions"
    bias = np.where(SEEN_BT[..., None, None], drawn(seed + 2, (3, 8)), 0)
    found = describe(expected + bias, expected, AXES)
    assert found[0] == start
    assert found[1].startswith("there: JAX is torch plus an offset per head and head channel, the same at every row")
    tokens = "they differ only at positions that are tokens, at every one"
    assert describe(expected + bias, expected, AXES, SEEN_BT)[0] == tokens


def test_what_the_mask_says_is_said_of_queries_and_of_keys():
    scores_BNTS, rest_BNTS = drawn(0, (5, 3, 13, 13)), drawn(1, (5, 3, 13, 13))
    for at, words in ((SEEN_BT[:, None, :, None], "positions"), (SEEN_BT[:, None, None, :], "key positions")):
        actual = np.where(at, scores_BNTS, rest_BNTS)
        found = describe(actual, scores_BNTS, "BNTS", SEEN_BT)
        assert found[0] == f"they differ only at {words} that are padding, at every one"
    # The end of every row, but of other lengths than the mask's: neither padding nor tokens, and no guess.
    shorter_BT = np.arange(13) < LENGTHS[:, None] - 1
    actual = np.where(shorter_BT[:, None, :, None], scores_BNTS, rest_BNTS)
    end = "they differ only at the end of each row: positions from 12, 9, 6, 3 and 1 on"
    assert describe(actual, scores_BNTS, "BNTS", SEEN_BT)[0] == end
    # A mask without padding has nothing to tell apart.
    assert describe(actual, scores_BNTS, "BNTS", np.ones_like(SEEN_BT))[0] == end
    one = scores_BNTS.copy()
    one[4, 0, 12, 3] += 1
    assert describe(one, scores_BNTS, "BNTS", SEEN_BT)[:3] == (
        "they differ at 1 of 2,535 entries only: (4, 0, 12, 3)",
        "they differ only at positions that are padding",
        "they differ only at key positions that are padding",
    )


def test_distances_between_query_and_key():
    scores_BNTS, rest_BNTS = drawn(0, (5, 3, 13, 13)), drawn(1, (5, 3, 13, 13))
    distances = np.arange(13) - np.arange(13)[:, None]
    for differs, text in (
        (distances > 0, "only at keys after their query"),
        (distances < 0, "only at keys before their query"),
        (distances == 0, "only at a query's own position"),
        (abs(distances) == 4, "only at keys 4 away from their query"),
        (abs(distances) >= 4, "only at keys 4 or more away from their query"),
        (abs(distances) <= 2, "only at keys up to 2 away from their query"),
    ):
        actual = np.where(differs, rest_BNTS, scores_BNTS)
        assert describe(actual, scores_BNTS, "BNTS")[0] == f"they differ {text}"
        assert describe(actual.swapaxes(2, 3), scores_BNTS.swapaxes(2, 3), "BNST")[0] == f"they differ {text}"


@given(SEEDS, st.lists(st.tuples(*(st.integers(0, size - 1) for size in SHAPE)), min_size=3, max_size=5, unique=True))
def test_single_entries(seed, places):
    assume(all(len(set(axis)) > 1 for axis in zip(*places, strict=True)))
    actual, expected = drawn(seed), drawn(seed)
    for place in places:
        actual[place] += 1
    at = ", ".join(map(str, sorted(places)))
    assert describe(actual, expected, AXES) == (
        f"they differ at {len(places)} of 1,560 entries only: {at}",
        "there: JAX is torch + 1",
    )


def test_one_entry_and_many_scattered_ones():
    actual, expected = drawn(0, (40,)), drawn(0, (40,))
    expected[7], actual[7] = 0.5, 1.5
    assert describe(actual, expected, "T") == (
        "they differ at 1 of 40 entries only: 7",
        "there: too few numbers to tell a relation: 1",
    )
    actual, expected = drawn(0, (40, 40)), drawn(0, (40, 40))
    actual.flat[::39] = drawn(1, (42,))
    assert describe(actual, expected, "TD")[0] == "they differ at 42 of 1,600 entries only, scattered"
