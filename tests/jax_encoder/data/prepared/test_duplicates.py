"""Copies and near copies: all copies found, near ones at the rate that the bands promise, first ones kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jax_encoder.data.prepared import duplicates
from jax_encoder.data.prepared.duplicates import COPY, KEPT, NEAR, bands, mark


def write(path, digests, band_values) -> None:
    np.savez(path, digests=np.array(digests, np.uint64), bands=np.array(band_values, np.uint64))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=40), st.integers(1, 3), st.integers(1, 4))
def test_of_equal_documents_the_first_is_kept(tmp_path_factory, keys, chunks, partition):
    folder = tmp_path_factory.mktemp("chunks")
    groups = [part.tolist() for part in np.array_split(np.array(keys), chunks)]
    paths, unique = [], 100
    for number, group in enumerate(groups):
        paths.append(folder / f"{number}.npz")
        values = [
            [unique + 14 * len(keys) * number + 14 * place + band for band in range(14)] for place in range(len(group))
        ]
        write(paths[-1], np.array([[key, 7] for key in group]).reshape(-1, 2), np.array(values).reshape(-1, 14))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_PARTITION", partition)
        marks = mark(paths, [len(group) for group in groups])
    assert marks.of.tolist() == [COPY if key in keys[:place] else KEPT for place, key in enumerate(keys)]
    assert (marks.copies, marks.near) == (len(keys) - len(set(keys)), 0)


def test_one_band_in_common_is_near_and_a_copy_is_not_counted_twice(tmp_path):
    values = np.arange(1, 5 * 14 + 1).reshape(5, 14)
    values[3, 13] = values[1, 13]
    values[4] = values[1]
    write(tmp_path / "a.npz", [[1, 1], [2, 2], [3, 3], [4, 4], [2, 2]], values)
    marks = mark([tmp_path / "a.npz"], [5])
    assert marks.of.tolist() == [KEPT, KEPT, KEPT, NEAR, COPY]


def changed(rng: np.random.Generator, share: float, count: int = 300, length: int = 400) -> float:
    """How often a document meets one whose 5-grams it shares to that share."""
    met = 0
    for _ in range(count):
        one = rng.integers(10, 30_000, length, dtype=np.uint16)
        # Of n + m different 5-grams, n in common: the tail is new.
        common = round(2 * share / (1 + share) * length)
        other = np.concatenate([one[:common], rng.integers(10, 30_000, length - common, dtype=np.uint16)])
        pair = bands(np.concatenate([one, other]), np.array([length, length]))
        met += bool((pair[0] == pair[1]).any())
    return met / count


@pytest.mark.parametrize("share", [0.5, 0.8, 0.9])
def test_near_documents_meet_as_often_as_they_should(share):
    expected = 1 - (1 - share**8) ** 14
    found = changed(np.random.default_rng(0), share)
    assert abs(found - expected) < 4 * (expected * (1 - expected) / 300) ** 0.5 + 0.02


@given(st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=20), st.integers(1, 30))
def test_bands_depend_on_the_document_alone(documents, block):
    def of(several) -> np.ndarray:
        lengths = np.array([len(one) for one in several], np.int64)
        return bands(np.array([token for one in several for token in one], np.uint16), lengths)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        together = of(documents)
    for one, found in zip(documents, together, strict=True):
        assert found.tolist() == of([one])[0].tolist()
        assert found.any() == bool(one)
