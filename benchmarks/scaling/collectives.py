"""Reads a compiled program: what its devices tell one another, how often, in how large groups. Imports no framework."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")

_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{$")
_CALLED = re.compile(r"(?:to_apply|true_computation|false_computation)=%?([\w.\-]+)|branch_computations=\{([^}]*)\}")
_COLLECTIVE = re.compile(rf"= (.*?) ({'|'.join(KINDS)})(?:-start)?\(")
_ARRAY = re.compile(rf"({'|'.join(BYTES)})\[([\d,]*)\]")


class Collective(NamedTuple):
    """One array that one operation moves.

    Attributes:
        kind: of `KINDS`.
        group: how many devices take part together.
        dtype, shape: of the array as it comes out on one device.
        times: how often the program does it.
    """

    kind: str
    group: int
    dtype: str
    shape: tuple[int, ...]
    times: int

    @property
    def bytes(self) -> int:
        """Of the array, once."""
        return BYTES[self.dtype] * math.prod(self.shape)


def read(program: str, devices: int) -> list[Collective]:
    """Every collective of a program in XLA's text form, with loops counted.

    Args:
        program: as `Compiled.as_text` gives it.
        devices: of the whole mesh.

    Raises:
        ValueError: a loop around a collective does not say how often it runs, or a collective among how many devices.
    """
    computations, entry = _computations(program)
    return list(_walk(computations, entry, 1, devices))


class Moved:
    """Bytes and arrays that a step moves, by kind and size of the group."""

    def __init__(self) -> None:
        self.bytes: Counter[tuple[str, int]] = Counter()
        self.arrays: Counter[tuple[str, int]] = Counter()

    def add(self, kind: str, group: int, size: int, times: int = 1) -> None:
        """Counts an array of `size` bytes that is moved so often; among fewer than two devices nothing is."""
        if group > 1:
            self.bytes[kind, group] += size * times
            self.arrays[kind, group] += times

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Moved) and (self.bytes, self.arrays) == (other.bytes, other.arrays)

    def __str__(self) -> str:
        parts = [
            f"{self.arrays[key]:,} x {key[0]} over {key[1]}: {size:,} bytes" for key, size in sorted(self.bytes.items())
        ]
        return "; ".join(parts) or "nothing"


def totals(found: Iterable[Collective]) -> Moved:
    """All that a program moves but single numbers: of targets, tokens and squares, they are some hundred bytes."""
    moved = Moved()
    for one in found:
        if one.shape:
            moved.add(one.kind, one.group, one.bytes, one.times)
    return moved


def sent(kind: str, group: int, size: int) -> float:
    """Bytes that each device sends for an array of `size` bytes around a ring: Patarasuk & Yuan (2009),
    https://doi.org/10.1016/j.jpdc.2008.09.002

    Args:
        kind: of `KINDS`.
        group: how many devices take part together.
        size: of what comes out of a gather, or goes into a sum.
    """
    return {"all-reduce": 2.0, "all-gather": 1.0, "reduce-scatter": 1.0}[kind] * (group - 1) / group * size


def _computations(program: str) -> tuple[dict[str, list[str]], str]:
    found: dict[str, list[str]] = {}
    name = entry = ""
    for line in program.splitlines():
        head = None if line.startswith(" ") else _HEAD.match(line)
        if head:
            name = head[2]
            found[name] = []
            entry = name if head[1] else entry
        elif name:
            found[name].append(line)
    return found, entry


def _walk(computations: dict[str, list[str]], name: str, times: int, devices: int) -> Iterator[Collective]:
    for line in computations[name]:
        loop = re.search(r" while\(.*body=%?([\w.\-]+)", line)
        if loop:
            count = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
            within = list(_walk(computations, loop[1], times * (int(count[1]) if count else 1), devices))
            if within and not count:
                raise ValueError(f"the loop {loop[1]} moves values between devices, and does not say how often it runs")
            yield from within
        elif re.search(r" (call|conditional)\(", line):
            for called in re.findall(r"[\w.\-]+", " ".join(map("".join, _CALLED.findall(line)))):
                yield from _walk(computations, called, times, devices)
        elif found := _COLLECTIVE.search(line):
            group = _group(line, devices)
            for dtype, shape in _ARRAY.findall(found[1]):
                sizes = tuple(int(size) for size in shape.split(",") if size)
                yield Collective(found[2], group, dtype, sizes, times)


def _group(line: str, devices: int) -> int:
    """How many devices take part together: XLA lists them, or counts them, or names axes of a mesh of its own."""
    if listed := re.search(r"replica_groups=(?:\{\{([\d,]*)\}|\[\d+,(\d+)\])", line):
        return int(listed[2]) if listed[2] else len(listed[1].split(","))
    if named := re.search(r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\([^{]*\))? \{([^}]*)\}", line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named[1]))
        parts = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", named[2])
        return math.prod(int(part or sizes[axis]) for axis, part in parts)
    if "replica_groups={}" in line:
        return devices
    raise ValueError(f"how many devices take part is not told in a way that is known: {line.strip()[:200]}")
