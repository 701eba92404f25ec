"""A few checks under every Python and JAX that a user may have: `make versions`.

Each Python gets an environment in the cache folder, named after what it is made of, so that a second run installs
nothing. A Python that this machine lacks is left out, and said to be.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jax-encoder" / "venvs"
DAYS_KEPT = 7  # an environment that no run has used for so long is deleted: each has some 6 GB


@dataclass(frozen=True)
class Setting:
    """A Python, and what takes the place of some of the versions in constraints.txt."""

    python: str
    instead: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([f"Python {self.python},", *(self.instead or ["newest versions"])])


# All that pyproject.toml admits; jax 0.11.2 is what machines with an accelerator tend to have.
SETTINGS = (
    Setting("3.11"),
    Setting("3.12"),
    Setting("3.13"),
    Setting("3.14"),
    Setting("3.12", ("jax==0.11.2", "jaxlib==0.11.2")),
)

# What is run under each; {folder} goes away afterwards, and holds a text to train on.
CHECKS = {
    "train": (
        *("train.py", "pretrain", "--run", "{folder}/run", "--data", "{folder}/text.txt", "--preset", "tiny"),
        *("--vocab-size", "500", "--batch-size", "4", "--steps", "20", "--warmup-steps", "5", "--eval-every", "20"),
    ),
    # Training ends well without torch, too, and has then proved nothing.
    "certificate": ("-c", "assert open('{folder}/run/parity.txt').read().startswith('parity PASS')"),
    "parity": (
        *("-m", "parity", "check", "--jobs", "1", "--case", "ragged"),
        *("--config", "modernbert", "--config", "post", "--config", "llama"),
    ),
    "types": ("-m", "mypy", "--cache-dir", "{folder}/types", "jax_encoder", "torch_ref", "parity", "train.py"),
    "tests": ("-m", "pytest", "-q", "-m", "not slow", "tests/parity/judge", "tests/parity/graph"),
}


def main(settings: Iterable[Setting] = SETTINGS) -> int:
    """Runs everything; returns 1 if anything failed."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    found: list[tuple[Setting, Path]] = []
    for setting in settings:
        if setting == Setting(running):
            print(f"{setting}: left out, the whole suite runs under it")
        elif (interpreter := find(setting.python)) is None:
            print(f"{setting}: left out, this machine has no python{setting.python} that can make an environment")
        else:
            print(f"{setting}: {interpreter}")
            found.append((setting, interpreter))
    sys.stdout.flush()
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        held = list(pool.map(lambda one: check(*one), found))
    forget()
    return 0 if all(held) else 1


def find(version: str) -> Path | None:
    """An interpreter of that version, from PATH or pyenv, that works and can make environments."""
    on_path = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [Path(on_path)] if on_path else []
    for candidate in [*candidates, *sorted(pyenv.glob(f"{version}.*/bin/python"))]:
        # pyenv puts a command on PATH for every version, also for those that it does not let run.
        question = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
        answer = subprocess.run([str(candidate), "-c", question], capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.strip() == version:
            return candidate
    return None


def check(setting: Setting, interpreter: Path) -> bool:
    """Makes the environment, runs every check, and prints a line for each."""
    started = time.monotonic()
    try:
        python, environment = prepared(setting, interpreter)
    except subprocess.CalledProcessError as error:
        report(setting, "install", started, error.output)
        return False
    report(setting, "install", started)
    held = True
    with tempfile.TemporaryDirectory() as folder:
        text = "\n\n".join(page.read_text() for page in [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))])
        (Path(folder) / "text.txt").write_text(text)
        for name, command in CHECKS.items():
            started = time.monotonic()
            try:
                run([python, *(part.format(folder=folder) for part in command)], environment)
                report(setting, name, started)
            except subprocess.CalledProcessError as error:
                report(setting, name, started, error.output)
                held = False
    return held


def report(setting: Setting, name: str, started: float, output: str | None = None) -> None:
    """One line; all of the output below it if it failed."""
    verdict = "ok" if output is None else "FAILED"
    below = "" if output is None else f"\n{output.rstrip()}"
    print(f"{setting}: {name} {verdict}, {time.monotonic() - started:.0f} s{below}", flush=True)


def run(command: Iterable[str | Path], environment: dict[str, str]) -> None:
    """Runs one command in the clone.

    Raises:
        CalledProcessError: with all that the command printed.
    """
    subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=True,
    )


def prepared(setting: Setting, interpreter: Path) -> tuple[Path, dict[str, str]]:
    """The environment's interpreter, and the variables to run it with; installs what is not there yet."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"JAX_PLATFORMS": "cpu", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    needed = requirements()
    torch = os.environ.get("TORCH", "")
    index = ["--extra-index-url", f"https://download.pytorch.org/whl/{torch}"] if torch else []
    exact = ["--constraint", str(ROOT / "constraints.txt"), *index]
    made_of = "\n".join([str(interpreter.resolve()), torch, *needed, (ROOT / "constraints.txt").read_text()])
    folder = CACHE / f"{setting.python}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    python, install = folder / "bin" / "python", ("-m", "pip", "install", "--quiet", "--no-compile")
    with completed(folder) as missing:
        if missing:
            run([interpreter, "-m", "venv", folder], environment)
            run([python, *install, *exact, "pip"], environment)
            run([python, *install, *exact, *needed], environment)
    if not setting.instead:
        return python, environment
    # Only these packages lie here; they come before those of the environment, which has the rest.
    beside = folder / "beside" / "-".join(setting.instead)
    with completed(beside) as missing:
        if missing:
            run([python, *install, "--no-deps", "--target", beside, *setting.instead], environment)
    return python, environment | {"PYTHONPATH": str(beside)}


def requirements() -> list[str]:
    """What the checks import, as pyproject.toml has it; the packages themselves are those of the clone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    tools = [one for one in project["dependency-groups"]["dev"] if one.startswith(("beartype", "mypy", "pytest>"))]
    return [*project["project"]["dependencies"], *extras["parity"], *extras["demo"], *tools]


@contextmanager
def completed(folder: Path) -> Iterator[bool]:
    """Says whether the folder is yet to be filled, which one process does at a time, and marks it when it is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = folder / "complete"
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        missing = not mark.exists()
        if missing:
            shutil.rmtree(folder, ignore_errors=True)
        yield missing
        mark.touch()


def forget() -> None:
    """Deletes the environments that no run has used for a while."""
    for folder in CACHE.glob("*/"):
        mark = folder / "complete"
        if time.time() - (mark if mark.exists() else folder).stat().st_mtime > DAYS_KEPT * 86_400:
            print(f"deleted, not used for {DAYS_KEPT} days: {folder}")
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
