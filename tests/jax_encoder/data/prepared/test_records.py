"""Rows as records and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jax_encoder.data.packing import pack
from jax_encoder.data.prepared import records
from jax_encoder.errors import InputError
from tests.jax_encoder.data.test_packing import VOCABULARY, documents


@given(st.lists(st.integers(0, 60), min_size=1, max_size=60).filter(any), st.integers(4, 40), st.booleans())
def test_rows_come_back(lengths, row_length, narrow):
    rows = pack(documents(lengths), VOCABULARY, row_length=row_length)
    if not narrow:
        rows = rows._replace(tokens=rows.tokens.astype(np.int32), segments=rows.segments.astype(np.int32))
    encoded = records.encode(rows)
    assert encoded.dtype == records.row_type(row_length, narrow=narrow)
    assert all(records.is_whole(record) for record in encoded)
    for a, b in zip(rows, records.decode(encoded), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_any_byte_that_changes_is_noticed():
    encoded = records.encode(pack(documents([5, 3]), VOCABULARY, row_length=12))
    for place in range(encoded.dtype.itemsize):
        content = bytearray(encoded.tobytes())
        content[place] ^= 4
        assert not records.is_whole(np.frombuffer(bytes(content), encoded.dtype)[0])


def test_saved_and_mapped(tmp_path):
    parts = [records.encode(pack(documents([number]), VOCABULARY, row_length=12)) for number in (40, 5)]
    records.save(parts, tmp_path / "a.npy")
    loaded = records.load(tmp_path / "a.npy", like=parts[0].dtype, count=len(parts[0]) + 1)
    np.testing.assert_array_equal(loaded, np.concatenate(parts))
    with pytest.raises(InputError, match="expected 9 records of 34 bytes"):
        records.load(tmp_path / "a.npy", like=parts[0].dtype, count=9)
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="is damaged"):
        records.load(tmp_path / "a.npy", like=parts[0].dtype, count=9)
