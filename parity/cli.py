"""Command line of the check: `python -m parity check --help`."""

import dataclasses
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from parity.cases import CASE_NAMES, make_case
from parity.check import check, choose, mismatched
from parity.compare import SEMANTIC
from parity.errors import MismatchError, UsageError
from parity.record import write
from parity.report import render
from parity.subject import Subject
from parity.verdict import Report, Verdict

# Modules that know what is compared: subject() -> Subject, and check_run(folder) -> Report.
BINDING, RUN_BINDING = "parity.encoder", "parity.encoder_run"
Names = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """Compares both sides at every site, with random parameters, on every variant and case. Prints a report whose first
    line is the verdict; ends with status 0 if it is PASS, 1 if it is FAIL or VACUOUS."""

    config: Names = ()
    """Check this variant only; may be given several times."""
    case: Names = ()
    """Check this case only; may be given several times."""
    json: File = None
    """Also write the report to this file, as JSON."""
    list: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the names of all variants and cases, and stop."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """Compares both sides at every site with the parameters that a training run has come to, on text that it has not
    seen. Output and exit status as `check`."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    json: File = None
    """Also write the report to this file, as JSON."""


Command = Annotated[Check, tyro.conf.subcommand("check")] | Annotated[Trained, tyro.conf.subcommand("trained")]


def main(arguments: Sequence[str] | None = None, subject: Subject | None = None) -> int:
    """Runs one command; returns 0 for PASS, 1 for FAIL or VACUOUS, 2 for a request that cannot be carried out.

    Args:
        arguments: of the command line; None takes the process's own.
        subject: what to check; None takes the one that the command names.
    """
    command = tyro.cli(
        Command,
        args=arguments,
        prog="python -m parity",
        description="Tells whether two encoders, in JAX and PyTorch, are the same function; if not, where they part.",
        config=(tyro.conf.OmitArgPrefixes,),
    )
    try:
        if command.json is not None and (command.json.is_dir() or not command.json.absolute().parent.is_dir()):
            raise UsageError(f"--json {command.json}: must name a file in a folder that exists")
        if isinstance(command, Trained):
            return _conclude(_check_run(command.run), command.json)
        subject = subject or _load(BINDING).subject()
        if command.list:
            print(_listing(subject))
            return 0
        return _conclude(_check(subject, command), command.json)
    except UsageError as error:
        print(f"python -m parity: {error}", file=sys.stderr)
        return 2


def _load(name: str) -> ModuleType:
    """Imports a binding only when it is needed, so that --help need not wait for the frameworks."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"{error}; a check needs both frameworks: pip install 'jax-encoder[parity]'") from error


def _check(subject: Subject, command: Check) -> Report:
    variants, cases = command.config or None, command.case or None
    total = len(choose("variant", variants, subject.variants())) * len(choose("case", cases, CASE_NAMES))
    with _progress(total) as advance:
        return check(subject, variants=variants, cases=cases, progress=advance)


def _check_run(folder: Path) -> Report:
    """Asks the binding, for which a folder that holds nothing to check is a ValueError with a message for the user."""
    binding = _load(RUN_BINDING)
    try:
        return binding.check_run(folder)
    except MismatchError as error:
        return Report(f"the run {folder}", SEMANTIC, {}, (mismatched(folder.name, "trained", error),))
    except ValueError as error:
        raise UsageError(str(error)) from error


def _conclude(report: Report, path: Path | None) -> int:
    """Prints the report, writes it if a file is named, and returns the exit status."""
    print(render(report), end="")
    if path is not None:
        write(report, path)
    return 0 if report.verdict is Verdict.PASS else 1


def _listing(subject: Subject) -> str:
    variants = subject.variants()
    lines = [f"{len(variants)} variants of {subject.name}:", *(f"  {name}" for name in variants)]
    lines.append(f"{len(CASE_NAMES)} cases, each made to expose something:")
    if variants:
        sizes = next(iter(variants.values())).sizes
        width = max(map(len, CASE_NAMES))
        lines += [f"  {name:<{width}}  {make_case(name, sizes).exposes}" for name in CASE_NAMES]
    return "\n".join(lines)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str, str], None]]:
    """A bar on the error stream while it is a terminal; nothing otherwise."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total, completed=-1)

        def advance(variant: str, case: str) -> None:
            bar.update(task, description=f"{variant}, {case}", advance=1)

        yield advance
