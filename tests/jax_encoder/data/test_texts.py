"""Texts are laid into rows that hold them, as full as can be, and a batch knows whose tokens lie where."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jax_encoder.data.texts import TEXTS_PER_ROW, Tokens, batches, plan


def lengths_of(*groups: tuple[int, int]) -> np.ndarray:
    """So many texts of such a length."""
    return np.array([length for number, length in groups for _ in range(number)], np.int64)


@given(st.lists(st.integers(0, 200), max_size=200), st.integers(200, 512))
def test_every_text_is_put_into_one_row_that_holds_it(lengths, longest):
    planned = plan(np.array(lengths, np.int64), longest=longest)
    placed = [text for rows in planned.values() for row in rows for text in row]
    assert sorted(placed) == [text for text, length in enumerate(lengths) if length]
    assert set(planned) <= {64, 96, 128, 192, 256, 384, 512}
    for width, rows in planned.items():
        assert all(sum(lengths[text] for text in row) <= width and len(row) <= TEXTS_PER_ROW for row in rows)
        assert width == 64 or all(len(row) == 1 for row in rows)


@given(st.lists(st.integers(1, 512), min_size=1, max_size=60))
def test_a_text_s_own_length_decides_the_width_of_its_row(lengths):
    widths = {
        text: width for width, rows in plan(np.array(lengths), longest=512).items() for row in rows for text in row
    }
    for text, width in widths.items():
        assert list(plan(np.array([lengths[text]]), longest=512)) == [width]


@pytest.mark.parametrize(
    ("lengths", "longest", "expected"),
    [
        (lengths_of((6, 40)), 256, {64: [[0], [1], [2], [3], [4], [5]]}),
        (lengths_of((1, 30), (2, 34)), 256, {64: [[1, 0], [2]]}),
        (lengths_of((1, 130), (3, 65), (1, 5)), 150, {192: [[0]], 96: [[1], [2], [3]], 64: [[4]]}),
        (lengths_of((2, 5), (1, 0)), 256, {64: [[0, 1]]}),
        (lengths_of((2, 12)), 20, {64: [[0, 1]]}),
        (lengths_of((3, 0)), 256, {}),
    ],
)
def test_rows_are_as_narrow_as_keeps_them_full(lengths, longest, expected):
    assert plan(lengths, longest=longest) == expected


def test_sentences_leave_hardly_a_column_empty():
    lengths = np.random.default_rng(0).geometric(1 / 22, 5000).clip(3, 256)
    planned = plan(lengths, longest=256)
    assert lengths.sum() > 0.93 * sum(width * len(rows) for width, rows in planned.items())


def tokens_of(lengths: np.ndarray) -> Tokens:
    """Ids that count on through all texts."""
    ids = np.arange(1, lengths.sum() + 1, dtype=np.int32)
    return Tokens(ids, 2 * ids, np.concatenate([[0], np.cumsum(lengths)]))


def test_a_batch_knows_whose_tokens_lie_where():
    lengths = np.random.default_rng(1).integers(0, 100, 300)
    tokens, seen = tokens_of(lengths), []
    for batch in batches(tokens, longest=128, batch_size=8):
        assert not batch.ids[batch.segments == 0].any()
        np.testing.assert_array_equal(batch.types, 2 * batch.ids)
        for text, row, segment in zip(batch.texts, batch.rows, batch.segment, strict=True):
            own = batch.ids[row][batch.segments[row] == segment]
            np.testing.assert_array_equal(own, tokens.ids[tokens.starts[text] : tokens.starts[text + 1]])
            seen.append(text)
    assert sorted(seen) == np.flatnonzero(lengths).tolist()


@pytest.mark.parametrize(
    ("count", "length", "batch_size", "expected"),
    [
        (1, 60, 32, [(1, 64)]),
        (5, 60, 32, [(6, 64)]),
        (31, 60, 32, [(32, 64)]),
        (31, 60, 31, [(31, 64)]),
        (33, 60, 32, [(32, 64), (1, 64)]),
        (100, 60, 32, [(32, 64)] * 3 + [(4, 64)]),
        (3, 60, 1, [(1, 64)] * 3),
        (1, 70, 1, [(2, 96)]),
        (50, 70, 32, [(20, 96)] * 2 + [(12, 96)]),
        (9, 200, 16, [(4, 256)] * 2 + [(1, 256)]),
    ],
)
def test_batches_are_as_large_as_may_be_and_whole_multiples_of_64_tokens(count, length, batch_size, expected):
    made = batches(tokens_of(lengths_of((count, length))), longest=256, batch_size=batch_size)
    assert [batch.ids.shape for batch in made] == expected
