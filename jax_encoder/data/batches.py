"""Batches of packed rows: for training in a new order every epoch, for evaluation the same every time.

Axes: B batch, T column.
"""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar, overload

import numpy as np
from jaxtyping import Int64

from jax_encoder.data.masking import Batch, Masking, Stream, generator, mask_tokens
from jax_encoder.data.packing import Rows

Item = TypeVar("Item")

_EVALUATION_SEED = 0  # not the run's: runs with different seeds are judged on the same targets


class Batches:
    """Training batches, each a pure function of (seed, step): nothing to save, nothing to rewind.

    Rows come from permutations laid end to end, one an epoch, so that no row is dropped and none comes twice in an
    epoch.
    """

    def __init__(self, rows: Rows, masking: Masking, *, batch_size: int, seed: int):
        self.rows, self.masking, self.batch_size, self.seed = rows, masking, batch_size, seed
        self._order = lru_cache(maxsize=2)(self._permutation)  # a batch may end one epoch and begin the next

    def batch(self, step: int) -> Batch:
        """The batch of one step, counted from 0."""
        places_B = step * self.batch_size + np.arange(self.batch_size)
        epochs_B, within_B = np.divmod(places_B, len(self.rows.tokens))
        rows_B = np.concatenate([self._order(int(e))[within_B[epochs_B == e]] for e in np.unique(epochs_B)])
        rng = generator(self.seed, Stream.TRAINING_MASKS, step)
        return mask_tokens(self.rows.tokens[rows_B], self.rows.segments[rows_B], self.masking, rng)

    def _permutation(self, epoch: int) -> Int64[np.ndarray, " R"]:
        return generator(self.seed, Stream.ORDER, epoch).permutation(len(self.rows.tokens))


class EvaluationBatches(Sequence[Batch]):
    """The same rows with the same targets in every evaluation of every run; the last batch is filled with empty rows.

    Args:
        rows: held-out rows. Packing puts like lengths together, so they are shuffled before any are left out.
        masking: as for training.
        batch_size: B of every batch.
        max_rows: how many rows at most; None takes all.
    """

    def __init__(self, rows: Rows, masking: Masking, *, batch_size: int, max_rows: int | None = None):
        self.rows, self.masking, self.batch_size = rows, masking, batch_size
        order = generator(_EVALUATION_SEED, Stream.EVALUATION_ORDER, 0).permutation(len(rows.tokens))
        self._order = order[:max_rows]

    def __len__(self) -> int:
        return -(-len(self._order) // self.batch_size)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> list[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | list[Batch]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        shape = (self.batch_size, self.rows.tokens.shape[1])
        tokens_BT, segments_BT = np.full(shape, self.masking.vocabulary.pad, np.int32), np.zeros(shape, np.int32)
        tokens_BT[: len(chosen)], segments_BT[: len(chosen)] = self.rows.tokens[chosen], self.rows.segments[chosen]
        rng = generator(_EVALUATION_SEED, Stream.EVALUATION_MASKS, index)
        return mask_tokens(tokens_BT, segments_BT, self.masking, rng)


def prefetch(
    make: Callable[[int], Item], *, start: int, stop: int | None = None, depth: int = 2
) -> Generator[Item, None, None]:
    """Yields `make(start)`, `make(start + 1)`, ... up to `stop`, made ahead of time by one background thread.

    An error in `make` is raised where its result would have come. Closing the generator waits for the call under way
    and drops the rest.

    Args:
        make: may itself move the result to a device.
        start: first argument.
        stop: None goes on for ever.
        depth: how many results to hold at most.
    """
    steps = itertools.count(start) if stop is None else iter(range(start, stop))
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    try:
        pending: deque[Future[Item]] = deque(pool.submit(make, step) for step in itertools.islice(steps, depth))
        while pending:
            item = pending.popleft().result()
            pending.extend(pool.submit(make, step) for step in itertools.islice(steps, 1))
            yield item
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
