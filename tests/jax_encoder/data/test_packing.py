"""Packing: nothing lost, nothing doubled, nothing torn apart that fits, and hardly any padding."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jax_encoder.data import packing
from jax_encoder.data.packing import Rows, left_out, load_rows, pack, save_rows
from jax_encoder.data.tokenizer import Encoded, Vocabulary
from jax_encoder.errors import InputError

PAD, CLS, SEP, FIRST = 1, 2, 3, 5
VOCABULARY = Vocabulary(size=60_000, pad=PAD, cls=CLS, sep=SEP, mask=4, unk=0, special=(0, 1, 2, 3, 4))


def documents(lengths: list[int]) -> Encoded:
    """Documents in which no token occurs twice, so that each can be told from all others."""
    starts = np.cumsum([0, *lengths]).astype(np.int64)
    return Encoded(np.arange(FIRST, FIRST + starts[-1]).astype(np.uint16), starts)


def pieces(lengths: list[int], row_length: int) -> list[tuple[int, ...]]:
    """What should stand in the rows, cut the slow way."""
    result, token = [], FIRST
    for length in lengths:
        while length:
            size = min(length, row_length - 2)
            result.append((CLS, *range(token, token + size), SEP))
            token, length = token + size, length - size
    return result


def unpack(rows: Rows) -> list[tuple[int, ...]]:
    """What does stand in the rows; every rule of their form is checked on the way."""
    result = []
    for tokens, segments in zip(rows.tokens.tolist(), rows.segments.tolist(), strict=True):
        count = max(segments)
        assert segments == sorted(segments, key=lambda s: s or count + 1), "in order, padding last"
        assert set(segments) - {0} == set(range(1, count + 1)), "numbered without a gap"
        result += [tuple(t for t, s in zip(tokens, segments, strict=True) if s == n) for n in range(1, count + 1)]
        assert all(t == PAD for t, s in zip(tokens, segments, strict=True) if s == 0)
    return result


def best_fit_decreasing(sizes: list[int], row_length: int) -> int:
    """How many rows the textbook's algorithm takes."""
    free: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [space for space in free if space >= size]
        space = min(fitting, default=row_length)
        if fitting:
            free.remove(space)
        free.append(space - size)
    return len(free)


many_lengths = st.lists(st.integers(0, 60), min_size=1, max_size=60).filter(any)


@given(many_lengths, st.integers(3, 40))
def test_every_token_exactly_once_and_documents_whole(lengths, row_length):
    rows = pack(documents(lengths), VOCABULARY, row_length=row_length)
    assert rows.tokens.shape == rows.segments.shape
    assert rows.tokens.shape[1] == row_length
    expected = pieces(lengths, row_length)
    assert Counter(unpack(rows)) == Counter(expected)
    assert len(rows.tokens) == best_fit_decreasing([len(piece) for piece in expected], row_length)
    assert rows.fill == pytest.approx(sum(map(len, expected)) / rows.tokens.size)


@given(many_lengths, st.integers(3, 40), st.integers(1, 50))
def test_copying_in_chunks_changes_nothing(lengths, row_length, chunk):
    whole = pack(documents(lengths), VOCABULARY, row_length=row_length)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_CHUNK", chunk)
        chunked = pack(documents(lengths), VOCABULARY, row_length=row_length)
    np.testing.assert_array_equal(chunked, whole)


def test_a_small_case_by_hand():
    rows = pack(documents([1, 7, 2, 0, 3]), VOCABULARY, row_length=7)
    assert rows.tokens.tolist() == [
        [CLS, 6, 7, 8, 9, 10, SEP],
        [CLS, 15, 16, 17, SEP, PAD, PAD],
        [CLS, 11, 12, SEP, PAD, PAD, PAD],
        [CLS, 13, 14, SEP, CLS, 5, SEP],
    ]
    assert rows.segments.tolist() == [[1] * 7, [1] * 5 + [0] * 2, [1] * 4 + [0] * 3, [1] * 4 + [2] * 3]


def test_the_tightest_row_is_taken_not_the_emptiest():
    rows = pack(documents([5, 4, 1]), VOCABULARY, row_length=10)
    assert rows.tokens.tolist() == [
        [CLS, 5, 6, 7, 8, 9, SEP, CLS, 14, SEP],
        [CLS, 10, 11, 12, 13, SEP, PAD, PAD, PAD, PAD],
    ]


@pytest.mark.parametrize("row_length", [64, 128, 512])
def test_text_like_lengths_leave_hardly_any_padding(row_length):
    lengths = np.random.default_rng(0).lognormal(4, 0.9, 20_000).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = pack(Encoded(np.full(starts[-1], FIRST, np.uint16), starts), VOCABULARY, row_length=row_length)
    assert rows.fill > 0.99


def test_wide_ids_are_kept():
    tokens = Encoded(np.array([70_000, 70_001], np.int32), np.array([0, 2]))
    rows = pack(tokens, VOCABULARY._replace(size=70_002), row_length=5)
    assert rows.tokens.tolist() == [[CLS, 70_000, 70_001, SEP, PAD]]
    assert pack(documents([1]), VOCABULARY, row_length=5).tokens.dtype == np.uint16


def test_rows_too_short():
    with pytest.raises(InputError) as caught:
        pack(documents([4]), VOCABULARY, row_length=2)
    assert str(caught.value) == "a row must hold at least [CLS], one token and [SEP], got a length of 2"


def test_nothing_to_pack():
    with pytest.raises(InputError) as caught:
        pack(documents([0, 0]), VOCABULARY, row_length=8)
    assert str(caught.value) == "nothing to pack: 2 documents, and not one token in them that can be predicted"


def test_what_holds_nothing_to_predict_is_left_out():
    """A row of unknown tokens alone has no target, and a batch of such rows no loss."""
    unknown, known = [0] * 9, [7, 0, 8]
    encoded = Encoded(np.array([*unknown, *known, *unknown[:2]], np.uint16), np.array([0, 9, 12, 14]))
    rows = pack(encoded, VOCABULARY, row_length=6)
    assert rows.tokens.tolist() == [[CLS, 7, 0, 8, SEP, PAD]]
    assert left_out(encoded, VOCABULARY, row_length=6) == 11
    long = Encoded(np.array([0, 0, 0, 0, 7], np.uint16), np.array([0, 5]))
    assert pack(long, VOCABULARY, row_length=6).tokens.tolist() == [[CLS, 7, SEP, PAD, PAD, PAD]]
    with pytest.raises(InputError, match="not one token in them that can be predicted"):
        pack(Encoded(np.zeros(3, np.uint16), np.array([0, 3])), VOCABULARY, row_length=6)


def test_saved_rows_come_back_mapped(tmp_path):
    rows = pack(documents([3, 9, 30]), VOCABULARY, row_length=12)
    save_rows(pack(documents([1]), VOCABULARY, row_length=12), tmp_path, "train")
    save_rows(rows, tmp_path, "train")
    assert [path.name for path in tmp_path.iterdir()] == ["train.npy"]
    loaded = load_rows(tmp_path, "train")
    np.testing.assert_array_equal(loaded, rows)
    assert isinstance(loaded.tokens, np.memmap)
    assert loaded.tokens.dtype == rows.tokens.dtype
    assert not loaded.tokens.flags.writeable


def test_an_interrupted_save_leaves_the_old_rows(tmp_path):
    rows = pack(documents([3, 9, 30]), VOCABULARY, row_length=12)
    save_rows(rows, tmp_path, "train")
    with pytest.raises(ValueError, match="segments"):
        save_rows(Rows(rows.tokens, rows.segments[:, :5]), tmp_path, "train")
    assert [path.name for path in tmp_path.iterdir()] == ["train.npy"]
    np.testing.assert_array_equal(load_rows(tmp_path, "train"), rows)


def test_missing_and_damaged_rows(tmp_path):
    path = tmp_path / "train.npy"

    def refusal() -> str:
        with pytest.raises(InputError) as caught:
            load_rows(tmp_path, "train")
        return str(caught.value)

    assert refusal() == f"{path} is missing: this folder cannot be used again, start a new run"
    save_rows(pack(documents([3, 9, 30]), VOCABULARY, row_length=12), tmp_path, "train")
    whole = path.read_bytes()
    for content in (b"", whole[:100], whole[:-1], b"x" * 200):
        path.write_bytes(content)
        assert refusal().startswith(f"{path} is damaged (")
        assert refusal().endswith("): start a new run")
    np.save(path, np.zeros((3, 4)))
    assert refusal() == f"{path} does not hold packed rows but float64 of shape [3, 4]"
