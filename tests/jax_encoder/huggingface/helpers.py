"""What several tests of published checkpoints need: tiny ones of every class, and thousands of damaged ones."""

import json
import resource
import shutil
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

from jax_encoder import huggingface
from jax_encoder.errors import InputError
from jax_encoder.huggingface.carry import carry_out

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_SIZES = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 17,
}
_SPECIAL = ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "mask_token_id")
_IDS = dict.fromkeys(_SPECIAL, 1)
# What transformers' config of each model type is asked for; no two sizes are equal.
SMALL: dict[str, dict[str, Any]] = {
    "bert": _SIZES,
    "roberta": _SIZES,
    "xlm-roberta": _SIZES,
    "camembert": _SIZES,
    "distilbert": {
        "vocab_size": 31,
        "dim": 12,
        "n_layers": 2,
        "n_heads": 3,
        "hidden_dim": 20,
        "max_position_embeddings": 17,
    },
    "electra": _SIZES | {"embedding_size": 8},
    "albert": _SIZES | {"embedding_size": 8, "num_hidden_groups": 2},
    "mpnet": _SIZES,
    "modernbert": _SIZES | _IDS,
    "eurobert": _SIZES | {"num_attention_heads": 6, "num_key_value_heads": 3, "mlp_bias": True} | _IDS,
}
CLASSES = [
    (model_type, begins + suffix)
    for family in huggingface.FAMILIES.values()
    for model_type, begins in zip(family.model_types, family.classes, strict=True)
    for suffix in family.heads
]


def save_with_transformers(architecture: str, model_type: str, folder: Path, **fields: Any) -> None:
    """A tiny model of transformers' class, every parameter random, as transformers writes it."""
    import torch
    import transformers

    config = transformers.AutoConfig.for_model(model_type, **SMALL[model_type] | fields)
    model = getattr(transformers, architecture)(config)
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for param in model.parameters():
            param.normal_(generator=drawn)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)


def tensors_in(folder: Path) -> dict[str, np.ndarray]:
    """What a checkpoint's file holds."""
    return load_file(folder / WEIGHTS)


def fields_in(folder: Path) -> dict[str, Any]:
    """What its config.json says."""
    return json.loads((folder / CONFIG).read_text())


def write(folder: Path, fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Path:
    """A checkpoint's folder, made without any code of ours."""
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(fields))
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    save_file(contiguous, folder / WEIGHTS, {"format": "pt"})
    return folder


def refusal(folder: Path, **arguments: Any) -> str:
    """What loading the folder is refused with."""
    try:
        huggingface.load(folder, **arguments)
    except InputError as error:
        return str(error)
    raise AssertionError("this should have been refused")


def assert_same_tensors(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> None:
    """The same names, dtypes, shapes and bits."""
    assert sorted(one) == sorted(other)
    for name in one:
        assert same(one[name], other[name]), name


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


class Fuzzed(NamedTuple):
    """What came of many damaged checkpoints."""

    refused: int
    identical: int
    slowest: float
    grown: int

    def __str__(self) -> str:
        return (
            f"{self.refused} refused, {self.identical} identical, slowest {self.slowest:.2f} s, "
            f"memory grew by {self.grown / 2**20:.0f} MiB"
        )


def fuzz(base: Path, folder: Path, count: int, seed: int) -> Fuzzed:
    """Damages a copy of a sound checkpoint in `count` ways; each must be refused, or loaded as if nothing were.

    Raises:
        AssertionError: other parameters were loaded, or something else than InputError was raised.
    """
    shutil.copytree(base, folder)
    whole = huggingface.load(folder)
    files = {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}
    before, refused, slowest = _peak(), 0, 0.0
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        # Shapes are traced anew for every config that can be believed, so there are fewer of these.
        name = CONFIG if number % 8 == 0 else WEIGHTS
        damage = _one_of(rng, _DAMAGES[name])
        (folder / name).write_bytes(damage(files[name], rng))
        started = time.perf_counter()
        try:
            loaded = huggingface.load(folder)
        except InputError:
            refused += 1
        except BaseException as error:
            raise AssertionError(f"{damage.__name__}, number {number}: {type(error).__name__}: {error}") from error
        else:
            # Other sizes may be another way to cut the same tensors, so those of the file are compared.
            pairs = [(loaded.params, whole.params)] if name == WEIGHTS else [(_written(loaded), _written(whole))]
            for one, other in pairs:
                assert sorted(one) == sorted(other), f"{damage.__name__}, number {number}"
                assert all(same(one[each], other[each]) for each in one), f"{damage.__name__}, number {number}"
        slowest = max(slowest, time.perf_counter() - started)
        (folder / name).write_bytes(files[name])
    return Fuzzed(refused, count - refused, slowest, _peak() - before)


def _written(checkpoint: huggingface.Checkpoint) -> dict[str, np.ndarray]:
    family = huggingface.FAMILIES[checkpoint.family]
    head = family.heads[checkpoint.architecture.removeprefix(family.classes[0])]
    return carry_out(checkpoint.params, family, checkpoint.config, head, checkpoint.parts, checkpoint.form)


def _peak() -> int:
    """The most memory this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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


def _one_of(rng: np.random.Generator, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def cut_off(data: bytes, rng: np.random.Generator) -> bytes:
    """Ends early: within the length, the header, between any two tensors, or anywhere."""
    edges = (rng.integers(9), rng.integers(len(data)), len(data) - 1 - rng.integers(64), _header_end(data))
    return data[: max(0, int(_one_of(rng, edges)))]


def appended(data: bytes, rng: np.random.Generator) -> bytes:
    """Goes on after its end."""
    return data + rng.bytes(int(rng.integers(1, 100)))


def other_length(data: bytes, rng: np.random.Generator) -> bytes:
    """Says another length of the header."""
    (length,) = struct.unpack("<Q", data[:8])
    near = [length + step for step in (-8, -1, 1, 8)] + [len(data), len(data) - 8]
    if rng.integers(2):
        return struct.pack("<Q", int(_one_of(rng, [*near, *_LENGTHS]))) + data[8:]
    return _flipped(data, rng, 0, 8)


def flipped_bit(data: bytes, rng: np.random.Generator) -> bytes:
    """One bit of the header."""
    return _flipped(data, rng, 8, _header_end(data))


def other_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four bytes of the header, drawn at random or from what JSON is made of."""
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        drawn = (
            rng.bytes(1) if rng.integers(2) else _one_of(rng, [bytes([each]) for each in b'{}[]",:0129-.eE \\u\x00'])
        )
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
    other = _one_of(rng, others)
    kind = int(rng.integers(6))
    if kind == 0:
        entry["data_offsets"], other["data_offsets"] = other["data_offsets"], entry["data_offsets"]
    elif kind == 1:
        entry["data_offsets"] = other["data_offsets"]
    elif kind == 2:
        entry["data_offsets"] = [end, begin]
    elif kind == 3:
        step = int(_one_of(rng, (-48, -4, -1, 1, 4, 48, 2**32, 2**63)))
        entry["data_offsets"] = [begin + step, end + step]
    elif kind == 4:
        entry["data_offsets"][int(rng.integers(2))] = _one_of(rng, _STRANGE)
    else:
        entry["data_offsets"] = _one_of(rng, (*_STRANGE, [begin], [begin, end, end], {"begin": begin}))
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
        *([*shape[:-1], _one_of(rng, _STRANGE)], _one_of(rng, _STRANGE)),
    ]
    entry["shape"] = _one_of(rng, shapes)
    return _with_entries(data, header)


def other_dtype(data: bytes, rng: np.random.Generator) -> bytes:
    """A dtype of the same size, of another, or of none."""
    header = _header(data)
    _, entry = _entry(header, rng)
    entry["dtype"] = _one_of(rng, _DTYPES)
    if rng.integers(2) and entry["dtype"] in ("F16", "BF16", "F64", "I64"):  # so that the size is right again
        entry["shape"] = [*entry["shape"], 2] if entry["dtype"] in ("F16", "BF16") else [entry["shape"][0] // 2]
    return _with_entries(data, header)


def other_names(data: bytes, rng: np.random.Generator) -> bytes:
    """A tensor of another name, of another's, of none, or of a name twice. Equal shapes could change names unseen."""
    header = _header(data)
    name, entry = _entry(header, rng)
    others = [each for each in header if header[each].get("shape", entry["shape"]) != entry["shape"]]
    other = _one_of(rng, others)
    kind = int(rng.integers(6))
    if kind == 0:
        header[name], header[other] = header[other], header[name]
    elif kind == 1:
        del header[name]
    elif kind == 2:
        header[_one_of(rng, ("", "x", name + "x", name.upper(), "module." + name, "\ud800", "__metadata__"))] = (
            header.pop(name)
        )
    elif kind == 3:
        header[name][_one_of(rng, ("x", "dtypes", "shape "))] = 1
        del header[name][_one_of(rng, ("dtype", "shape", "data_offsets"))]
    else:
        twice = json.dumps({name: entry if kind == 4 else header[other]})[1:-1]
        text = json.dumps(header)
        return _with_header(data, f"{text[:-1]}, {twice}}}".encode())
    return _with_entries(data, header)


def other_header(data: bytes, rng: np.random.Generator) -> bytes:
    """Something else than a table of tensors, or such a table with more around it."""
    text = data[8 : _header_end(data)]
    deep = int(_one_of(rng, (100, 127, 128, 1000, 100_000)))
    headers = [
        *(b"", b"null", b"[]", b"{}", b'"x"', b"7", b"\x00" * 64, b"\xff" * 64, b"[" * deep, b'{"a":' * deep),
        *(b" " + text, text + b"\x00", text + b" " * 8, text + b"x", text * 2, b"\xef\xbb\xbf" + text),
        *(text.decode().encode("utf-16"), text[:-1], b'{"__metadata__":' + b"[" * deep + b"]" * deep + b"," + text[1:]),
        *(b'{"__metadata__":%s,' % meta + text[1:] for meta in (b"1", b"{}", b'{"a":1}', b'{"a":"b"}', b"null")),
    ]
    return _with_header(data, _one_of(rng, headers))


def other_field(data: bytes, rng: np.random.Generator) -> bytes:
    """A field of config.json with another value, left out, or there twice."""
    fields = json.loads(data)
    name = _one_of(rng, sorted(fields))
    kind = int(rng.integers(4))
    if kind == 0:
        del fields[name]
    elif kind == 1:
        fields["x" + name] = fields[name]
    else:
        fields[name] = _one_of(rng, _STRANGE)
    return json.dumps(fields).encode()


def other_text(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes of config.json changed, taken out, put in, cut off, or wrapped in something deep or long."""
    place, kind = int(rng.integers(len(data))), int(rng.integers(8))
    if kind == 0:
        return data[:place]
    if kind == 1:
        deep = int(_one_of(rng, (900, 990, 10_000)))
        return data[:-2] + b',"deep":' + b"[" * deep + b"]" * deep + b"}"
    if kind == 2:
        return data.replace(b"12", b"1" + b"0" * int(_one_of(rng, (12, 400, 5000))), 1)
    if kind == 3:
        return _flipped(data, rng, 0, len(data))
    changed = rng.bytes(int(rng.integers(3)))
    return data[:place] + changed + data[place + int(rng.integers(3)) :]


_DAMAGES: dict[str, tuple[Damage, ...]] = {
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
    name = _one_of(rng, sorted(header.keys() - {"__metadata__"}))
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
