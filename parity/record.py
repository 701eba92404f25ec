"""A report as JSON, for machines and for keeping beside a checkpoint.

Schema, version 1; one object:

    schema        1
    verdict       "PASS", "FAIL semantic", "FAIL precision" or "VACUOUS"
    headline      the first line of the text report
    vacuities     [text]: why the check is no proof
    subject       what was compared
    allowed       the largest relative error at which floats agree
    environment   {name: text}
    variants      [{name, verdict, cases, sites, worst_error, worst_site, worst_case}]: one per variant, in order
    fields        [name]: the names of the columns of every comparison
    runs          [{variant, case, inadequate: [text], comparisons: [[value, ...], ...]}]: one per variant and case

A comparison's values are those of `parity.compare.Comparison`, in the order of `fields`. JSON has no infinity and no
NaN: such numbers are the texts "inf", "-inf" and "nan". `runs` holds everything; what stands before it follows from it.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parity.compare import Comparison
from parity.report import headline
from parity.verdict import Report, Run, judge, vacuities, worst

SCHEMA = 1


def to_json(report: Report) -> str:
    """Writes everything that the report holds, one run a line."""
    summary = json.dumps(_summary(report), indent=2, allow_nan=False).removesuffix("\n}")
    runs = ",\n".join(f"    {json.dumps(_pack_run(run), allow_nan=False)}" for run in report.runs)
    return f'{summary},\n  "runs": [\n{runs}\n  ]\n}}\n'


def from_json(text: str) -> Report:
    """Reads what `to_json` wrote.

    Raises:
        ValueError: not such a record, of another schema version, or its summary is not what its runs come to.
    """
    try:
        record = json.loads(text)
        version = record["schema"]
        if version != SCHEMA:
            raise ValueError(f"a parity record of schema {version!r} cannot be read, must be {SCHEMA}")
        runs = tuple(_unpack_run(run) for run in record["runs"])
        report = Report(record["subject"], record["allowed"], record["environment"], runs)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"not a parity record: {type(error).__name__}: {error}") from error
    changed = [name for name, value in _summary(report).items() if record.get(name) != value]
    if changed:
        raise ValueError(f"the parity record was changed: {', '.join(changed)} is not what its runs come to")
    return report


def write(report: Report, path: Path) -> None:
    """Writes the record as a whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(to_json(report), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _summary(report: Report) -> dict[str, Any]:
    """Everything but the runs."""
    return {
        "schema": SCHEMA,
        "verdict": report.verdict.value,
        "headline": headline(report),
        "vacuities": list(vacuities(report.runs)),
        "subject": report.subject,
        "allowed": report.allowed,
        "environment": dict(report.environment),
        "variants": [_variant(name, runs) for name, runs in report.variants.items()],
        "fields": list(Comparison._fields),
    }


def _variant(name: str, runs: tuple[Run, ...]) -> dict[str, Any]:
    found = worst(runs)
    return {
        "name": name,
        "verdict": judge(runs).value,
        "cases": len(runs),
        "sites": max(len(run.comparisons) for run in runs),
        "worst_error": None if found is None else _plain(found[1].error),
        "worst_site": None if found is None else found[1].site,
        "worst_case": None if found is None else found[0].case,
    }


def _plain(value: Any) -> Any:
    """JSON's word for a number."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _pack_run(run: Run) -> dict[str, Any]:
    comparisons = [[_plain(value) for value in comparison] for comparison in run.comparisons]
    return {
        "variant": run.variant,
        "case": run.case,
        "inadequate": list(run.inadequate),
        "comparisons": comparisons,
    }


def _unpack_run(run: Mapping[str, Any]) -> Run:
    comparisons = tuple(_unpack(values) for values in run["comparisons"])
    return Run(run["variant"], run["case"], comparisons, tuple(run["inadequate"]))


def _unpack(values: list[Any]) -> Comparison:
    named = dict(zip(Comparison._fields, values, strict=True))
    for name in ("error", "actual", "expected", "scale", "spread"):
        if isinstance(named[name], str):
            named[name] = float(named[name])
    for name in ("shape", "worst_index"):
        if named[name] is not None:
            named[name] = tuple(named[name])
    return Comparison(**named)
