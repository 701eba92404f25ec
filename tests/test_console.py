"""The commands that an installation brings: they are the modules' own, and they work outside of the clone."""

import os
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import jax_encoder.cli
import parity.cli
from jax_encoder.commands.called import called_as
from jax_encoder.training.run_folder import resume_command
from tests.jax_encoder.training.helpers import write_corpus

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {"jax-encoder": "jax_encoder", "jax-encoder-parity": "parity"}
PACKAGES = ("jax_encoder", "parity", "torch_ref")
# Each command with every subcommand that its help must be the same for.
HELP = [
    *[("jax-encoder", *one) for one in ((), ("train",), ("resume",), ("export",), ("encode",), ("fill-mask",))],
    *[("jax-encoder-parity", *one) for one in ((), *((name,) for name in parity.cli.COMMANDS))],
]


def entry(command: str):
    """The function that a command of pyproject.toml calls."""
    module, _, name = PROJECT["scripts"][command].partition(":")
    return getattr(import_module(module), name)


def shown(capsys, monkeypatch, called: str, command: str, *arguments: str) -> str:
    """The help that a command prints if it was called like this, without the name it was called by and line ends."""
    monkeypatch.setattr(sys, "argv", [called])
    with pytest.raises(SystemExit) as raised:
        entry(command)([*arguments, "--help"])
    assert raised.value.code == 0
    name = command if Path(called).name == command else f"python -m {MODULES[command]}"
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith(f"usage: {' '.join([name, *arguments])} ")
    return text.replace(name, "COMMAND")


def test_the_commands_are_these():
    assert PROJECT["scripts"].keys() == MODULES.keys()


@pytest.mark.parametrize("asked", HELP, ids=" ".join)
def test_a_command_has_the_help_of_its_module(capsys, monkeypatch, asked):
    command, *arguments = asked
    installed = shown(capsys, monkeypatch, f"/usr/bin/{command}", command, *arguments)
    assert installed == shown(capsys, monkeypatch, f"/lib/{MODULES[command]}/__main__.py", command, *arguments)


@pytest.mark.parametrize("command", MODULES)
def test_the_module_is_the_command(command):
    asked = [sys.executable, "-m", MODULES[command], "--help"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: python -m {MODULES[command]} ")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("train.py", "python train.py"),
        ("../my clone/train.py", "python '../my clone/train.py'"),
        ("/usr/local/bin/jax-encoder", "jax-encoder"),
        ("/usr/lib/jax_encoder/__main__.py", "python -m jax_encoder"),
        ("", "python -m jax_encoder"),
    ],
)
def test_a_hint_repeats_what_was_typed(monkeypatch, argv, expected):
    monkeypatch.setattr(sys, "argv", [argv])
    assert called_as() == expected
    assert resume_command(Path("my run")) == f"{expected} resume 'my run'"


def test_what_goes_wrong_is_said_in_the_name_of_the_command(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/jax-encoder"])
    assert jax_encoder.cli.main(["resume", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith(f"jax-encoder: no folder {tmp_path / 'none'}: ")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/jax-encoder-parity"])
    assert parity.cli.main(["verify", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("jax-encoder-parity: ")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with what `pip install .` installs, built from a copy of the clone."""
    target, clone = tmp_path_factory.mktemp("target"), tmp_path_factory.mktemp("clone")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, clone / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "README.md", "pyproject.toml", "train.py"):
        shutil.copy(ROOT / name, clone)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    install = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(clone)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def run(installed: Path, folder: Path, command: str, *arguments: str) -> subprocess.CompletedProcess:
    """One of the installed commands, with another folder as the current one."""
    environment = os.environ | {"PYTHONPATH": str(installed), "JAX_PLATFORMS": "cpu", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, str(installed / "bin" / command), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_an_installation_has_the_packages_and_nothing_else(installed):
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"bin", *PACKAGES}
    assert {path.name for path in (installed / "bin").iterdir()} == MODULES.keys()
    assert {path.parent.name for path in installed.glob("*/py.typed")} == set(PACKAGES)
    assert (installed / "parity" / "report" / "page" / "page.css").is_file()
    (licence,) = installed.glob("*.dist-info/licenses/LICENSE")
    assert licence.read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.slow
def test_an_installation_trains_and_proves_outside_of_the_clone(installed, tmp_path):
    write_corpus(tmp_path / "text.txt")
    # A folder of the user's own that has the name of one of ours is not taken for it.
    (tmp_path / "parity").mkdir()
    (tmp_path / "parity" / "__init__.py").write_text("raise SystemExit('not this one')")
    small = ("--preset=tiny", "--vocab-size=120", "--steps=4", "--warmup-steps=1", "--batch-size=4", "--data=text.txt")
    done = run(installed, tmp_path, "jax-encoder", "train", "--run=run", *small)
    assert done.returncode == 0, done.stderr
    assert "parity PASS: " in done.stdout
    again = run(installed, tmp_path, "jax-encoder", "train", "--run=run", *small)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.endswith("jax-encoder resume run\n")
    verified = run(installed, tmp_path, "jax-encoder-parity", "verify", "run")
    assert (verified.returncode, verified.stdout.partition(":")[0]) == (0, "parity verified"), verified.stderr
