"""What follows from the records of one run: rates, shares of what the card can do, ratios."""

from collections.abc import Iterable

from benchmarks.gpu.children import Record

OURS = "as trained"  # the recipe of our step that counts; others leave something out


def limit(result: Record) -> float | None:
    """FLOP/s of the fastest matrix product of this run."""
    return max((record["flops_per_second"] for record in result.get("products", ())), default=None)


def tokens_per_second(record: Record) -> float:
    """Tokens that are not padding."""
    return record["tokens"] / (1e-3 * record["ms"])


def share(record: Record, rate: float | None) -> float | None:
    """Of a rate in FLOP/s, how much a step reaches by the formula's operations."""
    return None if rate is None else record["flops"] / (1e-3 * record["ms"]) / rate


def timed(result: Record) -> list[Record]:
    """The steps that were timed; beside them are their profiles."""
    return [record for record in result.get("train", ()) if "ms" in record]


def shapes(result: Record) -> list[str]:
    """What the steps were of, in order."""
    return list(dict.fromkeys(record["shape"] for record in timed(result)))


def fastest(result: Record, shape: str, side: str) -> Record | None:
    """A side's record with the most tokens a second; of ours only the step that training takes."""
    records = [record for record in timed(result) if (record["shape"], record["side"]) == (shape, side)]
    counted = [record for record in records if side != "ours" or record["recipe"] == OURS]
    return max(counted, key=tokens_per_second, default=None)


def ratio(result: Record, shape: str) -> float | None:
    """Our tokens a second over PyTorch's; None if a side is missing."""
    ours, theirs = (fastest(result, shape, side) for side in ("ours", "torch"))
    return None if ours is None or theirs is None else tokens_per_second(ours) / tokens_per_second(theirs)


def wrong(result: Record) -> list[str]:
    """Everything that makes the run's status 1, a line each."""
    found = [f"{trouble['what']}: {trouble['why'].splitlines()[0]}" for trouble in result["trouble"]]
    found += [
        f"float64 on {record['on']} is not the CPU's function for {record['encoder']}"
        for record in result.get("precision", ())
        if record.get("ok") is False
    ]
    return found + [f"{one['test']}: {one['outcome']}: {one['why']}" for one in _failed(result.get("tests", ()))]


def _failed(tests: Iterable[Record]) -> list[Record]:
    return [one for one in tests if one["outcome"] in ("failure", "error")]
