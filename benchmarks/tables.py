"""The CPU's figures as Markdown: a section for each run of `train`, `encode`, `parity` or `compile`."""

import textwrap
from collections.abc import Iterable

from benchmarks import comparison, parity
from benchmarks import compile as compiling
from benchmarks import products as product_rates
from benchmarks.gpu.work import FORMULA
from benchmarks.train import lines
from benchmarks.workers import Record


def section(result: Record) -> str:
    """One run."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    parts = [
        f"## {_TITLES[result['kind']]}: {result['device']}, {result['cores']} cores, {result['date']}",
        wrapped(f"Load {result['load']} at the start, Python {result['python']}, {versions}."),
        f"```bash\n{result['command']}\n```",
        *_WRITTEN[result["kind"]](result),
    ]
    return "\n\n".join(parts) + "\n"


def wrapped(text: str) -> str:
    """Lines of the page's width."""
    return textwrap.fill(text, 116, subsequent_indent="  " if text.startswith("- ") else "", break_on_hyphens=False)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(head)
    every = [titles, ["---"] * len(titles), *map(list, rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in every)


def _train(result: Record) -> list[str]:
    rates = [
        (one["by"], one["dtype"], " × ".join(f"{side:,}" for side in one["size"]), _giga(one["flops_per_second"]))
        for one in result["products"]
    ]
    parts = [
        wrapped(
            "One step of training: forward, backward, clipping and AdamW, on the same tokens with the same settings. "
            "Each side has a process of its own; two take turns, after a warm-up, and times are medians. The ratio "
            "is the median of the rounds' own: how many times as long the peer takes; of core time, the same by the "
            "time that all cores spent. Torch's best recipe is the head on the masked positions alone and fused AdamW."
        ),
    ]
    for task in result["tasks"]:
        parts += [f"### {task['task']}", wrapped(f"{task['described']}; {task['dtype']}.")]
        if "trouble" in task:
            parts.append(f"Ours crashed: {task['trouble'].splitlines()[0]}")
        rows = [_beside(one, lines.times) for one in task["peers"]]
        parts.append(_table(("peer", "peer's step", "ours", "ratio", "rounds", "of core time"), rows))
        if (seconds := lines.step_seconds(task)) is not None:
            rate, flops = product_rates.limit(result["products"], task["dtype"]), task["ours"]["flops"]
            parts.append(
                wrapped(
                    f"Our step takes {1e3 * seconds:,.1f} ms. Its {flops / 1e9:,.1f} GFLOP at the fastest product of "
                    f"this run, {_giga(rate)}, would take {1e3 * flops / rate:,.1f} ms: "
                    f"{lines.share(result, task):.0%} of the limit."
                )
            )
    parts += ["### The limit", _table(("by", "dtype", "product", "rate"), rates), f"```text\n{FORMULA}\n```"]
    return parts


def _beside(one: Record, times: object) -> tuple[str, ...]:
    """A peer's row; one that is not there, or crashed, has a row, too."""
    if "rounds" not in one:
        why = "not installed" if "missing" in one else f"crashed: {one['trouble'].splitlines()[0]}"
        return (one["peer"], why, "–", "–", "–", "–")
    assert callable(times)
    low, *_, high = sorted(comparison.ratios(one))
    ratio = f"{comparison.ratio(one):.2f} ({low:.2f} to {high:.2f})"
    core = f"{comparison.ratio(one, 'core_seconds'):.2f}"
    return (one["peer"], times(one, "theirs"), times(one, "ours"), ratio, str(len(one["rounds"])), core)


def _encode(result: Record) -> list[str]:
    def rate(one: Record, side: str) -> str:
        return f"{1 / comparison.median(one, side):,.0f}"

    distances = [one["distance"] for one in result["peers"] if "distance" in one]
    parts = [
        wrapped(
            f"{result['texts']:,} sentences of the State of the Union addresses, from strings to numpy, by "
            f"all-MiniLM-L6-v2 in float32, batch size {result['batch_size']}; sentences a second. On ONNX Runtime the "
            "network is exported by torch.onnx and fused by ONNX Runtime's own optimizer for BERT; "
            "sentence-transformers does all else."
        ),
        _table(
            ("peer", "peer", "ours", "ratio", "rounds", "of core time"), (_beside(one, rate) for one in result["peers"])
        ),
    ]
    return parts + ([f"Largest 1 - cosine of two vectors of one text: {max(distances):.1e}."] if distances else [])


def _parity(result: Record) -> list[str]:
    rows = [
        (one["encoder"], f"crashed: {one['trouble'].splitlines()[0]}", "–", "–", "–")
        if "trouble" in one
        else (
            one["encoder"],
            f"{parity.compared(one):,}",
            f"{parity.seconds(one, 'proof'):.2f} s",
            f"{parity.seconds(one, 'plain'):.2f} s",
            f"{parity.ratio(one):.1f}",
        )
        for one in result["encoders"]
    ]
    return [
        wrapped(
            "Forward, backward under each loss and replay of one case of packed rows, every value compared in float64, "
            f"beside one forward and backward of both models in float64; at most {parity.TARGET:.0f} is aimed at."
        ),
        _table(("encoder", "comparisons", "proof", "forward and backward of both", "ratio"), rows),
    ]


def _compile(result: Record) -> list[str]:
    starts = [(one["start"], f"{one['seconds']:.1f} s") for one in result.get("starts", ())]
    crashed = [f"Crashed: {result['trouble'].splitlines()[0]}"] if "trouble" in result else []
    layers = [wrapped(f"{compiling.line(result['layers'])}.")] if "rounds" in result.get("layers", {}) else []
    about = (
        "From typing the command to the first step of a run of `mini` on the demo text; at most "
        f"{compiling.MOST_SECONDS:.0f} s are aimed at for a resumed one:"
    )
    return [*layers, wrapped(about), _table(("start", "first step after"), starts), *crashed]


def _giga(rate: float) -> str:
    return f"{rate / 1e9:,.0f} GFLOP/s"


_TITLES = {"train": "Training", "encode": "Sentence vectors", "parity": "The proof", "compile": "Compile and start"}
_WRITTEN = {"train": _train, "encode": _encode, "parity": _parity, "compile": _compile}
KINDS = frozenset(_WRITTEN)
