"""Training batches from a prepared folder, through Grain: shuffled over all of it, mixed by weight, read at random.

Axes: R rows, B batch.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_encoder.data.masking import WHOLE, Batch, Masking, Share, Stream, generator, mask_tokens
from jax_encoder.data.packing import Rows
from jax_encoder.data.prepared import records
from jax_encoder.data.prepared.manifest import AGAIN, SHARDS, Manifest
from jax_encoder.data.prepared.shards import Shard
from jax_encoder.errors import InputError


class ShardRows(Sequence[np.void]):
    """The rows of some shards, one after the other; each is compared with its checksum as it is read.

    Args:
        folder: that was prepared.
        shards: files of it.
        record: their form.

    Raises:
        InputError: a shard is missing or of another size; when read, if a row is damaged.
    """

    def __init__(self, folder: Path, shards: Sequence[Shard], record: np.dtype):
        self.folder, self.shards, self.record = folder, tuple(shards), record
        self._ends = np.cumsum([shard.rows for shard in shards])
        self._open()

    def _open(self) -> None:
        # Mapped, not opened: a process may have few files open, and many maps.
        self._maps = [
            records.load(self.folder / SHARDS / shard.file, like=self.record, count=shard.rows) for shard in self.shards
        ]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: Any) -> Any:
        shard = int(np.searchsorted(self._ends, index, "right"))
        row = int(index) - (int(self._ends[shard - 1]) if shard else 0)
        record = self._maps[shard][row]
        if not records.is_whole(record):
            path = self.folder / SHARDS / self.shards[shard].file
            raise InputError(f"{path} is damaged: row {row} is not what was written: {AGAIN}")
        return record

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_maps"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __repr__(self) -> str:
        return f"ShardRows({self.folder}, {len(self.shards)} shards)"


class _Steps(NamedTuple):
    """What a worker needs to make any batch."""

    rows: Any  # grain.MapDataset, endless
    masking: Masking
    batch_size: int
    seed: int
    share: Share

    def batch(self, step: int) -> Batch:
        size = self.batch_size // self.share.count
        first = step * self.batch_size + self.share.index * size
        chosen = records.decode(np.stack([self.rows[place] for place in range(first, first + size)]))
        rng = generator(self.seed, Stream.TRAINING_MASKS, step)
        return mask_tokens(chosen.tokens, chosen.segments, self.masking, rng, self.share)


class PreparedBatches:
    """Training batches, each a pure function of (seed, step); a host makes its own rows of each.

    Every source is shuffled anew in every epoch of its own. With weights, sources take turns in a fixed pattern that
    meets them within a hundredth.

    Args:
        prepared: the folder.
        masking: how much to hide.
        batch_size: B, of all hosts together.
        seed: of the run.
        share: this host's part.
        workers: processes that make batches ahead; 0 makes them here.
    """

    def __init__(
        self,
        prepared: "Prepared",
        masking: Masking,
        *,
        batch_size: int,
        seed: int,
        share: Share = WHOLE,
        workers: int = 0,
    ):
        self.batch_size, self.seed, self.workers = batch_size, seed, workers
        self._steps = _Steps(prepared.shuffled(seed), masking, batch_size, seed, share)
        self._ahead: Iterator[Batch] | None = None
        self._next = -1

    def batch(self, step: int) -> Batch:
        """The batch of one step, counted from 0; this host's rows of it."""
        if not self.workers:
            return self._steps.batch(step)
        if self._ahead is None or step != self._next:
            self.close()
            self._ahead = iter(self._dataset(step))
        self._next = step + 1
        # Copied out of memory that is shared with the process that made it, and goes with its array.
        return Batch(*(np.array(array) for array in next(self._ahead)))

    def close(self) -> None:
        """Ends the worker processes."""
        if self._ahead is not None:
            self._ahead.close()  # type: ignore[attr-defined]
            self._ahead = None

    def _dataset(self, start: int) -> Any:
        import grain
        from absl import flags

        if not flags.FLAGS.is_parsed():  # Grain asks the command line of a program that absl has not begun
            flags.FLAGS.mark_as_parsed()
        dataset = grain.MapDataset.range(start, 2**62).map(self._steps.batch)
        options = grain.MultiprocessingOptions(num_workers=self.workers, per_worker_buffer_size=2)
        return dataset.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)).mp_prefetch(options)


class Prepared(NamedTuple):
    """A prepared folder, opened."""

    folder: Path
    manifest: Manifest

    @property
    def record(self) -> np.dtype:
        """The form of its rows."""
        return records.row_type(self.manifest.row_length, narrow=self.manifest.narrow)

    def sources(self) -> list[ShardRows]:
        """The training rows of every source."""
        found = []
        for index in range(len(self.manifest.sources)):
            shards = [shard for shard in self.manifest.train if shard.source == index]
            found.append(ShardRows(self.folder, shards, self.record))
        return found

    def shuffled(self, seed: int) -> Any:
        """All training rows as an endless grain.MapDataset."""
        import grain  # takes JAX along: a second that other commands need not wait for

        datasets = []
        for index, source in enumerate(self.sources()):
            # Grain's own seeds of two epochs differ by one, so that two runs' seeds must not.
            own = int(generator(seed, Stream.ORDER, index).integers(2**32))
            datasets.append(grain.MapDataset.source(source).shuffle(seed=own).repeat())
        if len(datasets) == 1:
            return datasets[0]
        return grain.MapDataset.mix(datasets, [source.weight or 0 for source in self.manifest.sources])

    def some_rows(self, side: str, most: int | None) -> Rows:
        """Rows from all over a side, in their order; all of them, or the same `most` every time."""
        shards = getattr(self.manifest, side)
        rows = ShardRows(self.folder, shards, self.record)
        count = len(rows) if most is None else min(most, len(rows))
        return records.decode(np.stack([rows[index * len(rows) // count] for index in range(count)]))
