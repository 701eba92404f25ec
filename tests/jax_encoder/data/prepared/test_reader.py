"""Batches from prepared rows: the same for any number of workers and hosts, each row once an epoch."""

import itertools
import os
from collections import Counter

import numpy as np
import pytest

from jax_encoder.data.masking import Batch, Masking, Share, original_tokens
from jax_encoder.data.prepared.manifest import SHARDS
from jax_encoder.data.prepared.reader import Prepared, PreparedBatches
from jax_encoder.data.tokenizer import load_tokenizer, vocabulary_of
from jax_encoder.errors import InputError
from tests.jax_encoder.data.prepared.helpers import prepare, same_batches, small_units, texts

pytest.importorskip("grain")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "a.txt").write_text("\n\n".join(texts(300)))
    with pytest.MonkeyPatch.context() as patch:
        small_units(patch)
        return prepare(folder / "to", folder / "a.txt")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Prepared:
    """Two sources of unlike size, of which the smaller is to be seen three times as often."""
    folder = tmp_path_factory.mktemp("mixed")
    for name, count in (("a.txt", 60), ("b.txt", 250)):
        (folder / name).write_text("\n\n".join(texts(count, ord(name[0]))))
    return prepare(folder / "to", f"{folder / 'a.txt'}=0.75", f"{folder / 'b.txt'}=0.25")


def batches(prepared: Prepared, **options) -> PreparedBatches:
    masking = Masking(vocabulary_of(load_tokenizer(prepared.folder / "tokenizer.json")), 0.3)
    return PreparedBatches(prepared, masking, **{"batch_size": 4, "seed": 3} | options)


def contents(batch: Batch) -> list[bytes]:
    return [row.tobytes() for row in original_tokens(batch)]


def rows_of(prepared: Prepared, source: int) -> Counter[bytes]:
    rows = prepared.sources()[source]
    return Counter(np.asarray(rows[index]["tokens"], np.int32).tobytes() for index in range(len(rows)))


def test_every_row_once_an_epoch(prepared):
    all_rows = rows_of(prepared, 0)
    count = all_rows.total()
    made = batches(prepared)
    seen = list(itertools.chain.from_iterable(contents(made.batch(step)) for step in range(-(-3 * count // 4))))
    epochs = [seen[n * count : (n + 1) * count] for n in range(3)]
    assert [Counter(epoch) == all_rows for epoch in epochs] == [True] * 3
    assert len(set(map(tuple, epochs))) == 3


def test_a_batch_depends_on_seed_and_step_alone(prepared):
    forward, backward = batches(prepared), batches(prepared)
    there = [forward.batch(step) for step in range(9)]
    for step in reversed(range(9)):
        same_batches(there[step], backward.batch(step))
    # Grain shuffles an epoch with its number added to the seed: a run must not see its neighbour's epochs.
    count = rows_of(prepared, 0).total()
    epoch = [batches(prepared, batch_size=count, seed=seed).batch(n) for seed, n in ((3, 1), (4, 0))]
    assert contents(epoch[0]) != contents(epoch[1])


@pytest.mark.parametrize("count", [2, 4])
def test_hosts_make_their_own_rows_of_the_same_batch(prepared, count):
    for step in (0, 7):
        parts = [batches(prepared, share=Share(index, count)).batch(step) for index in range(count)]
        whole = batches(prepared).batch(step)
        same_batches(whole, [np.concatenate(fields) for fields in zip(*parts, strict=True)])


@pytest.mark.slow
def test_worker_processes_make_the_same_batches(prepared):
    whole = batches(prepared)
    for workers in (1, 2):
        made = batches(prepared, workers=workers)
        for step in (5, 6, 7, 2, 3):
            same_batches(whole.batch(step), made.batch(step))
        made.close()


def test_weights_are_met_and_every_source_has_epochs_of_its_own(mixed):
    small, large = rows_of(mixed, 0), rows_of(mixed, 1)
    assert not small.keys() & large.keys()
    steps = 4 * small.total()
    made = batches(mixed)
    seen = list(itertools.chain.from_iterable(contents(made.batch(step)) for step in range(steps // 4)))
    of_small = [row for row in seen if row in small]
    assert abs(len(of_small) / len(seen) - 0.75) < 0.02
    for epoch in range(3):
        assert Counter(of_small[epoch * small.total() : (epoch + 1) * small.total()]) == small
    assert max(Counter(row for row in seen if row in large).values()) == 1


def damaged(path, damage) -> None:
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)


@pytest.mark.parametrize("place", [400, -5])
def test_a_damaged_row_is_refused_when_it_is_read(tmp_path, place):
    (tmp_path / "a.txt").write_text("\n\n".join(texts(100)))
    prepared = prepare(tmp_path / "to", tmp_path / "a.txt")
    path = prepared.folder / SHARDS / "train-00000.npy"
    damaged(path, lambda content: content.__setitem__(place, content[place] ^ 1))
    count, header = prepared.manifest.train[0].rows, path.read_bytes().index(b"\n") + 1
    row = (place % path.stat().st_size - header) // prepared.record.itemsize
    with pytest.raises(InputError) as caught:
        batches(prepared, batch_size=count).batch(0)
    assert str(caught.value) == (
        f"{path} is damaged: row {row} is not what was written: put it back, or prepare the text again"
    )


def test_a_shard_that_is_short_or_gone_is_refused_at_once(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(texts(100)))
    prepared = prepare(tmp_path / "to", tmp_path / "a.txt")
    path = prepared.folder / SHARDS / "train-00000.npy"
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(InputError, match="is damaged"):
        batches(prepared)
    path.unlink()
    with pytest.raises(InputError, match="is missing: prepare the text again"):
        batches(prepared)
