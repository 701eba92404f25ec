"""What can be wrong with a checkpoint's two files: each way is a function of the file's bytes and of chance."""

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.jax_encoder.huggingface.helpers import CONFIG, WEIGHTS

Damage = Callable[[bytes, np.random.Generator], bytes]
_LENGTHS = (0, 1, 7, 8, 2**16, 2**31, 2**32, 100_000_001, 2**63 - 1, 2**63, 2**64 - 1)
_STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, -1, 3, 11, 10**9, 2**31, 10**12, 2**62, 2**63, 2**64, 10**400, 1.5, 1e-3, 1e400),
    *(float("nan"), "", "12", "relu", "é", "\ud800", "x" * 10_000, [], [[]], [None], [1, 2], {}, {"a": 1}),
)
_DTYPES = (
    *("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "I64", "I32", "I16", "I8", "U64", "U32"),
    *("U16", "U8", "BOOL", "C64", "f32", "Q4", "", None, 7),
)


def one_of(rng: np.random.Generator, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def cut_off(data: bytes, rng: np.random.Generator) -> bytes:
    """Ends early: within the length, the header, between any two tensors, or anywhere."""
    edges = (rng.integers(9), rng.integers(len(data)), len(data) - 1 - rng.integers(64), _header_end(data))
    return data[: max(0, int(one_of(rng, edges)))]


def appended(data: bytes, rng: np.random.Generator) -> bytes:
    """Goes on after its end."""
    return data + rng.bytes(int(rng.integers(1, 100)))


def other_length(data: bytes, rng: np.random.Generator) -> bytes:
    """Says another length of the header."""
    (length,) = struct.unpack("<Q", data[:8])
    near = [length + step for step in (-8, -1, 1, 8)] + [len(data), len(data) - 8]
    if rng.integers(2):
        return struct.pack("<Q", int(one_of(rng, [*near, *_LENGTHS]))) + data[8:]
    return _flipped(data, rng, 0, 8)


def flipped_bit(data: bytes, rng: np.random.Generator) -> bytes:
    """One bit of the header."""
    return _flipped(data, rng, 8, _header_end(data))


def other_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four bytes of the header, drawn at random or from what JSON is made of."""
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        drawn = rng.bytes(1) if rng.integers(2) else one_of(rng, [bytes([each]) for each in b'{}[]",:0129-.eE \\u\x00'])
        damaged[int(rng.integers(8, _header_end(data)))] = drawn[0]
    return bytes(damaged)


def shifted(data: bytes, rng: np.random.Generator) -> bytes:
    """A byte of the header taken out or put in; its length is told or not."""
    place, taken = int(rng.integers(8, _header_end(data))), int(rng.integers(2))
    header = data[8:place] + (b"" if taken else rng.bytes(1)) + data[place + taken : _header_end(data)]
    return _with_header(data, header, told=bool(rng.integers(2)))


def other_offsets(data: bytes, rng: np.random.Generator) -> bytes:
    """Tensors that overlap, change places, leave holes or lie outside. Equal sizes could change places unseen."""
    header = _header(data)
    _, entry = _entry(header, rng)
    begin, end = entry["data_offsets"]
    others = [each for each in header.values() if np.ptp(each.get("data_offsets", (0, end - begin))) != end - begin]
    other = one_of(rng, others)
    kind = int(rng.integers(6))
    if kind == 0:
        entry["data_offsets"], other["data_offsets"] = other["data_offsets"], entry["data_offsets"]
    elif kind == 1:
        entry["data_offsets"] = other["data_offsets"]
    elif kind == 2:
        entry["data_offsets"] = [end, begin]
    elif kind == 3:
        step = int(one_of(rng, (-48, -4, -1, 1, 4, 48, 2**32, 2**63)))
        entry["data_offsets"] = [begin + step, end + step]
    elif kind == 4:
        entry["data_offsets"][int(rng.integers(2))] = one_of(rng, _STRANGE)
    else:
        entry["data_offsets"] = one_of(rng, (*_STRANGE, [begin], [begin, end, end], {"begin": begin}))
    return _with_entries(data, header)


def other_shape(data: bytes, rng: np.random.Generator) -> bytes:
    """Sizes negative, huge, swapped, split, joined, more or fewer."""
    header = _header(data)
    _, entry = _entry(header, rng)
    shape = entry["shape"]
    count = int(np.prod(shape))
    shapes = [
        *(shape[::-1], [*shape, 1], [1, *shape], [count], [count, 1], [2, count // 2], shape[:-1], [], [-1], [0]),
        *([-size for size in shape], [2**63, 2], [2**32, 2**32], [2**62] * 8, [1] * 70 + shape, [0, 2**62, 2**62]),
        *([*shape[:-1], one_of(rng, _STRANGE)], one_of(rng, _STRANGE)),
    ]
    entry["shape"] = one_of(rng, shapes)
    return _with_entries(data, header)


def other_dtype(data: bytes, rng: np.random.Generator) -> bytes:
    """A dtype of the same size, of another, or of none."""
    header = _header(data)
    _, entry = _entry(header, rng)
    entry["dtype"] = one_of(rng, _DTYPES)
    if rng.integers(2) and entry["dtype"] in ("F16", "BF16", "F64", "I64"):  # so that the size is right again
        entry["shape"] = [*entry["shape"], 2] if entry["dtype"] in ("F16", "BF16") else [entry["shape"][0] // 2]
    return _with_entries(data, header)


def other_names(data: bytes, rng: np.random.Generator) -> bytes:
    """A tensor of another name, of another's, of none, or of a name twice. Equal shapes could change names unseen."""
    header = _header(data)
    name, entry = _entry(header, rng)
    others = [each for each in header if header[each].get("shape", entry["shape"]) != entry["shape"]]
    other = one_of(rng, others)
    kind = int(rng.integers(6))
    if kind == 0:
        header[name], header[other] = header[other], header[name]
    elif kind == 1:
        del header[name]
    elif kind == 2:
        header[one_of(rng, ("", "x", name + "x", name.upper(), "module." + name, "\ud800", "__metadata__"))] = (
            header.pop(name)
        )
    elif kind == 3:
        header[name][one_of(rng, ("x", "dtypes", "shape "))] = 1
        del header[name][one_of(rng, ("dtype", "shape", "data_offsets"))]
    else:
        twice = json.dumps({name: entry if kind == 4 else header[other]})[1:-1]
        text = json.dumps(header)
        return _with_header(data, f"{text[:-1]}, {twice}}}".encode())
    return _with_entries(data, header)


def other_header(data: bytes, rng: np.random.Generator) -> bytes:
    """Something else than a table of tensors, or such a table with more around it."""
    text = data[8 : _header_end(data)]
    deep = int(one_of(rng, (100, 127, 128, 1000, 100_000)))
    headers = [
        *(b"", b"null", b"[]", b"{}", b'"x"', b"7", b"\x00" * 64, b"\xff" * 64, b"[" * deep, b'{"a":' * deep),
        *(b" " + text, text + b"\x00", text + b" " * 8, text + b"x", text * 2, b"\xef\xbb\xbf" + text),
        *(text.decode().encode("utf-16"), text[:-1], b'{"__metadata__":' + b"[" * deep + b"]" * deep + b"," + text[1:]),
        *(b'{"__metadata__":%s,' % meta + text[1:] for meta in (b"1", b"{}", b'{"a":1}', b'{"a":"b"}', b"null")),
    ]
    return _with_header(data, one_of(rng, headers))


def other_field(data: bytes, rng: np.random.Generator) -> bytes:
    """A field of config.json with another value, left out, or there twice."""
    fields = json.loads(data)
    name = one_of(rng, sorted(fields))
    kind = int(rng.integers(4))
    if kind == 0:
        del fields[name]
    elif kind == 1:
        fields["x" + name] = fields[name]
    else:
        fields[name] = one_of(rng, _STRANGE)
    return json.dumps(fields).encode()


def other_text(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes of config.json changed, taken out, put in, cut off, or wrapped in something deep or long."""
    place, kind = int(rng.integers(len(data))), int(rng.integers(8))
    if kind == 0:
        return data[:place]
    if kind == 1:
        deep = int(one_of(rng, (900, 990, 10_000)))
        return data[:-2] + b',"deep":' + b"[" * deep + b"]" * deep + b"}"
    if kind == 2:
        return data.replace(b"12", b"1" + b"0" * int(one_of(rng, (12, 400, 5000))), 1)
    if kind == 3:
        return _flipped(data, rng, 0, len(data))
    changed = rng.bytes(int(rng.integers(3)))
    return data[:place] + changed + data[place + int(rng.integers(3)) :]


DAMAGES: dict[str, tuple[Damage, ...]] = {
    WEIGHTS: (
        *(cut_off, appended, other_length, flipped_bit, other_bytes, shifted, other_offsets, other_shape),
        *(other_dtype, other_names, other_header),
    ),
    CONFIG: (other_field, other_text),
}


def _header_end(data: bytes) -> int:
    return 8 + struct.unpack("<Q", data[:8])[0]


def _header(data: bytes) -> dict[str, Any]:
    return json.loads(data[8 : _header_end(data)])


def _entry(header: dict[str, Any], rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    name = one_of(rng, sorted(header.keys() - {"__metadata__"}))
    return name, header[name]


def _flipped(data: bytes, rng: np.random.Generator, begin: int, end: int) -> bytes:
    damaged = bytearray(data)
    damaged[int(rng.integers(begin, end))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def _with_entries(data: bytes, header: Mapping[str, Any]) -> bytes:
    return _with_header(data, json.dumps(header).encode())


def _with_header(data: bytes, header: bytes, *, told: bool = True) -> bytes:
    length = struct.pack("<Q", len(header)) if told else data[:8]
    return length + header + data[_header_end(data) :]
