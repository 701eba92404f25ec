"""A report as JSON, for machines and for keeping beside a checkpoint.

Schema, version 3; one object::

    schema        3
    verdict       "PASS", "FAIL semantic", "FAIL precision", "VACUOUS", "ERROR", "interpreted" or "lowered only"
    headline      the first line of the text report
    vacuities     [text]: why the check is no proof
    subject       what was compared
    allowed       the largest relative error at which floats agree
    environment   {name: text}
    variants      [{name, verdict, cases, sites, worst_error, worst_site, worst_case}]: one per variant, in order
    fields        [name]: the names of the columns of every comparison
    preflight     [{name, jax, torch, warning}]: what decides precision
    curves        {name: [value, ...]}: figures by step
    hashes        {name: SHA-256}
    precision     [{variant, case, dtype, errors: [[site, ours, theirs, allowed], ...], explanations, crash}]: one per
                  variant, case and dtype
    runs          [{variant, case, inadequate: [text], comparisons: [[value, ...], ...], replayed: the same, culprits,
                  inert: [site], outputs: [site], crash}]: one per variant and case

A comparison's values are those of `parity.judge.compare.Comparison`, in the order of `fields`. A culprit is an object
{site, reads: [site], comparison: [value, ...], elements: [[index, actual, expected], ...], explanations, shape:
[text]}; explanations are [[bug, mistake, side, residual], ...], the best first. What is inert differs and reaches
nothing; outputs are the losses and what they are computed from, where something differs. A run that was
not on the device that it is made for has `agreed`, what it is worth: "interpreted" or "lowered only". A crash is null
or what a side raised, {side, kind, message, where, reached, traceback}. JSON has no infinity and no NaN: such
numbers are the texts "inf", "-inf" and "nan". What stands before `preflight` follows from the rest, but for subject,
allowed and environment.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parity.judge.compare import Comparison
from parity.judge.rounding import ExplainedRun
from parity.judge.verdict import (
    Crash,
    Culprit,
    Element,
    Explanation,
    PrecisionRun,
    Report,
    Run,
    Setting,
    SiteError,
    Verdict,
    judge,
    vacuities,
    worst,
)
from parity.report.files import write_whole
from parity.report.text import headline

SCHEMA = 3

# Of what is one run a line.
_LONG = ("precision", "runs")


def to_json(report: Report) -> str:
    """Writes everything that the report holds, one run a line."""
    record = _summary(report) | _rest(report)
    short = {name: value for name, value in record.items() if name not in _LONG}
    text = json.dumps(short, indent=2, allow_nan=False).removesuffix("\n}")
    for name in _LONG:
        lines = ",\n".join(f"    {json.dumps(run, allow_nan=False)}" for run in record[name])
        text += f',\n  "{name}": [\n{lines}\n  ]'
    return text + "\n}\n"


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
        report = Report(
            record["subject"],
            record["allowed"],
            record["environment"],
            tuple(_unpack_run(run) for run in record["runs"]),
            tuple(_unpack_precision(run) for run in record["precision"]),
            tuple(Setting(**setting) for setting in record["preflight"]),
            {name: tuple(map(_number, values)) for name, values in record["curves"].items()},
            record["hashes"],
        )
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"not a parity record: {type(error).__name__}: {error}") from error
    changed = [name for name, value in _summary(report).items() if record.get(name) != value]
    if changed:
        raise ValueError(f"the parity record was changed: {', '.join(changed)} is not what its runs come to")
    return report


def write(report: Report, path: Path) -> None:
    """Writes the record as a whole or not at all."""
    write_whole(path, to_json(report))


def _summary(report: Report) -> dict[str, Any]:
    """What follows from the rest, and what stands with it."""
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


def _number(value: Any) -> Any:
    """The number that `_plain` wrote."""
    return float(value) if isinstance(value, str) else value


def _rest(report: Report) -> dict[str, Any]:
    """What nothing else follows from."""
    return {
        "preflight": [setting._asdict() for setting in report.preflight],
        "curves": {name: list(map(_plain, values)) for name, values in report.curves.items()},
        "hashes": dict(report.hashes),
        "precision": [_pack_precision(run) for run in report.precision],
        "runs": [_pack_run(run) for run in report.runs],
    }


def _pack(values: Sequence[Any]) -> list[Any]:
    return [_plain(value) for value in values]


def _pack_run(run: Run) -> dict[str, Any]:
    return {
        "variant": run.variant,
        "case": run.case,
        "inadequate": list(run.inadequate),
        "comparisons": [_pack(comparison) for comparison in run.comparisons],
        "replayed": [_pack(comparison) for comparison in run.replayed],
        "culprits": [_pack_culprit(culprit) for culprit in run.culprits],
        "inert": list(run.inert),
        "outputs": list(run.outputs),
        "crash": _pack_crash(run.crash),
        **_pack_agreed(run.agreed),
    }


def _pack_crash(crash: Crash | None) -> dict[str, str] | None:
    return None if crash is None else crash._asdict()


def _pack_culprit(culprit: Culprit) -> dict[str, Any]:
    return culprit._asdict() | {
        "comparison": _pack(culprit.comparison),
        "elements": [_pack(element) for element in culprit.elements],
        "explanations": [_pack(explanation) for explanation in culprit.explanations],
    }


def _pack_precision(run: PrecisionRun) -> dict[str, Any]:
    explanations = run.explanations if isinstance(run, ExplainedRun) else ()
    return {
        "variant": run.variant,
        "case": run.case,
        "dtype": run.dtype,
        "errors": [_pack(error) for error in run.errors],
        "explanations": [_pack(explanation) for explanation in explanations],
        "crash": _pack_crash(run.crash),
        **_pack_agreed(run.agreed),
    }


def _pack_agreed(agreed: Verdict) -> dict[str, str]:
    return {} if agreed is Verdict.PASS else {"agreed": agreed.value}


def _unpack_agreed(run: Mapping[str, Any]) -> Verdict:
    return Verdict(run.get("agreed", Verdict.PASS))


def _unpack_run(run: Mapping[str, Any]) -> Run:
    comparisons, replayed = (tuple(map(_unpack, run[name])) for name in ("comparisons", "replayed"))
    culprits = tuple(_unpack_culprit(culprit) for culprit in run["culprits"])
    reach = tuple(run["inert"]), tuple(run["outputs"])
    last = _unpack_crash(run["crash"]), _unpack_agreed(run)
    return Run(run["variant"], run["case"], comparisons, tuple(run["inadequate"]), replayed, culprits, *reach, *last)


def _unpack_crash(crash: Mapping[str, str] | None) -> Crash | None:
    return None if crash is None else Crash(**crash)


def _unpack_culprit(culprit: Mapping[str, Any]) -> Culprit:
    read = {
        "reads": tuple(culprit["reads"]),
        "comparison": _unpack(culprit["comparison"]),
        "elements": tuple(Element(tuple(at), *map(_number, values)) for at, *values in culprit["elements"]),
        "explanations": _unpack_explanations(culprit["explanations"]),
        "shape": tuple(culprit["shape"]),
    }
    return Culprit(**{**culprit, **read})


def _unpack_precision(run: Mapping[str, Any]) -> PrecisionRun:
    errors = tuple(SiteError(site, *map(_number, values)) for site, *values in run["errors"])
    explanations = _unpack_explanations(run["explanations"])
    given = run["variant"], run["case"], run["dtype"], errors, _unpack_crash(run["crash"]), _unpack_agreed(run)
    return ExplainedRun(*given, explanations=explanations) if explanations else PrecisionRun(*given)


def _unpack_explanations(explanations: Sequence[Sequence[Any]]) -> tuple[Explanation, ...]:
    return tuple(Explanation(bug, mistake, side, _number(left)) for bug, mistake, side, left in explanations)


def _unpack(values: list[Any]) -> Comparison:
    named = dict(zip(Comparison._fields, values, strict=True))
    for name in ("error", "actual", "expected", "scale", "spread"):
        named[name] = _number(named[name])
    for name in ("shape", "worst_index"):
        if named[name] is not None:
            named[name] = tuple(named[name])
    return Comparison(**named)
