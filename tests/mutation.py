"""Do the tests notice? Changes one thing at a time in a module and runs the tests that pass through it.

    python -m tests.mutation parity/judge            all modules of a folder
    python -m tests.mutation parity/judge/sites.py   one module

A change that no test notices survives: a test is missing, or the change makes no difference. Those of the second kind
stand in `equivalent_mutants.toml`, each with its reason. The exit status is 1 if others survive, or if one of the
table does not: it was noticed, or the line that it is about is gone.

Each mutant runs in a fork of a process that has imported what takes long (JAX, numpy, pytest), on the tests of the
mirrored folder that run its line, those of its own module first, and stops at the first that fails. A mutant that
takes far longer than its tests did counts as noticed.
"""

import argparse
import ast
import contextlib
import functools
import gc
import importlib
import itertools
import json
import os
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import NamedTuple

import coverage
import hypothesis
import pytest

from tests.mutants import Mutant, mutants
from tests.sources import ROOT

TABLE = Path(__file__).with_name("equivalent_mutants.toml")
OURS = {"benchmarks", "examples", "jax_encoder", "parity", "tests", "torch_ref", "train", "__main__", "__mp_main__"}
_NOTICED, _SURVIVED, _SLOW = "noticed", "survived", "took too long"


class Covered(NamedTuple):
    """What the tests of a folder run: seconds of every test, and the tests of every line of every file."""

    seconds: Mapping[str, float]
    lines: Mapping[str, Mapping[int, frozenset[str]]]

    def tests(self, path: str, lines: Collection[int]) -> list[str]:
        """The tests that run one of the lines, those of the module itself first, then the quickest first."""
        by_line = self.lines.get(path, {})
        found = frozenset().union(*(by_line.get(line, frozenset()) for line in lines))
        # What runs as the module is imported is under every test.
        chosen = self.seconds if "" in found else found
        own = f"/test_{Path(path).stem}"
        return sorted(chosen, key=lambda test: (own not in test, self.seconds[test], test))


class Watch:
    """A pytest plugin: runs the wanted tests alone, in their order, tells coverage whose lines it sees, takes times."""

    def __init__(self, wanted: Sequence[str] | None = None, measured: coverage.Coverage | None = None):
        self.order = None if wanted is None else {test: i for i, test in enumerate(wanted)}
        self.measured, self.seconds = measured, {}

    def pytest_sessionstart(self) -> None:
        # A failure is enough: the smallest example that fails is of no use here.
        phases = [phase for phase in hypothesis.settings().phases if phase.name not in ("shrink", "explain")]
        hypothesis.settings.register_profile("mutation", hypothesis.settings(), phases=phases)
        hypothesis.settings.load_profile("mutation")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.order is not None:
            items[:] = sorted(
                (one for one in items if one.nodeid in self.order), key=lambda one: self.order[one.nodeid]
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if self.measured is not None:
            self.measured.switch_context(item.nodeid)
        started = time.perf_counter()
        done = yield
        self.seconds[item.nodeid] = time.perf_counter() - started
        return done


class Changed(MetaPathFinder):
    """Finds a module where it is, with another source; whatever else finds modules goes on finding them."""

    def __init__(self, name: str, source: str):
        self.name, self.source = name, source

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        for finder in (finder for finder in sys.meta_path if finder is not self):
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                spec.loader.get_data = lambda path: self.source.encode()
                spec.loader.path_stats = self._no_stats  # without them nothing is read from, or written to, a cache
                return spec
        return None

    @staticmethod
    def _no_stats(path: str) -> dict:
        raise OSError


def run_tests(tests: Sequence[str], watch: Watch) -> int:
    """pytest's exit status."""
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is imported already
    options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *quiet]
    return pytest.main([*options, *files], plugins=[watch])


def measure(folder: str, paths: Sequence[str]) -> Covered:
    """Runs a folder's tests as they are, and sees what they run.

    Raises:
        SystemExit: they fail, as the modules are or as they are without comments, which is how mutants are written.
    """
    with tempfile.TemporaryDirectory() as scratch:
        found, log = Path(scratch) / "found.json", Path(scratch) / "log"
        unchanged = {path: ast.unparse(ast.parse(Path(path).read_text())) for path in paths}
        for work in (lambda: _measured(folder, paths, found), lambda: _run(unchanged, [f"tests/{folder}"], Watch())):
            if os.waitpid(forked(work, log), 0)[1]:
                sys.exit(f"the tests of {folder} fail where nothing is changed:\n{log.read_text()}")
        read = json.loads(found.read_text())
    for name in read["imported"]:  # once for all forks; what cannot be imported by itself is not needed
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()
    lines = {path: {int(line): frozenset(by[line]) for line in by} for path, by in read["lines"].items()}
    return Covered(read["seconds"], lines)


def _measured(folder: str, paths: Sequence[str], found: Path) -> int:
    """The tests' exit status; what they ran is written into a file."""
    files = {path: str(ROOT / path) for path in paths}
    measured = coverage.Coverage(data_file=None, include=list(files.values()), config_file=False)
    watch = Watch(measured=measured)
    measured.start()
    status = run_tests([f"tests/{folder}"], watch)
    measured.stop()
    lines = {path: measured.get_data().contexts_by_lineno(file) for path, file in files.items()}
    imported = [name for name in sys.modules if name.split(".")[0] not in OURS]
    found.write_text(json.dumps({"seconds": watch.seconds, "lines": lines, "imported": imported}))
    return status


def forked(work: Callable[[], int], log: Path) -> int:
    """The process id of a fork that does some work, writes into a file, and ends with the work's status."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of forks; nothing has been computed here
        pid = os.fork()
    if pid:
        return pid
    status = 70
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            status = int(work())
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)


def judged(path: str, chosen: Sequence[Mutant], covered: Covered, jobs: int) -> Iterator[tuple[Mutant, str]]:
    """What became of each mutant, in the order in which that was known."""
    running: dict[int, tuple[Mutant, float]] = {}
    waiting = list(chosen)
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop(0)
            tests = covered.tests(path, mutant.lines)
            if not tests:
                yield mutant, _SURVIVED
                continue
            limit = 20 + 10 * sum(covered.seconds[test] for test in tests)
            work = functools.partial(_run, {path: mutant.source}, tests, Watch(tests))
            pid = forked(work, Path(os.devnull))
            running[pid] = (mutant, time.monotonic() + limit)
        for pid, (mutant, until) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del running[pid]
                yield mutant, _NOTICED if status else _SURVIVED
            elif time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                del running[pid]
                yield mutant, _SLOW
        time.sleep(0.01)


def _run(sources: Mapping[str, str], tests: Sequence[str], watch: Watch) -> int:
    """The exit status of tests that import these files with other sources."""
    sys.dont_write_bytecode = True
    for path, source in sources.items():
        sys.meta_path.insert(0, Changed(path.removesuffix(".py").replace("/", "."), source))
    return run_tests(tests, watch)


def key_of(path: str, mutant: Mutant) -> tuple[str, str, str]:
    """What the table calls a mutant: no line number, which would not last."""
    return path, mutant.text, mutant.change


def table() -> dict[tuple[str, str, str], str]:
    """The reason of every mutant that makes no difference.

    Raises:
        SystemExit: one stands there twice, or without a reason.
    """
    found: dict[tuple[str, str, str], str] = {}
    for group in tomllib.loads(TABLE.read_text()).get("equivalent", []):
        for change in group["changes"]:
            key = (group["file"], group["line"], change)
            if key in found or not group["reason"].strip():
                sys.exit(f"{TABLE.name}: {' | '.join(key)} stands there twice, or has no reason")
            found[key] = group["reason"]
    return found


def complaints(survived: Collection[tuple[str, str, str]], known: Collection[tuple[str, str, str]]) -> list[str]:
    """What is wrong: mutants that nobody noticed and nobody explained, and explanations of what is not so."""
    return [
        *(f"survived: {' | '.join(key)}" for key in survived if key not in known),
        *(f"in {TABLE.name}, but does not survive: {' | '.join(key)}" for key in known if key not in survived),
    ]


def survivors(paths: Sequence[str], known: Collection[tuple[str, str, str]], jobs: int) -> list[tuple[str, str, str]]:
    """What nobody notices in some files of one folder; tells how many there are of each kind, and which are new."""
    covered = measure(Path(paths[0]).parent.as_posix(), paths)
    found = []
    for path in paths:
        counts: Counter[str] = Counter()
        for mutant, came in judged(path, list(mutants(Path(path).read_text())), covered, jobs):
            counts[came] += 1
            if came == _SURVIVED:
                found.append(key_of(path, mutant))
                if found[-1] not in known:
                    print(f"{path}:{mutant.line}: {mutant.text}\n    {mutant.change}", flush=True)
        print(f"{path}: {', '.join(f'{count} {came}' for came, count in sorted(counts.items()))}", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("place", nargs="+", help="a folder or a file: parity/judge, parity/judge/sites.py")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    given = parser.parse_args(arguments)
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # none is needed
    importlib.import_module("tests.conftest")  # what takes long, once for all forks
    places = [Path(place) for place in given.place]
    paths = [path for place in places for path in (sorted(place.glob("*.py")) if place.is_dir() else [place])]
    known, found = table(), []
    for _, group in itertools.groupby(paths, key=lambda path: path.parent):
        found += survivors([path.as_posix() for path in group], known, given.jobs)
    concerned = [key for key in known if Path(key[0]) in paths]
    wrong = complaints(found, concerned)
    print("\n".join([f"{len(concerned)} mutants are known to make no difference", *wrong]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
