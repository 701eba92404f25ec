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
    assert set(planned) <= {16, 32, 64, 128, 256, longest}
    for width, rows in planned.items():
        assert all(sum(lengths[text] for text in row) <= width and len(row) <= TEXTS_PER_ROW for row in rows)


@pytest.mark.parametrize(
    ("lengths", "longest", "expected"),
    [
        (lengths_of((6, 40)), 256, {128: [[0, 1, 2], [3, 4, 5]]}),  # in 64 columns, 24 would be empty beside each
        (lengths_of((2, 60)), 256, {64: [[0], [1]]}),
        (lengths_of((1, 30), (2, 34)), 256, {64: [[1, 0], [2]]}),
        (lengths_of((1, 130), (3, 60), (1, 5)), 150, {150: [[0, 4]], 64: [[1], [2], [3]]}),
        (lengths_of((2, 5), (1, 0)), 256, {16: [[0, 1]]}),
        (lengths_of((1, 17)), 256, {32: [[0]]}),
        (lengths_of((2, 12)), 20, {20: [[0], [1]]}),
        (lengths_of((3, 0)), 256, {}),
    ],
)
def test_rows_are_as_narrow_as_keeps_them_full(lengths, longest, expected):
    assert plan(lengths, longest=longest) == expected


def test_sentences_leave_hardly_a_column_empty():
    lengths = np.random.default_rng(0).geometric(1 / 22, 5000).clip(3, 256)
    planned = plan(lengths, longest=256)
    assert lengths.sum() > 0.97 * sum(width * len(rows) for width, rows in planned.items())


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
    ("count", "batch_size", "expected"),
    [
        (1, 32, [(1, 64)]),
        (5, 32, [(6, 64)]),
        (31, 32, [(32, 64)]),
        (31, 31, [(31, 64)]),
        (33, 32, [(20, 64)] * 2),
        (100, 32, [(28, 64)] * 4),
        (3, 1, [(1, 64)] * 3),
    ],
)
def test_rows_are_shared_out_evenly(count, batch_size, expected):
    made = batches(tokens_of(lengths_of((count, 60))), longest=256, batch_size=batch_size)
    assert [batch.ids.shape for batch in made] == expected


def test_wider_rows_are_fewer_at_once():
    made = list(batches(tokens_of(lengths_of((9, 200), (40, 60))), longest=256, batch_size=16))
    assert {batch.ids.shape for batch in made} == {(3, 256), (14, 64)}
