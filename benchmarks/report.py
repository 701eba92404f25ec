"""`python -m benchmarks report`: the page of figures, from the files that `--json` wrote."""

import dataclasses
import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks import tables
from benchmarks.gpu import results
from benchmarks.gpu.children import Record
from benchmarks.gpu.lines import percent
from benchmarks.gpu.work import FORMULA, shape_of
from jax_encoder.errors import InputError

_HEAD = """\
# Performance

Measured, never estimated; each section names its device, its date and the command that made it. Written by
`python -m benchmarks report`; change nothing here by hand.
"""
_SIDES = {"ours": "jax-encoder", "torch": "PyTorch"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Writes docs/performance.md from the results of one or more runs of the other commands."""

    files: Annotated[tuple[str, ...], tyro.conf.Positional]
    """What `--json` wrote, in the order of their sections."""
    to: str = "docs/performance.md"
    """The page to write."""
    keep: bool = False
    """Whether the page's sections of other devices and other commands stay, before the new ones."""

    def run(self) -> int:
        """Returns the exit status."""
        if not self.files:
            raise InputError(
                "name one or more files that `python -m benchmarks train --json FILE`, or another command, wrote"
            )
        new = [section(read(Path(name))) for name in self.files]
        text = "\n".join([_HEAD, *(_others(Path(self.to), new) if self.keep else ()), *new])
        Path(self.to).write_text(text, encoding="utf-8")
        print(f"wrote {self.to}")
        return 0


def read(path: Path) -> Record:
    """The results of one run.

    Raises:
        InputError: no such file, or one that holds something else, or figures of `--tiny`, which measure nothing.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    needed = {"device", "date", "command", "tiny"}
    if not isinstance(result, dict) or not (needed | ({"trouble"} if "kind" not in result else set()) <= result.keys()):
        raise InputError(f"{path} is not what a command of `python -m benchmarks` writes with --json")
    if result.get("kind") not in {None, *tables.KINDS}:
        raise InputError(f"{path} holds results of the kind {result['kind']!r}, which this version cannot write")
    if result["tiny"]:
        raise InputError(f"{path} was made with --tiny: such figures measure nothing")
    return result


def _others(page: Path, new: Sequence[str]) -> list[str]:
    """The page's sections that the new ones do not take the place of: of another device, or by another command."""
    old = re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:] if page.exists() else []
    taken = {_about(one) for one in new}
    return [f"{one.rstrip()}\n" for one in old if _about(one) not in taken]


def _about(section: str) -> tuple[str, str]:
    """A section's title without its date, and its command."""
    title, _, rest = section.partition("\n")
    return title.rpartition(", ")[0], rest.partition("```bash\n")[2].partition("\n```")[0]


def section(result: Record) -> str:
    """One run, in Markdown."""
    if "kind" in result:
        return tables.section(result)
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    machine = f"{result['memory']}, driver {result['driver']}, {result['cores']} CPU cores, Python {result['python']}"
    parts = [
        f"## {result['device']}, {result['date']}",
        _wrapped(f"{machine}, {versions}."),
        f"```bash\n{result['command']}\n```",
        *(written(result) for name, written in _PARTS.items() if result.get(name)),
    ]
    if wrong := results.wrong(result):
        parts.append("What went wrong in this run:\n\n" + "\n".join(_wrapped(f"- {line}") for line in wrong))
    return "\n\n".join(parts) + "\n"


def _limits(result: Record) -> str:
    peak, best = result["peak"], results.limit(result)
    claim = "is not known" if peak is None else f"is {_tera(peak)} by its vendor's data sheet"
    rows = [
        f"| {one['by']} | {' × '.join(f'{side:,}' for side in one['size'])} | {_tera(one['flops_per_second'])} |"
        for one in result["products"]
    ]
    return "\n".join(
        [
            "### The limit",
            "",
            _wrapped(
                f"The peak of dense bfloat16 products {claim}. The fastest product of this run, on random data, "
                f"reached {_tera(best or 0.0)}: no step can be faster than its operations over that rate."
            ),
            "",
            "| by | product | rate |",
            "|---|---|---|",
            *rows,
        ]
    )


def _training(result: Record) -> str:
    names = results.shapes(result)
    described = "\n".join(_wrapped(f"- {shape_of(name).described}") for name in names)
    rows = [_row(result, one) for one in results.timed(result)]
    ratios = [f"| {name} | {_number(results.ratio(result, name))} |" for name in names]
    return "\n".join(
        [
            "### Training steps",
            "",
            _wrapped(
                "One step of training in bfloat16 with float32 parameters: forward, backward, clipping and AdamW, with "
                "the dropout of the preset. PyTorch's is transformers' class by its best recipe: SDPA, autocast, the "
                "head on the masked positions alone, fused AdamW. Both sides train on the same random tokens with the "
                "same masks, each in a process of its own; times are medians, after a warm-up. Tokens are those that "
                "are not padding."
            ),
            "",
            described,
            "",
            "| step | side | tokens/s | ms | rows | MFU | of the products' rate | memory, GiB | first step, s |",
            "|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "| step | tokens/s of jax-encoder over PyTorch's faster recipe |",
            "|---|---|",
            *ratios,
            "",
            "MFU is the share of the vendor's peak that the operations of this formula take:",
            "",
            f"```text\n{FORMULA}\n```",
        ]
    )


def _row(result: Record, one: Record) -> str:
    values = (
        one["shape"],
        f"{_SIDES[one['side']]}, {one['recipe']}",
        f"{results.tokens_per_second(one):,.0f}",
        f"{one['ms']:.1f} ({one['fastest_ms']:.1f} to {one['slowest_ms']:.1f})",
        f"{one['rows']}",
        percent(results.share(one, result["peak"])),
        percent(results.share(one, results.limit(result))),
        _number(one["peak_gib"], digits=1),
        f"{one['compile_seconds']:.1f}",
    )
    return f"| {' | '.join(values)} |"


def _precision(result: Record) -> str:
    rows = [
        f"| {one['encoder']} | {one['dtype']}, {one['precision']} | {one['loss']:.1e} | {one['gradient']:.1e} |"
        for one in result["precision"]
        if "loss" in one
    ]
    title = "Relative errors of small encoders of these forms on this device, against float64 on the CPU:"
    head = ["| form | computed in, precision of products | loss | gradient |", "|---|---|---|---|"]
    return "\n".join(["### Precision", "", title, "", *head, *rows])


def _tests(result: Record) -> str:
    outcomes = [one["outcome"] for one in result["tests"]]
    counts = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in dict.fromkeys(outcomes))
    return f"### Tests\n\nTests marked gpu on this device: {counts}."


_PARTS = {"products": _limits, "train": _training, "precision": _precision, "tests": _tests}


def _tera(rate: float) -> str:
    return f"{rate / 1e12:,.0f} TFLOP/s"


def _number(value: float | None, *, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 116, subsequent_indent="  " if text.startswith("- ") else "", break_on_hyphens=False)
