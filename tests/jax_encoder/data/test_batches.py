"""Order of rows, evaluation that stays the same, and the thread that works ahead."""

import itertools
import threading
import time
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jax_encoder.data.batches import Batches, EvaluationBatches, prefetch
from jax_encoder.data.masking import Batch, Masking, original_tokens
from jax_encoder.data.packing import Rows
from jax_encoder.data.tokenizer import Vocabulary

VOCABULARY = Vocabulary(size=200, pad=0, cls=1, sep=2, mask=3, unk=None, special=(0, 1, 2, 3))
MASKING = Masking(VOCABULARY, 0.25)


def rows(count: int) -> Rows:
    """Row r begins with the token 10 + r, which tells it from all others, and ends in padding."""
    tokens = np.tile(np.arange(100, 109, dtype=np.uint16), (count, 1))
    tokens[:, 0] = VOCABULARY.cls
    tokens[:, 1] = 10 + np.arange(count)
    segments = np.ones_like(tokens)
    segments[:, -2:] = tokens[:, -2:] = 0
    return Rows(tokens, segments)


def row_numbers(batch: Batch) -> list[int]:
    """Which rows a batch holds; filled-in ones are -10."""
    return (original_tokens(batch)[:, 1].astype(int) - 10).tolist()


def contents(batch: Batch) -> bytes:
    return b"".join(array.tobytes() for array in batch)


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 2**32))
def test_every_row_once_an_epoch(num_rows, batch_size, seed):
    batches = Batches(rows(num_rows), MASKING, batch_size=batch_size, seed=seed)
    epochs = 3
    steps = -(-epochs * num_rows // batch_size)
    seen = list(itertools.chain.from_iterable(row_numbers(batches.batch(step)) for step in range(steps)))
    for epoch in range(epochs):
        assert sorted(seen[epoch * num_rows : (epoch + 1) * num_rows]) == list(range(num_rows))


def test_epochs_and_seeds_differ_in_order():
    def order(seed: int, epoch: int) -> list[int]:
        return row_numbers(Batches(rows(30), MASKING, batch_size=30, seed=seed).batch(epoch))

    orders = [order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(map(tuple, orders))) == 4
    assert list(range(30)) not in orders


def test_a_batch_depends_on_seed_and_step_alone():
    forward = Batches(rows(30), MASKING, batch_size=4, seed=7)
    backward = Batches(rows(30), MASKING, batch_size=4, seed=7)
    there = {step: contents(forward.batch(step)) for step in range(40)}
    back = {step: contents(backward.batch(step)) for step in reversed(range(40))}
    assert there == back
    assert len(set(there.values())) == 40
    assert contents(Batches(rows(30), MASKING, batch_size=4, seed=8).batch(0)) != there[0]


def test_the_same_rows_are_masked_anew_every_epoch():
    batches = Batches(rows(1), MASKING, batch_size=1, seed=0)
    assert len({batches.batch(step).targets.tobytes() for step in range(20)}) > 3


@pytest.mark.parametrize(("num_rows", "batch_size", "max_rows"), [(10, 4, None), (8, 4, None), (10, 4, 6), (3, 5, 99)])
def test_evaluation_sees_each_row_once_in_full_batches(num_rows, batch_size, max_rows):
    batches = EvaluationBatches(rows(num_rows), MASKING, batch_size=batch_size, max_rows=max_rows)
    expected = min(num_rows, max_rows or num_rows)
    assert len(batches) == -(-expected // batch_size)
    seen = list(itertools.chain.from_iterable(map(row_numbers, batches)))
    assert len(seen) == len(batches) * batch_size
    real = [row for row in seen if row >= 0]
    assert len(real) == len(set(real)) == expected
    assert seen[expected:] == [-10] * (len(seen) - expected)
    filler = batches[-1].weights[len(batches[-1].weights) - (len(seen) - expected) :]
    assert not filler.any()
    assert sum(np.count_nonzero(batch.segments) for batch in batches) == 7 * expected


def test_evaluation_is_the_same_every_time():
    batches = EvaluationBatches(rows(10), MASKING, batch_size=4)
    first = [contents(batch) for batch in batches]
    assert [contents(batch) for batch in batches] == first
    assert batches[0].targets.tobytes() != batches[1].targets.tobytes()
    assert [contents(batch) for batch in EvaluationBatches(rows(10), MASKING, batch_size=4)] == first
    assert [contents(batch) for batch in batches[1:]] == first[1:]
    assert contents(batches[-1]) == first[-1]
    with pytest.raises(IndexError):
        batches[3]


def test_evaluation_of_some_rows_is_not_of_the_first():
    chosen = row_numbers(EvaluationBatches(rows(100), MASKING, batch_size=20, max_rows=20)[0])
    assert max(chosen) > 50
    assert chosen != sorted(chosen)


def test_prefetch_counts_in_another_thread():
    threads = set()

    def make(step: int) -> int:
        threads.add(threading.current_thread().name)
        return step * step

    with closing(prefetch(make, start=3, stop=8)) as items:
        assert list(items) == [9, 16, 25, 36, 49]
    assert len(threads) == 1
    assert threading.current_thread().name not in threads
    assert list(prefetch(make, start=3, stop=3)) == []


def test_prefetch_works_ahead_but_not_far():
    made = []

    def make(step: int) -> int:
        made.append(step)
        return step

    with closing(prefetch(make, start=0, depth=3)) as items:
        for step in range(5):
            assert next(items) == step
            ahead = list(range(step + 1 + 3))
            deadline = time.monotonic() + 10
            while made != ahead and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(0.01)  # for one too many
            assert made == ahead


def test_prefetch_raises_where_the_result_would_have_come():
    def make(step: int) -> int:
        return 6 // (2 - step)

    with closing(prefetch(make, start=0)) as items:
        assert [next(items), next(items)] == [3, 6]
        with pytest.raises(ZeroDivisionError):
            next(items)
        with pytest.raises(StopIteration):
            next(items)


def test_closing_prefetch_drops_what_is_not_begun_and_leaves_no_thread():
    made, second_begun = [], threading.Event()

    def make(step: int) -> int:
        if step == 1:
            second_begun.set()
            time.sleep(0.05)
        made.append(step)
        return step

    items = prefetch(make, start=0, depth=9)
    assert next(items) == 0
    assert second_begun.wait(timeout=10)
    assert any(thread.name.startswith("prefetch") for thread in threading.enumerate())
    items.close()
    assert made == [0, 1]
    assert not any(thread.name.startswith("prefetch") for thread in threading.enumerate())
