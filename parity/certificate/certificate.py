"""The certificate of a training run: the record of its check, bound by SHA-256 to the weights and config it is about.

It holds as long as a repeated check of the same weights and config compares the same values and comes to the same
verdict. The errors themselves may differ between machines, as roundings do, below what is allowed.
"""

import dataclasses
import hashlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from parity.check.text import READ_BY, VARIANT
from parity.errors import UsageError
from parity.judge.verdict import Report, Run, worst
from parity.report.text import headline

NAME = "parity.json"

# Digits of a SHA-256 that are shown.
_DIGITS = 12


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of named arrays: names, dtypes, shapes and values, in the order of the names.

    >>> weights = {"b": np.zeros(2, np.float32), "a": np.ones((2, 2), np.float32)}
    >>> digest(weights) == digest(dict(reversed(weights.items())))
    True
    >>> digest(weights) == digest(weights | {"b": np.zeros((2, 1), np.float32)})
    False
    """
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name]).reshape(arrays[name].shape)
        little = array.astype(array.dtype.newbyteorder("<"))
        # Lengths first, so that no two lists of arrays are the same bytes.
        head = f"{len(name.encode())} {name} {array.dtype.name} {array.ndim} {' '.join(map(str, array.shape))}\n"
        found.update(head.encode())
        found.update(little.tobytes())
    return found.hexdigest()


def digest_text(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def path_in(folder: Path) -> Path:
    """The file of the certificate.

    Raises:
        UsageError: there is none.
    """
    path = folder / NAME
    if not path.is_file():
        raise UsageError(f"{folder} has no {NAME}; write one with {renewal(folder)}")
    return path


def renewal(folder: Path) -> str:
    """What to type to write a certificate."""
    return f"python -m parity trained {shlex.quote(str(folder))} --json {shlex.quote(str(folder / NAME))}"


def differences(kept: Report, now: Report) -> tuple[str, ...]:
    """What a repeated check found otherwise than the certificate says; empty if the certificate holds.

    Args:
        kept: the certificate.
        now: of the same folder, today.
    """
    found = [*_hashes(kept, now)]
    if _speaks_of_text(kept) and not _speaks_of_text(now):
        kept = _network_alone(kept)
        found.append(f"texts were compared and are not now: {_why_not(now)}")
    elif not _speaks_of_text(kept):  # of what a certificate does not speak, it need not hold
        now = _network_alone(now)
    if kept.verdict != now.verdict:
        found.append(f"the verdict was {kept.verdict} and is {now.verdict}: {headline(now)}")
    if kept.allowed != now.allowed:
        found.append(f"errors were allowed up to {kept.allowed:.0e}, now up to {now.allowed:.0e}")
    if [run.case for run in kept.runs] != [run.case for run in now.runs]:
        return (*found, f"cases were {_cases(kept)} and are {_cases(now)}")
    for before, after in zip(kept.runs, now.runs, strict=True):
        found += _sites(before, after)
    return tuple(found)


def holds(now: Report) -> str:
    """What a certificate says that holds, in one line."""
    found = worst(now.runs)
    error = f", worst relative error {found[1].error:.1e}" if found else ""
    hashes = ", ".join(f"{name} {value[:_DIGITS]}" for name, value in now.hashes.items())
    comparisons = sum(len(run.comparisons) for run in now.runs)
    return f"{now.verdict}, {comparisons:,} comparisons{error}; as recorded: {hashes}"


def _speaks_of_text(report: Report) -> bool:
    """Whether a report speaks of texts."""
    return any(run.variant == VARIANT for run in report.runs)


def _network_alone(report: Report) -> Report:
    """The report without what it says of texts."""
    return dataclasses.replace(report, runs=tuple(run for run in report.runs if run.variant != VARIANT))


def _hashes(kept: Report, now: Report) -> Iterator[str]:
    if not kept.hashes:
        yield "the certificate does not say of which weights it is"
        return
    for name in dict.fromkeys([*kept.hashes, *now.hashes]):
        then, today = kept.hashes.get(name, ""), now.hashes.get(name, "")
        if then != today:
            was, is_now = then[:_DIGITS] or "not recorded", today[:_DIGITS] or "unknown"
            yield f"the {name} changed: SHA-256 was {was} and is {is_now}"
    steps = kept.environment.get("step"), now.environment.get("step")
    if steps[0] != steps[1]:
        yield f"the certificate is of step {steps[0]}, the newest whole checkpoint of step {steps[1]}"


def _why_not(report: Report) -> str:
    """What a report says of texts that it did not compare."""
    return next((one.warning for one in report.preflight if one.name == READ_BY), "nobody said why")


def _cases(report: Report) -> str:
    return ", ".join(run.case for run in report.runs) or "none"


def _sites(before: Run, after: Run) -> Iterator[str]:
    """Values that are not those that were compared: other names, order, shapes or dtypes. One line is enough."""
    kept, now = ([f"{one.site} {one.dtype} {list(one.shape)}" for one in run.comparisons] for run in (before, after))
    changed = next(((then, today) for then, today in zip(kept, now, strict=False) if then != today), None)
    if changed:
        yield f"in {before.case}, {changed[0]} was compared where {changed[1]} is now"
        return
    if len(kept) != len(now):
        yield f"in {before.case}, {len(kept):,} values were compared and {len(now):,} are now"
