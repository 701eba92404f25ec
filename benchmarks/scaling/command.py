"""`python -m benchmarks scaling`: the formulas held against compiled programs, and weak scaling on paper."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks.scaling import formula
from benchmarks.scaling.collectives import Moved, sent, totals
from benchmarks.scaling.compiled import compiled, work
from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.training.mesh import MeshShape
from parity.mesh.course import DEVICES, FORMS, shapes
from parity.mesh.devices import simulated

_BEGIN, _END = "<!-- scaling: begin -->", "<!-- scaling: end -->"
# Of each device, in every row of the tables.
ROWS, LENGTH, TARGETS = 32, 1024, 307
_COUNTS = (1, 2, 4, 8, 16, 64, 256, 1024, 4096)
# Devices that one machine holds: further than these no parameter is split.
_MACHINE = 8

_BILLION: dict[str, Any] = {
    "num_layers": 28,
    "layer_groups": tuple(range(28)),
    "windows": tuple(64 if layer % 3 else None for layer in range(28)),
    "rope_thetas": tuple(10_000.0 if layer % 3 else 160_000.0 for layer in range(28)),
    "embed_dim": 1792,
    "num_heads": 28,
    "num_key_value_heads": 28,
    "mlp_dim": 3840,
}
ENCODERS: dict[str, EncoderConfig] = {
    "modernbert_base": EncoderConfig.modernbert_base(),
    "1B": dataclasses.replace(EncoderConfig.modernbert_base(), **_BILLION),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scaling:
    """Compiles the training step for 2, 4 and 8 simulated devices in every shape, holds what they tell one another
    against the formulas, and prints what these say of 1 to 4,096 devices. Ends with status 1 if a program differs."""

    write: Annotated[Path | None, tyro.conf.arg(metavar="PAGE")] = None
    """Also write the tables into this page, between its two marks."""
    compile: bool = True
    """Whether to compile; without, the formulas alone are printed."""

    def run(self) -> int:
        """Returns the exit status."""
        page = None if self.write is None else _read(self.write)
        rows = list(checked()) if self.compile else []
        print("\n".join([*table_of_checks(rows), "", *tables()]))
        if self.write is not None and page is not None:
            text = "\n".join([_BEGIN, *table_of_checks(rows), "", *tables(), _END])
            self.write.write_text(re.sub(f"{_BEGIN}.*{_END}", lambda _: text, page, flags=re.DOTALL), encoding="utf-8")
        return 0 if all(same for *_, same in rows) else 1


def checked() -> Iterator[tuple[str, str, Moved, bool]]:
    """Every form on every shape of more than one device: what the program moves, and whether the formula says so."""
    parts = [(form, name) for form in FORMS for name, shape in shapes().items() if shape.devices > 1]
    for (form, name), one in zip(parts, simulated(compiled, parts, devices=DEVICES), strict=True):
        moved = totals(one.moved)
        yield form, name, moved, moved == formula.collectives(FORMS[form], shapes()[name], work())


def table_of_checks(rows: list[tuple[str, str, Moved, bool]]) -> list[str]:
    """Markdown."""
    head = ["| form | mesh | arrays moved in one step | bytes | as the formula |", "|---|---|---:|---:|---|"]
    return head + [
        f"| {form} | `{name}` | {sum(moved.arrays.values()):,} | {sum(moved.bytes.values()):,} | {_said(same)} |"
        for form, name, moved, same in rows
    ]


def _said(same: bool) -> str:
    return "yes" if same else "no"


def mesh_of(name: str, devices: int) -> MeshShape:
    """The mesh of a row: parameters that fit are everywhere, those of the larger encoder are split within a machine."""
    fsdp = 1 if name == "modernbert_base" else min(devices, _MACHINE)
    return MeshShape(data=devices // fsdp, fsdp=fsdp)


def tables() -> list[str]:
    """Markdown: one table for each encoder."""
    lines: list[str] = []
    for name, encoder in ENCODERS.items():
        count = formula.parameters(encoder)
        lines += [
            f"**{name}**, {count / 1e6:,.0f}M parameters, {ROWS} rows of {LENGTH:,} on each device:",
            "",
            "| devices | mesh | state | FLOP | arrays | summed | gathered | sent | to hide it |",
            "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
            *(_row(encoder, mesh_of(name, devices)) for devices in _COUNTS),
            "",
        ]
    return lines[:-1]


def _row(encoder: EncoderConfig, shape: MeshShape) -> str:
    whole = formula.Work(ROWS * shape.rows, LENGTH, TARGETS)
    moved, each = formula.collectives(encoder, shape, whole), formula.flops(encoder, whole) / shape.devices
    by_kind = {
        kind: sum(size for key, size in moved.bytes.items() if key[0] == kind) for kind in ("all-reduce", "all-gather")
    }
    out = sum(sent(kind, group, size) for (kind, group), size in moved.bytes.items())
    # While the device computes at 40 % of an H100's 989 TFLOP/s in bfloat16.
    rate = out / (each / (0.4 * 989e12))
    cells = [
        f"{shape.devices:,}",
        f"`{shape}`",
        f"{formula.state_bytes(encoder, shape) / 1e9:,.2f} GB",
        f"{each / 1e12:,.1f} T",
        f"{sum(moved.arrays.values()):,}",
        f"{by_kind['all-reduce'] / 1e9:,.2f} GB",
        f"{by_kind['all-gather'] / 1e9:,.2f} GB",
        f"{out / 1e9:,.2f} GB",
        f"{rate / 1e9:,.1f} GB/s",
    ]
    return f"| {' | '.join(cells)} |"


def _read(path: Path) -> str:
    try:
        page = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if _BEGIN not in page or _END not in page:
        raise InputError(f"{path} has no {_BEGIN} and {_END} to write the tables between")
    return page
