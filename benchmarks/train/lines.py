"""What is printed of training steps, and what follows from their records."""

from collections.abc import Iterator

from benchmarks import comparison
from benchmarks import products as product_rates
from benchmarks.gpu.work import FORMULA
from benchmarks.workers import Record


def machine(result: Record) -> list[str]:
    """What it runs on."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return [
        f"{result['date']}, {result['device']}, {result['cores']} cores, load {result['load']}",
        f"Python {result['python']}, {versions}",
    ]


def products(result: Record) -> list[str]:
    """The rates that the limits come from."""
    return [
        f"products by {one['by']}, {one['dtype']}, {' x '.join(f'{side:,}' for side in one['size'])}: "
        f"{one['flops_per_second'] / 1e9:,.0f} GFLOP/s"
        for one in result["products"]
    ] + [FORMULA]


def peer(one: Record) -> str:
    """One peer beside us."""
    if "missing" in one:
        return f"  {one['peer']}: not installed ({', '.join(one['missing'])}): pip install --group bench"
    if "trouble" in one:
        return f"  {one['peer']}: CRASHED: {one['trouble']}"
    low, *_, high = sorted(comparison.ratios(one))
    return (
        f"  {one['peer']}: {times(one, 'theirs')}, ours {times(one, 'ours')}: ratio {comparison.ratio(one):.2f} "
        f"({low:.2f} to {high:.2f}, n = {len(one['rounds'])}), of core time {comparison.ratio(one, 'core_seconds'):.2f}"
    )


def times(one: Record, side: str) -> str:
    """A side's step in ms, or, where steps have unequally many tokens, real tokens a second."""
    middle = comparison.median(one, side)
    if by_token(one):
        return f"{1 / middle:,.0f} tokens/s"
    return f"{1e3 * middle:,.1f} ms"


def by_token(one: Record) -> bool:
    """Whether the unit of its times is a real token and not a step."""
    first = one["rounds"][0]["theirs"]
    return first["units"] > one["theirs"]["steps"]


def step_seconds(task: Record) -> float | None:
    """Our step, as measured beside the peers, all rounds together; None if nothing was measured."""
    seconds = sorted(
        one["ours"]["seconds"] / one["ours"]["units"] * (task["ours"]["tokens"] if by_token(peer) else 1)
        for peer in measured(task)
        for one in peer["rounds"]
    )
    return seconds[len(seconds) // 2] if seconds else None


def measured(task: Record) -> list[Record]:
    """The peers that were measured."""
    return [one for one in task["peers"] if "rounds" in one]


def share(result: Record, task: Record) -> float | None:
    """Of the limit, how much our step reaches."""
    seconds = step_seconds(task)
    if seconds is None:
        return None
    return task["ours"]["flops"] / product_rates.limit(result["products"], task["dtype"]) / seconds


def summary(result: Record) -> Iterator[str]:
    """How far from the limit, and what went wrong."""
    yield f"\ndone in {result['elapsed']:.0f} s"
    for task in result["tasks"]:
        if (seconds := step_seconds(task)) is not None:
            rate = product_rates.limit(result["products"], task["dtype"])
            yield (
                f"{task['task']}: our step {1e3 * seconds:,.1f} ms, its {task['ours']['flops'] / 1e9:,.1f} GFLOP at "
                f"{rate / 1e9:,.0f} GFLOP/s take {1e3 * task['ours']['flops'] / rate:,.1f} ms: "
                f"{share(result, task):.0%} of the limit"
            )
    yield from (f"WRONG: {line}" for line in wrong(result))


def wrong(result: Record) -> list[str]:
    """What crashed, a line each; a peer that is not installed is no mistake."""
    found = [f"{task['task']}, ours: {_first(task)}" for task in result["tasks"] if "trouble" in task]
    return found + [
        f"{task['task']}, {one['peer']}: {_first(one)}"
        for task in result["tasks"]
        for one in task["peers"]
        if "trouble" in one
    ]


def _first(record: Record) -> str:
    return record["trouble"].splitlines()[0]
