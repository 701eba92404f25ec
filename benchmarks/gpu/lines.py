"""What is printed: a line as soon as there is a result, and a table at the end."""

from benchmarks.gpu import results
from benchmarks.gpu.children import Record
from benchmarks.gpu.work import FORMULA, shape_of


def machine(result: Record) -> list[str]:
    """What it runs on."""
    memory = f", {result['memory']}, driver {result['driver']}" if result["driver"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    peak = "unknown" if result["peak"] is None else f"{result['peak'] / 1e12:,.0f} TFLOP/s"
    return [
        f"{result['date']}, {result['device']}{memory}, {result['cores']} cores; dense bfloat16 peak: {peak}",
        f"Python {result['python']}, {versions}",
        FORMULA,
    ]


def title(spec: Record) -> str:
    """What a process measures, beside its part's name."""
    return " ".join(str(spec[key]) for key in ("shape", "side", "by", "recipe") if key in spec)


def record(part: str, one: Record, result: Record) -> str:
    """One result."""
    return {"products": _product, "train": _step, "precision": _precision, "tests": _test}[part](one, result)


def summary(result: Record) -> list[str]:
    """Ratios, and what went wrong."""
    lines = [f"done in {result['seconds']:.0f} s"]
    for shape in results.shapes(result):
        lines.append(shape_of(shape, tiny=result["tiny"]).described)
        for side in ("ours", "torch"):
            best = results.fastest(result, shape, side)
            lines.append(f"  {side}: nothing" if best is None else "  " + _step(best, result))
        found = results.ratio(result, shape)
        lines += [] if found is None else [f"  ours / torch: {found:.2f}"]
    return lines + [f"WRONG: {line}" for line in results.wrong(result)]


def percent(value: float | None) -> str:
    """A share, or a dash for one that is not known."""
    return "–" if value is None else f"{value:.1%}"


def _product(one: Record, _: Record) -> str:
    size = " x ".join(f"{side:,}" for side in one["size"])
    return f"products {one['by']} {size}: {one['flops_per_second'] / 1e12:,.1f} TFLOP/s"


def _step(one: Record, result: Record) -> str:
    if "ms" not in one:
        return "\n".join(
            f"{one['shape']} {one['recipe']}, {group}, ms: "
            + ", ".join(f"{name} {ms:.2f}" for name, ms in parts.items())
            for group, parts in one["breakdown"].items()
        )
    peak = results.share(one, result["peak"])
    rate = results.share(one, results.limit(result))
    memory = "" if one["peak_gib"] is None else f", {one['peak_gib']:.1f} GiB"
    return (
        f"{one['shape']} {one['side']} {one['recipe']}: {results.tokens_per_second(one):,.0f} tokens/s, "
        f"{one['ms']:.1f} ms a step of {one['rows']} rows ({one['fastest_ms']:.1f} to {one['slowest_ms']:.1f}, "
        f"{one['repeats']} x {one['steps']}), MFU {percent(peak)}, of the products' rate {percent(rate)}{memory}, "
        f"compiled in {one['compile_seconds']:.1f} s, loss {one['loss']:.2f}"
    )


def _precision(one: Record, _: Record) -> str:
    if "dropout" in one:
        return f"dropout on {one['on']}: {one['dropout']}: {'yes' if one['same'] else 'NO'}"
    verdict = {None: "", True: ": PASS", False: ": FAIL"}[one.get("ok")]
    return (
        f"precision {one['encoder']} {one['dtype']} {one['precision']} on {one['on']} against float64 on the CPU: "
        f"loss {one['loss']:.1e}, gradient {one['gradient']:.1e}{verdict}"
    )


def _test(one: Record, _: Record) -> str:
    why = f": {one['why']}" if one["why"] else ""
    return f"test {one['test']}: {one['outcome']} ({one['seconds']:.1f} s){why}"
